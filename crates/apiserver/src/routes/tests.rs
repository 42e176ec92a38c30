use bytes::Bytes;
use component_base::serving::body::full;
use http::Request as HttpRequest;

use super::*;
use crate::request::Peer;

fn check_route(line: &str, headers: &[(&str, &str)], expected: &str) {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut builder = HttpRequest::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (head, ()) = builder.body(()).expect("a request").into_parts();
    let peer = Peer {
        addr: "127.0.0.1:1".parse().expect("an address"),
        local: "127.0.0.1:2".parse().expect("an address"),
        certificates: Vec::new().into(),
        secure: true,
    };
    let request = Request::new(head, full(Bytes::new()), peer).expect("a path");
    let info = &request.info;
    let row =
        api::catalogue::resource(&info.api_group, &info.api_version, &info.resource).expect("a resource");
    let found = match check(row, &request) {
        Ok(()) => "ok".to_owned(),
        Err(status) => format!("{} {}", status.code, status.message.replace('\n', "|")),
    };
    assert_eq!(found, expected, "{line} {headers:?}");
}

const NOT_FOUND: &str = "404 the server could not find the requested resource";
const NOT_ALLOWED: &str = "405 the server does not allow this method on the requested resource";

#[test]
fn paths_and_methods() {
    let cases = [
        ("GET /api/v1/configmaps", "ok"),
        ("POST /api/v1/configmaps", NOT_ALLOWED),
        ("PUT /api/v1/configmaps", NOT_ALLOWED),
        ("HEAD /api/v1/configmaps", NOT_ALLOWED),
        ("GET /api/v1/configmaps/a", NOT_FOUND),
        ("POST /api/v1/namespaces/n/configmaps", "ok"),
        ("PUT /api/v1/namespaces/n/configmaps", NOT_ALLOWED),
        ("POST /api/v1/namespaces/n/configmaps/a", NOT_ALLOWED),
        ("GET /api/v1/namespaces/n/configmaps/a/b", NOT_FOUND),
        ("GET /api/v1/namespaces/n/nodes", NOT_FOUND),
        ("GET /api/v1/nodes/x/status", "ok"),
        ("GET /api/v1/nodes/x/status/y", NOT_FOUND),
        ("DELETE /api/v1/namespaces/n/status", NOT_ALLOWED),
        ("GET /api/v1/namespaces/n/finalize", NOT_ALLOWED),
        (
            "FOO /api/v1/nodes/x/proxy/metrics",
            "405 the server does not allow this method on the requested resource",
        ),
        ("GET /api/v1/watch/pods", "ok"),
        ("POST /api/v1/watch/pods", NOT_ALLOWED),
        ("GET /api/v1/watch/pods/x", NOT_FOUND),
        ("GET /api/v1/watch/namespaces/n/pods/x", "ok"),
        ("GET /api/v1/proxy/pods", NOT_FOUND),
        ("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", "ok"),
        (
            "GET /apis/authorization.k8s.io/v1/subjectaccessreviews",
            NOT_ALLOWED,
        ),
        (
            "POST /apis/authorization.k8s.io/v1/subjectaccessreviews/x",
            NOT_FOUND,
        ),
        (
            "POST /apis/authorization.k8s.io/v1/localsubjectaccessreviews",
            NOT_FOUND,
        ),
    ];
    for (line, expected) in cases {
        check_route(
            line,
            &[("content-type", "application/merge-patch+json")],
            expected,
        );
    }
}

#[test]
fn bodies_and_answers() {
    let item = "/api/v1/namespaces/n/configmaps/a";
    let unsupported = "415 415: Unsupported Media Type";
    let patch = format!("PATCH {item}");
    check_route(&patch, &[], unsupported);
    check_route(&patch, &[("content-type", "application/json")], unsupported);
    check_route(
        &patch,
        &[("content-type", "application/json-patch+json; charset=utf-8")],
        "ok",
    );
    let get = format!("GET {item}");
    let documents = "406 406: Not Acceptable||Available representations: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    check_route(&get, &[("accept", "text/html")], documents);
    check_route(&get, &[("accept", "application/*")], documents);
    check_route(&get, &[("accept", "text/html, application/yaml;q=0.1")], "ok");
    check_route(
        "GET /api/v1/configmaps?watch=1",
        &[("accept", "text/html")],
        &format!(
            "{documents}, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
        ),
    );
    check_route(
        "GET /api/v1/namespaces/n/pods/p/log",
        &[("accept", "text/plain")],
        "ok",
    );
    check_route(
        "GET /api/v1/namespaces/n/pods/p/exec",
        &[("accept", "text/html")],
        "ok",
    );
}
