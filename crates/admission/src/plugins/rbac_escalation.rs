//! Roles and bindings grant no more than their writer has. Upstream checks this in the storage of these
//! resources; here it is a plugin that is always on.

use std::sync::Arc;

use api::Object;
use api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef};
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use auth::Authorizer;
use auth::authorizers::Rbac;
use auth::escalation::{Refusal, Writer};

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

pub struct RbacEscalation {
    rbac: Arc<Rbac>,
    authorizer: Arc<dyn Authorizer>,
}

impl RbacEscalation {
    pub fn new(rbac: Arc<Rbac>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { rbac, authorizer }
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        let Some(object) = review.object() else {
            return Ok(());
        };
        if review.old.is_some_and(|old| is_only_about_deletion(object, old)) {
            return Ok(());
        }
        if let Some(role) = object.downcast_ref::<ClusterRole>() {
            let old = review.old_as::<ClusterRole>();
            let aggregates = aggregates(role) || old.is_some_and(aggregates);
            self.check_role(attributes, object, &role.rules, aggregates).await
        } else if let Some(role) = object.downcast_ref::<Role>() {
            self.check_role(attributes, object, &role.rules, false).await
        } else if let Some(binding) = object.downcast_ref::<ClusterRoleBinding>() {
            self.check_binding(attributes, object, &binding.role_ref).await
        } else if let Some(binding) = object.downcast_ref::<RoleBinding>() {
            self.check_binding(attributes, object, &binding.role_ref).await
        } else {
            Ok(())
        }
    }

    async fn check_role(
        &self,
        attributes: &Attributes<'_>,
        object: &dyn Object,
        rules: &[PolicyRule],
        aggregates: bool,
    ) -> Result<(), Status> {
        let writer = self.writer(attributes);
        // The name is the URL's: on a create there is none to authorize by.
        let name = match attributes.operation {
            Operation::Create => "",
            _ => attributes.name,
        };
        let outcome = writer
            .may_write_role(&attributes.resource.resource, name, rules, aggregates)
            .await;
        outcome.map_err(|message| attributes.forbidden(Some(object), message))
    }

    async fn check_binding(
        &self,
        attributes: &Attributes<'_>,
        object: &dyn Object,
        role: &RoleRef,
    ) -> Result<(), Status> {
        match self.writer(attributes).may_bind(role).await {
            Ok(()) => Ok(()),
            Err(Refusal::Escalation(message)) => Err(attributes.forbidden(Some(object), message)),
            Err(Refusal::NoRole(role)) => {
                let resource = if role.kind == "Role" {
                    "roles"
                } else {
                    "clusterroles"
                };
                let group = attributes.resource.group.clone();
                Err(Status::not_found(
                    &GroupResource {
                        group,
                        resource: resource.to_owned(),
                    },
                    &role.name,
                ))
            }
        }
    }

    fn writer<'a>(&'a self, attributes: &'a Attributes<'_>) -> Writer<'a> {
        Writer {
            user: attributes.user,
            namespace: attributes.namespace,
            rbac: &self.rbac,
            authorizer: self.authorizer.as_ref(),
        }
    }
}

fn aggregates(role: &ClusterRole) -> bool {
    role.aggregation_rule
        .as_ref()
        .is_some_and(|rule| !rule.cluster_role_selectors.is_empty())
}

/// A change of nothing but finalizers and owners is the garbage collector's work, and grants nothing.
fn is_only_about_deletion(object: &dyn Object, old: &dyn Object) -> bool {
    let (mut object, mut old) = (object.clone_box(), old.clone_box());
    for object in [&mut object, &mut old] {
        let metadata = object.metadata_mut();
        metadata.owner_references.clear();
        metadata.finalizers.clear();
        metadata.managed_fields.clear();
        metadata.resource_version.clear();
    }
    let encoded = |object: &dyn Object| {
        let mut bytes = Vec::new();
        object.encode(&mut bytes);
        bytes
    };
    encoded(object.as_ref()) == encoded(old.as_ref())
}

impl Plugin for RbacEscalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.resource.group == "rbac.authorization.k8s.io" && attributes.subresource.is_empty() {
            return Box::pin(self.check(attributes, review));
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use auth::{Change, Follower, UserInfo};

    use super::*;
    use crate::testing::{Request, from_json, told};

    fn plugin() -> RbacEscalation {
        let rbac = Arc::new(Rbac::new());
        let role: ClusterRole = from_json(
            r#"{"metadata":{"name":"reader"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}"#,
        );
        let binding: ClusterRoleBinding = from_json(
            r#"{"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"reader"},"subjects":[{"kind":"User","name":"ada"}]}"#,
        );
        rbac.apply(Change::Set(&role));
        rbac.apply(Change::Set(&binding));
        RbacEscalation::new(rbac.clone(), rbac)
    }

    fn role(verb: &str) -> Role {
        from_json(&format!(
            r#"{{"metadata":{{"namespace":"ns","name":"r"}},"rules":[{{"verbs":["{verb}"],"apiGroups":[""],"resources":["pods"]}}]}}"#
        ))
    }

    #[tokio::test]
    async fn roles_are_limited_to_their_writers_rights() {
        let plugin = plugin();
        assert_eq!(
            told(&Request::create().run(&plugin, Some(&mut role("get")), None).await),
            "ok"
        );
        let refused = Request::create()
            .run(&plugin, Some(&mut role("delete")), None)
            .await;
        let message = r#"roles.rbac.authorization.k8s.io "r" is forbidden: user "ada" (groups=[]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#;
        assert_eq!(told(&refused), message);
        let masters = Request::create().by(UserInfo::new("root", &["system:masters"]));
        assert_eq!(
            told(&masters.run(&plugin, Some(&mut role("delete")), None).await),
            "ok"
        );
    }

    #[tokio::test]
    async fn removing_a_finalizer_grants_nothing() {
        let (mut new, mut old) = (role("delete"), role("delete"));
        old.metadata.finalizers.push("x/y".into());
        assert_eq!(
            told(&Request::update().run(&plugin(), Some(&mut new), Some(&old)).await),
            "ok"
        );
        new.metadata.labels.insert("a".into(), "b".into());
        assert_ne!(
            told(&Request::update().run(&plugin(), Some(&mut new), Some(&old)).await),
            "ok"
        );
    }

    #[tokio::test]
    async fn a_binding_needs_its_role() {
        let mut binding: RoleBinding = from_json(
            r#"{"metadata":{"namespace":"ns","name":"b"},"roleRef":{"kind":"Role","name":"none"}}"#,
        );
        let refused = Request::create().run(&plugin(), Some(&mut binding), None).await;
        assert_eq!(
            told(&refused),
            r#"roles.rbac.authorization.k8s.io "none" not found"#
        );
    }
}
