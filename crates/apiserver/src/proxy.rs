//! Requests that go on to a kubelet, a pod or a service.

use std::sync::Arc;

use apimachinery::status::Status;

use crate::request::Request;
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;

/// Serves log, exec, attach, portforward and proxy.
pub async fn serve(_api: &Arc<Api>, _served: &Arc<Served>, _request: &mut Request) -> Result<Response, Status> {
    Err(Status::path_not_found())
}
