//! Refuses new requests once the server ends, and keeps count of those it still answers.

use std::sync::Arc;

use apimachinery::status::Status;
use component_base::serving::UntilSent;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::{StatusCode, header};

use super::{Filter, Next};
use crate::lifecycle::Lifecycle;
use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::response::{Response, failure, text};

/// Answered to the very end: who decides where to send requests needs them.
const ALWAYS_SERVED: [&str; 4] = ["/readyz", "/livez", "/healthz", "/metrics"];

/// How requests are refused while the last ones are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refusal {
    /// The port is closed at once; 503 to those that are still connected.
    #[default]
    Unavailable,
    /// The port stays open until the last request is through; 429 and an end of the connection to all others.
    RetryAfter,
}

pub struct Draining {
    pub lifecycle: Lifecycle,
    pub refusal: Refusal,
}

impl Filter for Draining {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let ending = self.lifecycle.not_accepting.is_triggered();
            if ending && self.refusal == Refusal::RetryAfter && !is_exempt(request) {
                return retry_after();
            }
            if request.info.is_long_running() {
                return next.run(request).await;
            }
            match self.lifecycle.begin() {
                Some(under_way) => {
                    let mut response = next.run(request).await;
                    response.extensions_mut().insert(UntilSent(Arc::new(under_way)));
                    response
                }
                None if is_exempt(request) => next.run(request).await,
                None => unavailable(),
            }
        })
    }
}

/// Health checks and metrics, and what servers ask of each other while one of them ends.
fn is_exempt(request: &Request) -> bool {
    let from_server = request
        .header(header::USER_AGENT.as_str())
        .is_some_and(|agent| agent.starts_with("kube-apiserver/"));
    from_server
        || ALWAYS_SERVED
            .iter()
            .any(|prefix| request.info.path.starts_with(prefix))
}

fn retry_after() -> Response {
    let message = "The apiserver is shutting down, please try again later.\n";
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, message);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

/// Another server will most likely answer the next attempt: a short wait is enough.
fn unavailable() -> Response {
    let status = Status::service_unavailable("apiserver is shutting down");
    let mut response = failure(&status, Encoding::Json);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
