//! Resources that are answered and not stored: reviews, component statuses.

use std::sync::Arc;

use api::catalogue::Resource;
use apimachinery::status::Status;

use crate::request::Request;
use crate::response::Response;
use crate::state::Api;

/// Serves a request for a resource without objects.
pub async fn serve(_api: &Arc<Api>, _row: &'static Resource, _request: &mut Request) -> Result<Response, Status> {
    Err(Status::path_not_found())
}
