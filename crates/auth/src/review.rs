//! Answering TokenReview, SubjectAccessReview and their kin.

use api::authentication::v1::{TokenReviewSpec, TokenReviewStatus, UserInfo as ApiUser};
use api::authorization::v1::{
    NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReviewSpec, SubjectAccessReviewSpec,
    SubjectAccessReviewStatus, SubjectRulesReviewStatus,
};
use api::meta::v1::{FieldSelectorRequirement, LabelSelectorRequirement};

use crate::{Attributes, Authorizer, Decision, TokenAuthenticator, UserInfo};

/// Whose token is it? Without audiences the API server's own are meant.
pub async fn token(
    tokens: &dyn TokenAuthenticator,
    spec: &TokenReviewSpec,
    own_audiences: &[String],
) -> TokenReviewStatus {
    let audiences = if spec.audiences.is_empty() {
        own_audiences
    } else {
        &spec.audiences
    };
    match tokens.authenticate_token(&spec.token, audiences).await {
        Ok(Some(identity)) => {
            // An authenticator that knows nothing of audiences speaks for the API server alone.
            let audiences = match identity.audiences.is_empty() {
                true => own_audiences
                    .iter()
                    .filter(|own| audiences.contains(own))
                    .cloned()
                    .collect::<Vec<_>>(),
                false => identity.audiences,
            };
            if audiences.is_empty() && !own_audiences.is_empty() {
                return TokenReviewStatus {
                    error: "token audiences do not match".to_owned(),
                    ..TokenReviewStatus::default()
                };
            }
            let user = identity.user.into_authenticated().to_api();
            TokenReviewStatus {
                authenticated: true,
                user,
                audiences,
                error: String::new(),
            }
        }
        Ok(None) => TokenReviewStatus {
            error: "invalid bearer token".to_owned(),
            ..TokenReviewStatus::default()
        },
        Err(error) => TokenReviewStatus {
            error: error.to_string(),
            user: ApiUser::default(),
            ..TokenReviewStatus::default()
        },
    }
}

/// What a SubjectAccessReview asks.
pub fn attributes_of(spec: &SubjectAccessReviewSpec) -> Attributes {
    let user = UserInfo {
        name: spec.user.clone(),
        uid: spec.uid.clone(),
        groups: spec.groups.clone(),
        extra: spec.extra.clone(),
    };
    attributes(
        user,
        spec.resource_attributes.as_deref(),
        spec.non_resource_attributes.as_deref(),
    )
}

/// What a SelfSubjectAccessReview asks for the user who sends it.
pub fn attributes_of_self(user: &UserInfo, spec: &SelfSubjectAccessReviewSpec) -> Attributes {
    attributes(
        user.clone(),
        spec.resource_attributes.as_deref(),
        spec.non_resource_attributes.as_deref(),
    )
}

fn attributes(
    user: UserInfo,
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) -> Attributes {
    match (resource, path) {
        (Some(resource), _) => Attributes {
            user,
            verb: resource.verb.clone(),
            namespace: resource.namespace.clone(),
            api_group: resource.group.clone(),
            // An empty version stands for any.
            api_version: if resource.version.is_empty() {
                "*".to_owned()
            } else {
                resource.version.clone()
            },
            resource: resource.resource.clone(),
            subresource: resource.subresource.clone(),
            name: resource.name.clone(),
            resource_request: true,
            field_selector: field_selector(resource),
            label_selector: resource
                .label_selector
                .as_ref()
                .map(|selector| selector.raw_selector.clone())
                .unwrap_or_default(),
            ..Attributes::default()
        },
        (None, Some(path)) => Attributes {
            user,
            verb: path.verb.clone(),
            path: path.path.clone(),
            ..Attributes::default()
        },
        (None, None) => Attributes {
            user,
            ..Attributes::default()
        },
    }
}

/// Either the selector as text, or its requirements: those that name one value become text again, which is
/// all that authorizers here look at. Others can only narrow the request.
fn field_selector(resource: &ResourceAttributes) -> String {
    let Some(selector) = &resource.field_selector else {
        return String::new();
    };
    if !selector.raw_selector.is_empty() {
        return selector.raw_selector.clone();
    }
    let equalities = selector
        .requirements
        .iter()
        .filter(|requirement| requirement.operator == "In" && requirement.values.len() == 1);
    let escape = apimachinery::fields::escape_value;
    equalities
        .map(|requirement| format!("{}={}", requirement.key, escape(&requirement.values[0])))
        .collect::<Vec<_>>()
        .join(",")
}

/// What of the selectors was not looked at, as they could not be read.
fn unread_selectors(resource: &ResourceAttributes) -> String {
    let mut unread = Vec::new();
    if let Some(selector) = &resource.field_selector {
        let read = |requirement: &&FieldSelectorRequirement| {
            matches!(requirement.operator.as_str(), "In" | "NotIn") && requirement.values.len() == 1
        };
        let raw = apimachinery::fields::Selector::parse(&selector.raw_selector).is_ok();
        let read = selector.requirements.iter().filter(read).count();
        unread.extend(ignored("fieldSelector", raw, read, selector.requirements.len()));
    }
    if let Some(selector) = &resource.label_selector {
        let known = ["In", "NotIn", "Exists", "DoesNotExist"];
        let read = |requirement: &&LabelSelectorRequirement| known.contains(&requirement.operator.as_str());
        let raw = apimachinery::labels::Selector::parse(&selector.raw_selector).is_ok();
        let read = selector.requirements.iter().filter(read).count();
        unread.extend(ignored("labelSelector", raw, read, selector.requirements.len()));
    }
    unread.join("; ")
}

fn ignored(selector: &str, raw_is_read: bool, read: usize, all: usize) -> Option<String> {
    let how = match (all, read) {
        (0, _) if raw_is_read => return None,
        (0, _) | (_, 0) => "ignored",
        (all, read) if all == read => return None,
        _ => "partially ignored",
    };
    Some(format!(
        "spec.resourceAttributes.{selector} {how} due to parse error"
    ))
}

/// The answer to either review.
pub fn access(decision: Decision, resource: Option<&ResourceAttributes>) -> SubjectAccessReviewStatus {
    let (allowed, denied) = match decision {
        Decision::Allow { .. } => (true, false),
        Decision::Deny { .. } => (false, true),
        Decision::NoOpinion { .. } => (false, false),
    };
    SubjectAccessReviewStatus {
        allowed,
        denied,
        reason: decision.reason().to_owned(),
        evaluation_error: resource.map(unread_selectors).unwrap_or_default(),
    }
}

/// The answer to a SelfSubjectRulesReview.
pub fn rules(authorizer: &dyn Authorizer, user: &UserInfo, namespace: &str) -> SubjectRulesReviewStatus {
    let rules = authorizer.rules_for(user, namespace);
    SubjectRulesReviewStatus {
        resource_rules: rules.resource_rules,
        non_resource_rules: rules.non_resource_rules,
        incomplete: rules.incomplete,
        evaluation_error: rules.evaluation_error,
    }
}

#[cfg(test)]
mod tests;
