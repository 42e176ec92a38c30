//! Role-based access control.
//!
//! [`rules`] says whether a rule allows a request, [`index`] finds the rules that a user has; the
//! authorizer keeps the index up to date from the API's objects.

pub mod index;
pub mod rules;

use std::sync::{RwLock, RwLockReadGuard};

use api::authorization::v1::{NonResourceRule, ResourceRule};
use api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef};
use futures_util::future::BoxFuture;

use crate::attributes::UserRules;
use crate::{Attributes, Authorizer, Change, Decision, Follower, UserInfo};
use index::{Grant, Index, RoleKey};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Decides by roles and their bindings.
#[derive(Default)]
pub struct Rbac {
    index: RwLock<Index>,
}

impl Rbac {
    pub fn new() -> Self {
        Self::default()
    }

    fn decide(&self, attributes: &Attributes) -> Decision {
        let index = self.read();
        let mut missing = Vec::new();
        for grant in index.grants(&attributes.user, &attributes.namespace) {
            match index.role(&grant.role) {
                Some(granted) if granted.iter().any(|rule| rules::allows(rule, attributes)) => {
                    return Decision::Allow {
                        reason: format!("RBAC: allowed by {}", describe(&grant)),
                    };
                }
                Some(_) => {}
                None => missing.push(grant.role.not_found()),
            }
        }
        let reason = match missing.len() {
            0 => String::new(),
            1 => format!("RBAC: {}", missing[0]),
            _ => {
                missing.dedup();
                if missing.len() == 1 {
                    format!("RBAC: {}", missing[0])
                } else {
                    format!("RBAC: [{}]", missing.join(", "))
                }
            }
        };
        Decision::NoOpinion { reason }
    }

    /// Every rule that a user has in a namespace (empty: cluster-wide only), with what could not be
    /// resolved.
    pub fn rules_of(&self, user: &UserInfo, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
        let index = self.read();
        let (mut all, mut missing) = (Vec::new(), Vec::new());
        for grant in index.grants(user, namespace) {
            match index.role(&grant.role) {
                Some(granted) => all.extend(granted.iter().cloned()),
                None => missing.push(grant.role.not_found()),
            }
        }
        (all, missing)
    }

    /// The rules behind a reference in a binding of a namespace (empty: of a cluster-wide binding).
    pub fn rules_of_role(&self, reference: &RoleRef, namespace: &str) -> Result<Vec<PolicyRule>, String> {
        let key = RoleKey::of(reference, namespace);
        self.read()
            .role(&key)
            .map(<[PolicyRule]>::to_vec)
            .ok_or_else(|| key.not_found())
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The words in which an audit log tells why something was allowed.
fn describe(grant: &Grant<'_>) -> String {
    let subject = match grant.subject.kind.as_str() {
        "ServiceAccount" => format!(
            "ServiceAccount {:?}",
            format!("{}/{}", grant.subject.name, grant.subject.namespace)
        ),
        kind => format!("{kind} {:?}", grant.subject.name),
    };
    let (role_kind, role) = (grant.role.kind(), grant.role.name());
    match grant.namespace {
        "" => format!(
            "ClusterRoleBinding {:?} of {role_kind} {role:?} to {subject}",
            grant.binding
        ),
        namespace => {
            let binding = format!("{}/{namespace}", grant.binding);
            format!("RoleBinding {binding:?} of {role_kind} {role:?} to {subject}")
        }
    }
}

impl Authorizer for Rbac {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(self.decide(attributes)))
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules {
        let (all, missing) = self.rules_of(user, namespace);
        let mut rules = UserRules {
            evaluation_error: missing.join(", "),
            ..UserRules::default()
        };
        for rule in all {
            let PolicyRule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls,
            } = rule;
            if !resources.is_empty() {
                rules.resource_rules.push(ResourceRule {
                    verbs: verbs.clone(),
                    api_groups,
                    resources,
                    resource_names,
                });
            }
            if !non_resource_urls.is_empty() {
                rules.non_resource_rules.push(NonResourceRule {
                    verbs,
                    non_resource_urls,
                });
            }
        }
        rules
    }
}

impl Follower for Rbac {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[
            (GROUP, "clusterroles"),
            (GROUP, "clusterrolebindings"),
            (GROUP, "roles"),
            (GROUP, "rolebindings"),
        ]
    }

    fn apply(&self, change: Change<'_>) {
        let mut index = self
            .index
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let object = change.object();
        let there = matches!(change, Change::Set(_));
        if let Some(role) = object.downcast_ref::<ClusterRole>() {
            index.set_role(
                RoleKey::cluster(&role.metadata.name),
                there.then(|| role.rules.clone()),
            );
        } else if let Some(role) = object.downcast_ref::<Role>() {
            let key = RoleKey::namespaced(&role.metadata.namespace, &role.metadata.name);
            index.set_role(key, there.then(|| role.rules.clone()));
        } else if let Some(binding) = object.downcast_ref::<ClusterRoleBinding>() {
            let content = there.then_some((&binding.role_ref, binding.subjects.as_slice()));
            index.set_binding("", &binding.metadata.name, content);
        } else if let Some(binding) = object.downcast_ref::<RoleBinding>() {
            let content = there.then_some((&binding.role_ref, binding.subjects.as_slice()));
            index.set_binding(&binding.metadata.namespace, &binding.metadata.name, content);
        }
    }
}

#[cfg(test)]
mod tests;
