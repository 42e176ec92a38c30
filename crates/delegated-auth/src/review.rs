//! Questions to the API server and its answers, as objects.

use api::authentication::v1::TokenReview;
use api::authorization::v1::{NonResourceAttributes, ResourceAttributes, SubjectAccessReview};
use auth::{Attributes, Decision, UserInfo};

pub(crate) fn token_review(token: &str) -> TokenReview {
    let mut review = TokenReview::default();
    review.spec.token = token.to_owned();
    review
}

/// The user of a reviewed token; `None` if it is no one's.
pub(crate) fn user_of(review: TokenReview) -> Option<UserInfo> {
    let user = review.status.user;
    review.status.authenticated.then(|| UserInfo {
        name: user.username,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra.into_iter().collect(),
    })
}

pub(crate) fn access_review(attributes: &Attributes) -> SubjectAccessReview {
    let mut review = SubjectAccessReview::default();
    let user = &attributes.user;
    review.spec.user.clone_from(&user.name);
    review.spec.uid.clone_from(&user.uid);
    review.spec.groups.clone_from(&user.groups);
    review.spec.extra = user
        .extra
        .iter()
        .map(|(key, values)| (key.clone(), values.clone()))
        .collect();
    if attributes.resource_request {
        review.spec.resource_attributes = Some(Box::new(ResourceAttributes {
            namespace: attributes.namespace.clone(),
            verb: attributes.verb.clone(),
            group: attributes.api_group.clone(),
            version: attributes.api_version.clone(),
            resource: attributes.resource.clone(),
            subresource: attributes.subresource.clone(),
            name: attributes.name.clone(),
            ..ResourceAttributes::default()
        }));
    } else {
        review.spec.non_resource_attributes = Some(Box::new(NonResourceAttributes {
            path: attributes.path.clone(),
            verb: attributes.verb.clone(),
        }));
    }
    review
}

pub(crate) fn decision_of(review: SubjectAccessReview) -> Decision {
    let reason = review.status.reason;
    match (review.status.allowed, review.status.denied) {
        (true, _) => Decision::Allow { reason },
        (false, true) => Decision::Deny { reason },
        (false, false) => Decision::NoOpinion { reason },
    }
}
