//! What a request wants, and who decides whether it may.

use futures_util::future::BoxFuture;

use crate::UserInfo;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub user: UserInfo,
    /// `get`, `list`, … for resources, the lower-case HTTP method else.
    pub verb: String,
    pub namespace: String,
    pub api_group: String,
    pub api_version: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// A request for a resource, or for a path such as `/healthz`?
    pub resource_request: bool,
    pub path: String,
    /// As in the query; empty for none.
    pub field_selector: String,
    pub label_selector: String,
}

impl Attributes {
    pub fn is_read_only(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// The refusal in upstream's words, without the reason.
    pub fn refusal(&self) -> String {
        let user = &self.user.name;
        let verb = &self.verb;
        if !self.resource_request {
            return format!("User {user:?} cannot {verb} path {:?}", self.path);
        }
        let resource = match self.subresource.as_str() {
            "" => self.resource.clone(),
            subresource => format!("{}/{subresource}", self.resource),
        };
        let group = &self.api_group;
        match self.namespace.as_str() {
            "" => format!(
                "User {user:?} cannot {verb} resource {resource:?} in API group {group:?} at the cluster scope"
            ),
            namespace => format!(
                "User {user:?} cannot {verb} resource {resource:?} in API group {group:?} in the namespace {namespace:?}"
            ),
        }
    }
}

/// What an authorizer says. The reason is for people; it can be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow {
        reason: String,
    },
    /// No other authorizer is asked.
    Deny {
        reason: String,
    },
    /// Somebody else may know.
    NoOpinion {
        reason: String,
    },
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } | Self::Deny { reason } | Self::NoOpinion { reason } => reason,
        }
    }

    pub fn no_opinion() -> Self {
        Self::NoOpinion {
            reason: String::new(),
        }
    }
}

/// What a user may do in a namespace, for SelfSubjectRulesReview.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserRules {
    pub resource_rules: Vec<api::authorization::v1::ResourceRule>,
    pub non_resource_rules: Vec<api::authorization::v1::NonResourceRule>,
    /// Does an authorizer here decide by more than rules?
    pub incomplete: bool,
    pub evaluation_error: String,
}

/// Decides.
pub trait Authorizer: Send + Sync {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision>;

    /// The rules that hold for a user; an authorizer that does not work by rules says that the list is
    /// incomplete.
    fn rules_for(&self, user: &UserInfo, namespace: &str) -> UserRules;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_worded_as_upstream() {
        let mut attributes = Attributes {
            user: UserInfo::new("ada", &[]),
            verb: "list".into(),
            resource: "pods".into(),
            namespace: "y".into(),
            resource_request: true,
            ..Attributes::default()
        };
        let refusal = r#"User "ada" cannot list resource "pods" in API group "" in the namespace "y""#;
        assert_eq!(attributes.refusal(), refusal);
        attributes.namespace.clear();
        attributes.subresource = "log".into();
        let refusal = r#"User "ada" cannot list resource "pods/log" in API group "" at the cluster scope"#;
        assert_eq!(attributes.refusal(), refusal);
        attributes.resource_request = false;
        attributes.path = "/metrics".into();
        attributes.verb = "get".into();
        assert_eq!(attributes.refusal(), r#"User "ada" cannot get path "/metrics""#);
    }
}
