//! Paths that name no resource: health, version, metrics, discovery, OpenAPI, keys of service-account tokens.

mod discovery;
mod index;
mod openapi;
mod token_keys;

use apimachinery::status::Status;
use http::{Method, StatusCode};

use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::response::{Response, bytes, page_not_found};
use crate::state::Api;

pub use token_keys::TokenKeys;

/// Serves a request for a path.
pub async fn serve(api: &Api, request: &mut Request) -> Result<Response, Status> {
    if !matches!(request.head.method, Method::GET | Method::HEAD) {
        return Ok(page_not_found());
    }
    let path = request.info.path.clone();
    let query = request.head.uri.query();
    for checks in [&api.health.livez, &api.health.readyz, &api.health.healthz] {
        if let Some(response) = checks.respond(&path, query) {
            return Ok(response);
        }
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [] => index::serve(api),
        ["version"] => version(),
        ["metrics"] => Ok(api.metrics.registry.respond()),
        ["api" | "apis", ..] => discovery::serve(api, &segments, request),
        ["openapi", rest @ ..] => openapi::serve(&api.openapi, rest, request).await,
        [".well-known", "openid-configuration"] => api.token_keys.configuration(),
        ["openid", "v1", "jwks"] => api.token_keys.keys(),
        _ => Ok(page_not_found()),
    }
}

fn version() -> Result<Response, Status> {
    let version = component_base::version::get().to_json();
    let json = serde_json::to_vec_pretty(&version).map_err(Status::internal)?;
    Ok(bytes(StatusCode::OK, Encoding::Json.media_type(), json))
}
