//! May they: asks the authorizers, and words the refusal.

use std::sync::Arc;

use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use auth::{Attributes, Decision};
use futures_util::future::BoxFuture;

use super::{Filter, Next};
use crate::request::Request;
use crate::response::{self, Response};

pub struct Authorization {
    pub authorizer: Arc<dyn auth::Authorizer>,
}

impl Filter for Authorization {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let attributes = attributes(request);
            match self.authorizer.authorize(&attributes).await {
                Decision::Allow { .. } => next.run(request).await,
                Decision::Deny { reason } | Decision::NoOpinion { reason } => {
                    tracing::debug!(uri = %request.head.uri, user = %request.user.name, %reason, "Forbidden");
                    response::forbidden(&forbidden(&attributes, &reason), request)
                }
            }
        })
    }
}

/// What authorizers see of a request.
pub fn attributes(request: &Request) -> Attributes {
    let info = &request.info;
    Attributes {
        user: request.user.clone(),
        verb: info.verb.clone(),
        namespace: info.namespace.clone(),
        api_group: info.api_group.clone(),
        api_version: info.api_version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        name: info.name.clone(),
        resource_request: info.is_resource_request,
        path: info.path.clone(),
        field_selector: info.field_selector.clone(),
        label_selector: info.label_selector.clone(),
    }
}

/// The 403 that names what was refused to whom.
pub fn forbidden(attributes: &Attributes, reason: &str) -> Status {
    let mut message = sanitize(&attributes.refusal());
    if !reason.is_empty() {
        message.push_str(": ");
        message.push_str(reason);
    }
    let resource = GroupResource {
        group: attributes.api_group.clone(),
        resource: attributes.resource.clone(),
    };
    Status::forbidden(&resource, &attributes.name, message)
}

/// Keeps an error from looking like HTML.
fn sanitize(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
