//! Pages that come through the proxy: links that lead to the backend's root are led back through the proxy. Pure.
//!
//! Upstream: `k8s.io/apimachinery/pkg/util/proxy/transport.go`.

mod html;

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
    LOCATION,
};
use http_body_util::BodyExt;

use super::target::Target;
use crate::request::Request;
use crate::response::{self, BoxError, Response};

/// A backend does not decide who may use the API server from other origins.
const CROSS_ORIGIN: [HeaderName; 4] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
];

/// Where links of one answer lead.
#[derive(Clone, Debug)]
pub struct Links {
    /// The path that stands for the backend's root, without a slash at its end.
    prefix: String,
    /// Names of the backend in links: its own, and the one that the client knows.
    backend: String,
    requested: String,
}

impl Links {
    pub fn new(target: &Target, request: &Request) -> Links {
        Links {
            prefix: super::target::prefix(request).to_owned(),
            backend: target.authority(),
            requested: request.header("host").unwrap_or_default().to_owned(),
        }
    }

    /// The answer, with its links rewritten when it is a page or a redirection.
    pub fn rewrite(self, answer: Response) -> Response {
        let (mut head, body) = answer.into_parts();
        for name in CROSS_ORIGIN {
            head.headers.remove(name);
        }
        if let Some(location) = head.headers.get(LOCATION) {
            let moved = location.to_str().ok().and_then(|link| self.link(link));
            if let Some(moved) = moved.and_then(|link| HeaderValue::from_str(&link).ok()) {
                head.headers.insert(LOCATION, moved);
            }
            return Response::from_parts(head, body);
        }
        if !is_page(&head.headers) {
            return Response::from_parts(head, body);
        }
        head.headers.remove(CONTENT_LENGTH);
        let page = (html::Rewriter::default(), Some(body.into_data_stream()));
        let chunks = stream::try_unfold((page, self), |((mut rewriter, source), links)| async move {
            let Some(mut source) = source else {
                return Ok::<_, BoxError>(None);
            };
            let link = |link: &str| links.link(link);
            let next = futures_util::StreamExt::next(&mut source).await.transpose()?;
            let (chunk, source) = match next {
                Some(chunk) => (rewriter.push(&chunk, &link), Some(source)),
                None => (rewriter.finish(), None),
            };
            Ok(Some((Bytes::from(chunk), ((rewriter, source), links))))
        });
        Response::from_parts(head, response::stream(chunks))
    }

    /// The link as it must be followed from outside; `None`: as it is.
    fn link(&self, link: &str) -> Option<String> {
        let (origin, host, path) = split(link);
        let own = host.is_empty() || host == self.backend || host == self.requested;
        let inside = path == self.prefix
            || path
                .strip_prefix(&self.prefix)
                .is_some_and(|rest| rest.starts_with(['/', '?', '#']));
        if !own || !path.starts_with('/') {
            return None;
        }
        // A link by the name that the client knows stays with that name.
        let origin = if host == self.requested { origin } else { "" };
        let prefix = if inside { "" } else { &self.prefix };
        Some(format!("{origin}{prefix}{path}"))
    }
}

/// What stands before the path, the host in it, and the path with all that follows.
fn split(link: &str) -> (&str, &str, &str) {
    let scheme = ["http://", "https://", "//"]
        .into_iter()
        .find(|scheme| link.starts_with(scheme));
    let Some(scheme) = scheme else {
        return ("", "", link);
    };
    let rest = &link[scheme.len()..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (&link[..scheme.len() + end], &rest[..end], &rest[end..])
}

/// Only plain HTML: what is compressed passes as it is.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim() == "text/html" && !headers.contains_key(CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(link: &str, expected: &str) {
        let links = Links {
            prefix: "/api/v1/namespaces/n/pods/p/proxy".into(),
            backend: "10.0.0.1:8080".into(),
            requested: "api.example:6443".into(),
        };
        let rewritten = links.link(link).unwrap_or_else(|| link.to_owned());
        assert_eq!(rewritten, expected);
    }

    #[test]
    fn links_to_the_root_go_through_the_proxy() {
        check("/", "/api/v1/namespaces/n/pods/p/proxy/");
        check("/a?b=/c#d", "/api/v1/namespaces/n/pods/p/proxy/a?b=/c#d");
        check("http://10.0.0.1:8080/a", "/api/v1/namespaces/n/pods/p/proxy/a");
        check("//10.0.0.1:8080/a", "/api/v1/namespaces/n/pods/p/proxy/a");
        check(
            "https://api.example:6443/a",
            "https://api.example:6443/api/v1/namespaces/n/pods/p/proxy/a",
        );
    }

    #[test]
    fn other_links_stay() {
        for link in [
            "",
            "a/b",
            "?q",
            "#f",
            "mailto:a@b",
            "http://elsewhere/a",
            "/api/v1/namespaces/n/pods/p/proxy/a",
            "http://10.0.0.1:8080",
        ] {
            check(link, link);
        }
        check(
            "/api/v1/namespaces/n/pods/p/proxying",
            "/api/v1/namespaces/n/pods/p/proxy/api/v1/namespaces/n/pods/p/proxying",
        );
    }
}
