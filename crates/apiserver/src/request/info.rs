//! Which verb on which resource a URL means: the facts that authorization, audit and dispatch share.

use http::Method;

use super::query::{Plus, Query, decode};

/// Path prefixes whose next segment is a version, not a group.
const GROUPLESS_PREFIX: &str = "api";
const GROUP_PREFIX: &str = "apis";

/// `/namespaces/NAME/X` where X is a subresource of the namespace itself.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Subresources whose requests last as long as the client wants.
const LONG_RUNNING_SUBRESOURCES: [&str; 5] = ["attach", "exec", "proxy", "log", "portforward"];

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    pub is_resource_request: bool,
    /// The decoded path.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, … for resources; the lower-case HTTP method else.
    pub verb: String,
    /// Whether the path names the verb, as the deprecated `/watch/` paths do.
    pub verb_in_path: bool,
    pub api_prefix: String,
    pub api_group: String,
    pub api_version: String,
    pub namespace: String,
    pub resource: String,
    pub subresource: String,
    pub name: String,
    /// Path segments from the resource on.
    pub parts: Vec<String>,
    pub field_selector: String,
    pub label_selector: String,
}

/// A path that starts like a resource's and then names none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unable to determine kind and namespace from url, {url}")]
pub struct UnknownPath {
    pub url: String,
}

impl RequestInfo {
    /// Reads a request line.
    pub fn parse(method: &Method, raw_path: &str, query: &Query) -> Result<RequestInfo, UnknownPath> {
        let path = decode(raw_path, Plus::IsItself).unwrap_or_else(|| raw_path.to_owned());
        let mut info = RequestInfo {
            verb: method.as_str().to_ascii_lowercase(),
            path,
            ..RequestInfo::default()
        };
        let segments: Vec<String> = match info.path.trim_matches('/') {
            "" => Vec::new(),
            trimmed => trimmed.split('/').map(str::to_owned).collect(),
        };
        let mut rest = segments.as_slice();
        if rest.len() < 3 || (rest[0] != GROUPLESS_PREFIX && rest[0] != GROUP_PREFIX) {
            return Ok(info);
        }
        let prefix = rest[0].clone();
        rest = &rest[1..];
        let mut group = String::new();
        if prefix == GROUP_PREFIX {
            if rest.len() < 3 {
                info.api_prefix = prefix;
                return Ok(info);
            }
            group = rest[0].clone();
            rest = &rest[1..];
        }
        info.api_prefix = prefix;
        info.api_group = group;
        info.is_resource_request = true;
        info.api_version = rest[0].clone();
        rest = &rest[1..];

        let verb_in_path = rest[0] == "watch" || rest[0] == "proxy";
        info.verb_in_path = verb_in_path;
        if verb_in_path {
            if rest.len() < 2 {
                return Err(UnknownPath { url: info.path });
            }
            info.verb = rest[0].clone();
            rest = &rest[1..];
        } else {
            info.verb = verb_of(method).to_owned();
        }
        info.take_resource(rest);
        info.settle_collection_verb(query);
        if !verb_in_path && matches!(info.verb.as_str(), "list" | "watch" | "deletecollection") {
            info.field_selector = query.get("fieldSelector").unwrap_or_default().to_owned();
            info.label_selector = query.get("labelSelector").unwrap_or_default().to_owned();
        }
        Ok(info)
    }

    fn take_resource(&mut self, mut rest: &[String]) {
        if rest[0] == "namespaces" && rest.len() > 1 {
            self.namespace = rest[1].clone();
            if rest.len() > 2 && !NAMESPACE_SUBRESOURCES.contains(&rest[2].as_str()) {
                rest = &rest[2..];
            }
        }
        self.parts = rest.to_vec();
        self.resource = rest[0].clone();
        if let Some(name) = rest.get(1) {
            self.name = name.clone();
        }
        if rest.len() >= 3 && self.verb != "proxy" {
            self.subresource = rest[2].clone();
        }
    }

    /// A `get` or `delete` without a name is one of the collection's verbs.
    fn settle_collection_verb(&mut self, query: &Query) {
        if !self.name.is_empty() {
            return;
        }
        match self.verb.as_str() {
            "get" => {
                let watch = query
                    .get("watch")
                    .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"));
                self.verb = if watch { "watch" } else { "list" }.to_owned();
                self.name = named_by_field_selector(query).unwrap_or_default();
            }
            "delete" => self.verb = "deletecollection".to_owned(),
            _ => {}
        }
    }

    /// Whether the request may outlive the request timeout: watches and streams.
    pub fn is_long_running(&self) -> bool {
        if !self.is_resource_request {
            return self.path.starts_with("/debug/pprof/");
        }
        self.verb == "watch"
            || self.verb == "proxy"
            || LONG_RUNNING_SUBRESOURCES.contains(&self.subresource.as_str())
    }

    /// Whether the verb only reads.
    pub fn is_read_only(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

fn verb_of(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::GET | Method::HEAD => "get",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    }
}

/// A list of one name, so that RBAC's `resourceNames` apply to it.
fn named_by_field_selector(query: &Query) -> Option<String> {
    let selector = apimachinery::fields::Selector::parse(query.get("fieldSelector")?).ok()?;
    let name = selector.requires_exact_match("metadata.name")?.to_string();
    is_path_segment(&name).then_some(name)
}

/// Whether a name can stand in a URL path: not `.` or `..`, without `/` and `%`.
pub fn is_path_segment(name: &str) -> bool {
    name != "." && name != ".." && !name.contains(['/', '%'])
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(method: &str, target: &str, expected: Expect) {
        let (path, raw) = target.split_once('?').unwrap_or((target, ""));
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let line = match RequestInfo::parse(&method, path, &Query::parse(raw)) {
            Err(error) => error.to_string(),
            Ok(info) if !info.is_resource_request => format!("{} path {}", info.verb, info.path),
            Ok(info) => format!(
                "{} {}/{} ns={} {}/{} sub={} parts={}",
                info.verb,
                info.api_group,
                info.api_version,
                info.namespace,
                info.resource,
                info.name,
                info.subresource,
                info.parts.join("/"),
            ),
        };
        expected.assert_eq(&line);
    }

    #[test]
    fn resource_requests() {
        check(
            "GET",
            "/api/v1/namespaces",
            expect!["list /v1 ns= namespaces/ sub= parts=namespaces"],
        );
        check(
            "GET",
            "/api/v1/namespaces/other",
            expect!["get /v1 ns=other namespaces/other sub= parts=namespaces/other"],
        );
        check(
            "PUT",
            "/api/v1/namespaces/other/finalize",
            expect!["update /v1 ns=other namespaces/other sub=finalize parts=namespaces/other/finalize"],
        );
        check(
            "GET",
            "/api/v1/namespaces/other/pods",
            expect!["list /v1 ns=other pods/ sub= parts=pods"],
        );
        check(
            "POST",
            "/api/v1/namespaces/other/pods/foo/exec?command=a",
            expect!["create /v1 ns=other pods/foo sub=exec parts=pods/foo/exec"],
        );
        check(
            "DELETE",
            "/apis/apps/v1/namespaces/other/deployments",
            expect!["deletecollection apps/v1 ns=other deployments/ sub= parts=deployments"],
        );
        check(
            "GET",
            "/api/v1/pods?watch=true",
            expect!["watch /v1 ns= pods/ sub= parts=pods"],
        );
        check(
            "GET",
            "/api/v1/pods?watch=0",
            expect!["list /v1 ns= pods/ sub= parts=pods"],
        );
        check(
            "GET",
            "/api/v1/watch/namespaces/other/pods/foo",
            expect!["watch /v1 ns=other pods/foo sub= parts=pods/foo"],
        );
        check(
            "GET",
            "/api/v1/pods?fieldSelector=metadata.name%3Dfoo",
            expect!["list /v1 ns= pods/foo sub= parts=pods"],
        );
        check(
            "GET",
            "/api/v1/nodes/n/proxy/metrics",
            expect!["get /v1 ns= nodes/n sub=proxy parts=nodes/n/proxy/metrics"],
        );
    }

    #[test]
    fn other_requests() {
        check("GET", "/", expect!["get path /"]);
        check("GET", "/api/v1", expect!["get path /api/v1"]);
        check("GET", "/apis/apps/v1", expect!["get path /apis/apps/v1"]);
        check("GET", "/healthz/etcd/x", expect!["get path /healthz/etcd/x"]);
        check(
            "GET",
            "/api/v1/watch",
            expect!["unable to determine kind and namespace from url, /api/v1/watch"],
        );
    }
}
