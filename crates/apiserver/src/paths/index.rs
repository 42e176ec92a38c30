//! `/`: the paths that there are.

use apimachinery::status::Status;
use http::StatusCode;
use serde_json::json;

use crate::health::POST_START_HOOKS;
use crate::request::negotiate::Encoding;
use crate::response::{Response, bytes};
use crate::state::Api;

/// Paths beside those of groups and health checks.
const FIXED: &[&str] = &[
    "/.well-known/openid-configuration",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
];

pub fn serve(api: &Api) -> Result<Response, Status> {
    let mut paths: Vec<String> = FIXED.iter().map(|path| (*path).to_owned()).collect();
    for group in api.groups.load().iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(
            group
                .versions
                .iter()
                .map(|version| format!("/apis/{}/{}", group.name, version.name)),
        );
    }
    for endpoint in ["healthz", "livez", "readyz"] {
        paths.extend(["ping", "log", "etcd"].map(|check| format!("/{endpoint}/{check}")));
        paths.extend(
            POST_START_HOOKS
                .iter()
                .map(|hook| format!("/{endpoint}/poststarthook/{hook}")),
        );
    }
    paths.sort();
    let json = serde_json::to_vec_pretty(&json!({ "paths": paths })).map_err(Status::internal)?;
    Ok(bytes(StatusCode::OK, Encoding::Json.media_type(), json))
}
