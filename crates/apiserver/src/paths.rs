//! Paths that name no resource: health, version, metrics, discovery, OpenAPI, keys of service-account tokens.

mod discovery;
mod index;
mod openapi;
mod token_keys;

use apimachinery::status::Status;
use flow_control::dump;
use futures_util::FutureExt;
use http::StatusCode;
use storage::cache::Freshness;

use crate::objects::failed;
use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::response::{Response, bytes, page_not_found, text};
use crate::routes;
use crate::state::Api;

pub use token_keys::TokenKeys;

/// Serves a request for a path.
pub async fn serve(api: &Api, request: &mut Request) -> Result<Response, Status> {
    let path = request.info.path.clone();
    if path.starts_with("//") {
        return Ok(page_not_found());
    }
    let query = request.head.uri.query();
    for checks in [&api.health.livez, &api.health.readyz, &api.health.healthz] {
        if let Some(response) = checks.respond(&path, query) {
            return Ok(response);
        }
    }
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [] => index::serve(api),
        ["version"] => {
            routes::check_document(request, &[Encoding::Json.media_type()])?;
            version()
        }
        ["metrics"] => metrics(api).await,
        ["api" | "apis", ..] => discovery::serve(api, &segments, request),
        ["debug", "api_priority_and_fairness", dump] => Ok(flow_control_dump(api, dump, request)),
        ["openapi", rest @ ..] => openapi::serve(&api.openapi.load_full(), rest, request).await,
        [".well-known", "openid-configuration"] => {
            routes::check_document(request, &[Encoding::Json.media_type()])?;
            api.token_keys.configuration()
        }
        ["openid", "v1", "jwks"] => {
            routes::check_document(request, &[pki::token::discovery::KEYS_CONTENT_TYPE])?;
            api.token_keys.keys()
        }
        _ => Ok(page_not_found()),
    }
}

/// Counts of objects are taken when they are asked for: they cost nothing in between.
async fn metrics(api: &Api) -> Result<Response, Status> {
    for objects in api.resources.all() {
        if let Some(Ok(snapshot)) = objects.cache.snapshot(Freshness::Any).now_or_never() {
            api.metrics
                .object_count(objects.row.group, objects.row.plural, snapshot.len());
        }
    }
    for (number, store) in api.store.all().iter().enumerate() {
        let size = store.size_on_disk().await.map_err(|error| failed(&error))?;
        api.metrics.storage_size(number, size);
    }
    Ok(api.metrics.registry.respond())
}

/// What flow control is doing, for people.
fn flow_control_dump(api: &Api, dump: &str, request: &Request) -> Response {
    let Some(flow_control) = &api.flow_control else {
        return page_not_found();
    };
    let details = request
        .query
        .get("includeRequestDetails")
        .is_some_and(|value| !value.is_empty());
    let shown = match dump {
        "dump_priority_levels" => dump::priority_levels(flow_control),
        "dump_queues" => dump::queues(flow_control),
        "dump_requests" => dump::requests(flow_control, details),
        _ => return page_not_found(),
    };
    text(StatusCode::OK, shown)
}

fn version() -> Result<Response, Status> {
    let version = component_base::version::get().to_document();
    Ok(bytes(StatusCode::OK, Encoding::Json.media_type(), version))
}
