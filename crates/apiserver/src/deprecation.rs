//! Kinds that are on their way out: every request for them is told so.

use api::catalogue::Resource;

/// What to say to a request for this resource.
pub fn warning(row: &Resource) -> Option<&'static str> {
    match (row.group, row.version, row.kind) {
        ("", "v1", "ComponentStatus") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        ("", "v1", "Endpoints") => {
            Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        }
        _ => None,
    }
}
