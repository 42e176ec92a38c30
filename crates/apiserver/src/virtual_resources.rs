//! Resources that are answered and not stored: reviews of tokens and access, component statuses, bindings.

mod component_statuses;
mod reviews;

use std::sync::Arc;

use api::catalogue::Resource;
use apimachinery::status::Status;

use crate::request::Request;
use crate::response::Response;
use crate::state::Api;
use crate::subresources::bind_by_body;

/// Serves a request for a resource without objects.
pub async fn serve(
    api: &Arc<Api>,
    row: &'static Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    match (row.group, row.kind) {
        ("", "Binding") => bind_by_body(api, request).await,
        ("", "ComponentStatus") => component_statuses::serve(api, request).await,
        ("authentication.k8s.io", "TokenReview") => reviews::token(api, row, request).await,
        ("authentication.k8s.io", "SelfSubjectReview") => reviews::self_subject(api, row, request).await,
        ("authorization.k8s.io", "SubjectAccessReview") => reviews::subject_access(api, row, request).await,
        ("authorization.k8s.io", "LocalSubjectAccessReview") => {
            reviews::local_subject_access(api, row, request).await
        }
        ("authorization.k8s.io", "SelfSubjectAccessReview") => {
            reviews::self_subject_access(api, row, request).await
        }
        ("authorization.k8s.io", "SelfSubjectRulesReview") => {
            reviews::self_subject_rules(api, row, request).await
        }
        _ => Err(Status::path_not_found()),
    }
}
