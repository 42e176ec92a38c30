//! Which methods, bodies and answers a path takes: judged before any handler sees the request, with the words of
//! the router that upstream serves its API through.
//!
//! Upstream: `apiserver/pkg/endpoints/installer.go`, go-restful's `detectRoute`.

use api::catalogue::Resource;
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use http::Method;

use crate::request::Request;
use crate::request::info::RequestInfo;
use crate::request::negotiate::PROTOBUF;

const ANY: &str = "*/*";
const JSON: &str = "application/json";
const DOCUMENTS: [&str; 3] = [JSON, "application/yaml", PROTOBUF];
const STREAMS: [&str; 2] = [
    "application/json;stream=watch",
    "application/vnd.kubernetes.protobuf;stream=watch",
];
const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Subresources that stream, and the methods that open them: any body, any answer.
const CONNECTING: [(&str, &[&str]); 4] = [
    (
        "proxy",
        &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"],
    ),
    ("exec", &["GET", "POST"]),
    ("attach", &["GET", "POST"]),
    ("portforward", &["GET", "POST"]),
];

/// What stands at a path.
struct Route {
    methods: Vec<&'static str>,
    produces: Vec<&'static str>,
}

/// Refuses what no route of a resource takes: 404, 405, 415 or 406, in this order.
pub fn check(row: &Resource, request: &Request) -> Result<(), Status> {
    let route = route(row, &request.info).ok_or_else(Status::path_not_found)?;
    admit(&route, request)
}

/// The same for a document that is read with GET: discovery, the version, keys.
pub fn check_document(request: &Request, produces: &[&'static str]) -> Result<(), Status> {
    let route = Route {
        methods: vec!["GET"],
        produces: produces.to_vec(),
    };
    admit(&route, request)
}

/// [`check_document`] for documents in every encoding.
pub fn check_discovery(request: &Request) -> Result<(), Status> {
    check_document(request, &DOCUMENTS)
}

fn admit(route: &Route, request: &Request) -> Result<(), Status> {
    let method = request.head.method.as_str();
    if !route.methods.contains(&method) {
        return Err(refusal(405, "405: Method Not Allowed"));
    }
    let content_type = request
        .header("content-type")
        .filter(|text| !text.is_empty())
        .unwrap_or("application/octet-stream");
    if request.head.method == Method::PATCH
        && !route.produces.contains(&ANY)
        && !media_types(content_type).any(|media| matches_one_of(media, &PATCHES))
    {
        return Err(refusal(415, "415: Unsupported Media Type"));
    }
    let accept = request
        .header("accept")
        .filter(|text| !text.is_empty())
        .unwrap_or(ANY);
    if !media_types(accept).any(|media| media == ANY || matches_one_of(media, &route.produces)) {
        let available = route.produces.join(", ");
        return Err(refusal(
            406,
            &format!("406: Not Acceptable\n\nAvailable representations: {available}"),
        ));
    }
    Ok(())
}

fn refusal(code: u16, message: &str) -> Status {
    Status::generic(code, "", &GroupResource::default(), "", message)
}

/// The media types that a header names; parameters don't count.
fn media_types(header: &str) -> impl Iterator<Item = &str> {
    header
        .split(',')
        .map(|clause| clause.split(';').next().unwrap_or_default().trim())
}

fn matches_one_of(media: &str, types: &[&str]) -> bool {
    types.iter().any(|known| *known == ANY || *known == media)
}

/// The route of a path, if there is one.
fn route(row: &Resource, info: &RequestInfo) -> Option<Route> {
    let namespaced = !info.namespace.is_empty() && info.resource != "namespaces";
    if namespaced && !row.namespaced {
        return None;
    }
    let everywhere = row.namespaced && !namespaced;
    let name = info.parts.get(1);
    if info.verb_in_path {
        let watches = info.verb == "watch" && row.verbs.contains(&"watch") && info.parts.len() <= 2;
        return (watches && (name.is_none() || !everywhere)).then(|| Route {
            methods: vec!["GET"],
            produces: documents_and_streams(),
        });
    }
    if everywhere && name.is_some() {
        return None;
    }
    if info.parts.get(2).is_some() {
        return subresource_route(row, info);
    }
    let verbs: &[(&str, &'static str)] = match (name, everywhere) {
        (None, true) => &[("list", "GET")],
        (None, false) => &[
            ("list", "GET"),
            ("create", "POST"),
            ("deletecollection", "DELETE"),
        ],
        (Some(_), _) => OBJECT_VERBS,
    };
    let methods: Vec<&str> = methods(row.verbs, verbs);
    let reads_collection = name.is_none() && info.verb != "create" && info.verb != "deletecollection";
    (!methods.is_empty()).then(|| Route {
        methods,
        produces: if reads_collection {
            documents_and_streams()
        } else {
            DOCUMENTS.to_vec()
        },
    })
}

const OBJECT_VERBS: &[(&str, &str)] = &[
    ("get", "GET"),
    ("update", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
];

/// What is posted to a part of an object, such as a binding.
const SUBRESOURCE_VERBS: &[(&str, &str)] = &[
    ("get", "GET"),
    ("update", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("create", "POST"),
];

fn subresource_route(row: &Resource, info: &RequestInfo) -> Option<Route> {
    let name = info.subresource.as_str();
    let subresource = row.subresource(name)?;
    if let Some((_, methods)) = CONNECTING.iter().find(|(known, _)| *known == name) {
        return Some(Route {
            methods: methods.to_vec(),
            produces: vec![ANY],
        });
    }
    let mut produces = DOCUMENTS.to_vec();
    if name == "log" {
        produces.insert(0, "text/plain");
    }
    (info.parts.len() == 3).then(|| Route {
        methods: methods(subresource.verbs, SUBRESOURCE_VERBS),
        produces,
    })
}

fn methods(verbs: &[&str], known: &[(&str, &'static str)]) -> Vec<&'static str> {
    known
        .iter()
        .filter(|(verb, _)| verbs.contains(verb))
        .map(|(_, method)| *method)
        .collect()
}

fn documents_and_streams() -> Vec<&'static str> {
    DOCUMENTS.iter().chain(&STREAMS).copied().collect()
}

#[cfg(test)]
mod tests;
