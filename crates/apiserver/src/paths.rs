//! Paths that name no resource: health, version, metrics, discovery, OpenAPI, keys of service-account tokens.

use apimachinery::status::Status;
use http::{Method, StatusCode};

use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::response::{Response, bytes, page_not_found};
use crate::state::Api;

pub async fn serve(api: &Api, request: &mut Request) -> Result<Response, Status> {
    let path = request.info.path.clone();
    if !matches!(request.head.method, Method::GET | Method::HEAD) {
        return Ok(page_not_found());
    }
    let query = request.head.uri.query();
    for checks in [&api.health.livez, &api.health.readyz, &api.health.healthz] {
        if let Some(response) = checks.respond(&path, query) {
            return Ok(response);
        }
    }
    match path.trim_end_matches('/') {
        "/version" => {
            let version = component_base::version::get().to_json();
            let json = serde_json::to_vec_pretty(&version).map_err(Status::internal)?;
            Ok(bytes(StatusCode::OK, Encoding::Json.media_type(), json))
        }
        "/metrics" => Ok(api.metrics.registry.respond()),
        _ => Ok(page_not_found()),
    }
}
