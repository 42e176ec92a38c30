//! Nobody grants what they do not have: checks on writes of roles and bindings.
//!
//! Upstream: `pkg/registry/rbac/*/policybased`, `component-helpers/auth/rbac/validation`.

pub mod covers;

#[cfg(test)]
mod tests;

use api::rbac::v1::{PolicyRule, RoleRef};
use apimachinery::quote::quote;

use crate::authorizers::Rbac;
use crate::user::PRIVILEGED;
use crate::{Attributes, Authorizer, UserInfo};

/// Who writes, and where.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    pub user: &'a UserInfo,
    /// Of the object; empty for cluster-wide ones.
    pub namespace: &'a str,
    pub rbac: &'a Rbac,
    /// All authorizers together: they may know of the verbs `escalate` and `bind`.
    pub authorizer: &'a dyn Authorizer,
}

impl Writer<'_> {
    /// May a role (of `resource`: `roles` or `clusterroles`) with these rules be written? The error is
    /// what follows `… is forbidden: `.
    pub async fn may_write_role(
        &self,
        resource: &str,
        name: &str,
        rules: &[PolicyRule],
        aggregates: bool,
    ) -> Result<(), String> {
        if self.is_privileged() || self.may("escalate", resource, name).await {
            return Ok(());
        }
        self.holds(rules)?;
        if aggregates && self.holds(&full_authority()).is_err() {
            return Err("must have cluster-admin privileges to use the aggregationRule".to_owned());
        }
        Ok(())
    }

    /// May a binding to this role be written? `Err(Refusal::NoRole)` if the role cannot be resolved.
    pub async fn may_bind(&self, role: &RoleRef) -> Result<(), Refusal> {
        let resource = match role.kind.as_str() {
            "ClusterRole" => "clusterroles",
            "Role" => "roles",
            _ => "",
        };
        if self.is_privileged() || (!resource.is_empty() && self.may("bind", resource, &role.name).await) {
            return Ok(());
        }
        let rules = self
            .rbac
            .rules_of_role(role, self.namespace)
            .map_err(|_| Refusal::NoRole(role.clone()))?;
        self.holds(&rules).map_err(Refusal::Escalation)
    }

    fn is_privileged(&self) -> bool {
        self.user.in_group(PRIVILEGED)
    }

    async fn may(&self, verb: &str, resource: &str, name: &str) -> bool {
        let attributes = Attributes {
            user: self.user.clone(),
            verb: verb.to_owned(),
            api_group: "rbac.authorization.k8s.io".to_owned(),
            api_version: "*".to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            namespace: self.namespace.to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        self.authorizer.authorize(&attributes).await.is_allowed()
    }

    fn holds(&self, rules: &[PolicyRule]) -> Result<(), String> {
        let (held, errors) = self.rbac.rules_of(self.user, self.namespace);
        let missing = covers::uncovered(&held, rules);
        if missing.is_empty() {
            return Ok(());
        }
        let mut descriptions: Vec<String> = covers::compact(missing).iter().map(describe).collect();
        descriptions.sort();
        descriptions.dedup();
        let mut message = format!(
            "user {} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            quote(&self.user.name),
            list(&self.user.groups),
            descriptions.join("\n")
        );
        if !errors.is_empty() {
            message.push_str(&format!("; resolution errors: [{}]", errors.join(" ")));
        }
        Err(message)
    }
}

/// Why a binding is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    NoRole(RoleRef),
    Escalation(String),
}

fn full_authority() -> [PolicyRule; 2] {
    let all = || vec!["*".to_owned()];
    [
        PolicyRule {
            verbs: all(),
            api_groups: all(),
            resources: all(),
            ..PolicyRule::default()
        },
        PolicyRule {
            verbs: all(),
            non_resource_urls: all(),
            ..PolicyRule::default()
        },
    ]
}

/// As Go prints a list of quoted strings.
fn list(values: &[String]) -> String {
    format!(
        "[{}]",
        values
            .iter()
            .map(|value| quote(value))
            .collect::<Vec<_>>()
            .join(" ")
    )
}

fn describe(rule: &PolicyRule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, values)| !values.is_empty())
        .map(|(name, values)| format!("{name}:{}", list(values)))
        .collect();
    format!("{{{}}}", parts.join(", "))
}
