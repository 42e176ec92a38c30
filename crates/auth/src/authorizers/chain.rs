//! Asking authorizers in turn, and the simple ones.

use std::sync::Arc;

use api::authorization::v1::{NonResourceRule, ResourceRule};
use futures_util::future::BoxFuture;

use crate::attributes::UserRules;
use crate::user::PRIVILEGED;
use crate::{Attributes, Authorizer, Decision, UserInfo};

/// The first with an opinion decides. Where nobody has one, their reasons are joined by lines.
pub struct Chain {
    authorizers: Vec<Arc<dyn Authorizer>>,
}

impl Chain {
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self { authorizers }
    }
}

impl Authorizer for Chain {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            let mut reasons = Vec::new();
            for authorizer in &self.authorizers {
                match authorizer.authorize(attributes).await {
                    Decision::NoOpinion { reason } if reason.is_empty() => {}
                    Decision::NoOpinion { reason } => reasons.push(reason),
                    decision => return decision,
                }
            }
            Decision::NoOpinion {
                reason: reasons.join("\n"),
            }
        })
    }

    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules {
        let mut all = UserRules::default();
        let mut errors = Vec::new();
        for rules in self
            .authorizers
            .iter()
            .map(|authorizer| authorizer.rules_for(user, namespace))
        {
            all.resource_rules.extend(rules.resource_rules);
            all.non_resource_rules.extend(rules.non_resource_rules);
            all.incomplete |= rules.incomplete;
            errors.extend(Some(rules.evaluation_error).filter(|error| !error.is_empty()));
        }
        all.evaluation_error = match errors.len() {
            0 | 1 => errors.pop().unwrap_or_default(),
            _ => format!("[{}]", errors.join(", ")),
        };
        all
    }
}

fn everything() -> UserRules {
    let any = || vec!["*".to_owned()];
    UserRules {
        resource_rules: vec![ResourceRule {
            verbs: any(),
            api_groups: any(),
            resources: any(),
            resource_names: Vec::new(),
        }],
        non_resource_rules: vec![NonResourceRule {
            verbs: any(),
            non_resource_urls: any(),
        }],
        ..UserRules::default()
    }
}

fn ready<'a>(decision: Decision) -> BoxFuture<'a, Decision> {
    Box::pin(std::future::ready(decision))
}

/// Lets members of `system:masters` do anything, so that a cluster whose roles are broken can be mended.
pub struct PrivilegedGroup;

impl Authorizer for PrivilegedGroup {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        let privileged = attributes.user.in_group(PRIVILEGED);
        ready(if privileged {
            Decision::Allow {
                reason: String::new(),
            }
        } else {
            Decision::no_opinion()
        })
    }

    /// Not enumerated, as upstream: the rule shows through the `cluster-admin` binding.
    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> UserRules {
        UserRules::default()
    }
}

/// `--authorization-mode=AlwaysAllow`.
pub struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize<'a>(&'a self, _attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        ready(Decision::Allow {
            reason: String::new(),
        })
    }

    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> UserRules {
        everything()
    }
}

/// `--authorization-mode=AlwaysDeny`.
pub struct AlwaysDeny;

impl Authorizer for AlwaysDeny {
    fn authorize<'a>(&'a self, _attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        ready(Decision::NoOpinion {
            reason: "Everything is forbidden.".to_owned(),
        })
    }

    fn rules_for(&self, _user: &UserInfo, _namespace: &str) -> UserRules {
        UserRules::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_opinion_decides_and_reasons_add_up() {
        let chain = Chain::new(vec![
            Arc::new(PrivilegedGroup),
            Arc::new(AlwaysDeny),
            Arc::new(AlwaysDeny),
        ]);
        let ask = |groups: &[&str]| Attributes {
            user: UserInfo::new("ada", groups),
            ..Attributes::default()
        };
        assert!(chain.authorize(&ask(&[PRIVILEGED])).await.is_allowed());
        let refused = chain.authorize(&ask(&[])).await;
        assert_eq!(
            refused,
            Decision::NoOpinion {
                reason: "Everything is forbidden.\nEverything is forbidden.".into()
            }
        );
    }
}
