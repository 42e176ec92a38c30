//! Who asks: certificates, tokens, front proxies; else anonymous, or 401.

use std::sync::Arc;

use apimachinery::status::Status;
use futures_util::future::BoxFuture;
use http::Version;

use super::{Filter, Next, goaway};
use crate::metrics::Metrics;
use crate::request::Request;
use crate::response::{Response, refusal};

const SPACED_TOKEN: &str =
    "the provided Authorization header contains extra space before the bearer token, and is ignored";

pub struct Authentication {
    pub authenticator: Arc<dyn auth::Authenticator>,
    pub metrics: Arc<Metrics>,
}

impl Filter for Authentication {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            if has_spaced_token(request) {
                request.warn(SPACED_TOKEN);
            }
            let credentials = auth::Credentials {
                headers: &request.head.headers,
                certificates: &request.peer.certificates,
                path: &request.info.path,
            };
            match self.authenticator.authenticate(credentials).await {
                Ok(Some(user)) => {
                    self.metrics.authenticated("success", &user.name);
                    request.user = user;
                }
                Ok(None) => {
                    self.metrics.authenticated("failure", "");
                    return refuse(request);
                }
                Err(error) => {
                    self.metrics.authenticated("error", "");
                    tracing::warn!(%error, uri = %request.head.uri, audit_id = %request.audit_id, "Unable to authenticate the request");
                    return refuse(request);
                }
            }
            // A bearer token must not travel on to a node or an extension server.
            auth::authenticators::bearer::remove_credentials(&mut request.head.headers);
            let stranger = request.user.name == auth::user::ANONYMOUS;
            let mut response = next.run(request).await;
            if stranger {
                send_away(request, &mut response);
            }
            response
        })
    }
}

/// A bearer token behind more than one space is none.
fn has_spaced_token(request: &Request) -> bool {
    let header = request.header("authorization").unwrap_or_default().trim();
    let mut parts = header.splitn(3, ' ');
    let scheme = parts.next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer") && parts.next() == Some("") && parts.next().is_some()
}

fn refuse(request: &Request) -> Response {
    let mut response = refusal(&Status::unauthorized(), request);
    send_away(request, &mut response);
    response
}

/// HTTP/2 lends itself to abuse (CVE-2023-44487): whoever shows no credentials gets one request out of a connection.
fn send_away(request: &Request, response: &mut Response) {
    if request.head.version == Version::HTTP_2 {
        goaway::close(response);
    }
}
