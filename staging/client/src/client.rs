//! The client proper: credentials, user agent, rate limit, retries and failures around a transport.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apimachinery::status::{Reason, Status};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;

use crate::config::{self, Config};
use crate::credentials::Source;
use crate::rate_limit::RateLimiter;
use crate::request::{PROTOBUF, Request, Scope};
use crate::transport::http::HttpTransport;
use crate::transport::{self, Body, Transport};
use crate::{Api, Error, wire};

/// How often a request is sent again when the server says `Retry-After`.
const MAX_RETRIES: u32 = 10;
/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// The largest answer that is read whole. A page of a list stays far below it.
const MAX_BODY_BYTES: usize = 1 << 30;

/// A handle to one API server with one identity. Clones share connections and the rate limit.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Arc<dyn Transport>,
    base: String,
    credentials: Source,
    user_agent: String,
    limiter: RateLimiter,
    timeout: Option<Duration>,
    namespace: String,
}

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Response {
    pub code: u16,
    pub protobuf: bool,
    pub body: Bytes,
}

impl Client {
    pub fn new(config: Config) -> Result<Self, config::Error> {
        let transport = HttpTransport::new(config.tls.clone())?;
        Ok(Self::with_transport(config, Arc::new(transport)))
    }

    /// A client over any transport; of the configuration everything but TLS is used.
    pub fn with_transport(config: Config, transport: Arc<dyn Transport>) -> Self {
        Client(Arc::new(Inner {
            transport,
            base: config.server.trim_end_matches('/').to_owned(),
            credentials: Source::new(config.credentials),
            user_agent: config.user_agent,
            limiter: RateLimiter::new(config.qps, config.burst),
            timeout: config.timeout,
            namespace: config.namespace,
        }))
    }

    /// The same credentials and connections under another name, with a rate limit of its own.
    pub fn with_user_agent(&self, config: &Config, user_agent: impl Into<String>) -> Self {
        let config = Config {
            user_agent: user_agent.into(),
            ..config.clone()
        };
        Self::with_transport(config, self.0.transport.clone())
    }

    /// The typed view of a resource, of all namespaces until narrowed.
    pub fn api<K: api::Resource>(&self) -> Api<K> {
        Api::new(self.clone(), Scope::All)
    }

    /// The namespace of the configuration's context.
    pub fn default_namespace(&self) -> &str {
        &self.0.namespace
    }

    /// Sends a request and reads its answer. A failure of the server is an `Error::Api`.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        match self.0.timeout {
            Some(limit) => tokio::time::timeout(limit, self.send_untimed(request))
                .await
                .map_err(|_| Error::Timeout)?,
            None => self.send_untimed(request).await,
        }
    }

    async fn send_untimed(&self, request: Request) -> Result<Response, Error> {
        self.0.limiter.wait().await;
        let response = self.send_with_retries(&request).await?;
        let (parts, body) = response.into_parts();
        let body = http_body_util::Limited::new(body, MAX_BODY_BYTES);
        let body = body
            .collect()
            .await
            .map_err(|source| Error::Transport(transport::Error::Broken(source)))?;
        Ok(Response {
            code: parts.status.as_u16(),
            protobuf: is_protobuf(&parts.headers),
            body: body.to_bytes(),
        })
    }

    /// Sends a request whose answer is a stream (watch, logs). Neither rate limit nor timeout apply.
    pub async fn stream(&self, request: Request) -> Result<http::Response<Body>, Error> {
        self.send_with_retries(&request).await
    }

    async fn send_with_retries(&self, request: &Request) -> Result<http::Response<Body>, Error> {
        let mut attempt = 0;
        loop {
            let outcome = self.0.transport.send(self.build(request)?).await;
            let response = match outcome {
                // An idle connection that the server closed: safe to repeat when nothing can have changed.
                Err(transport::Error::Broken(_)) if request.method == http::Method::GET && attempt == 0 => {
                    attempt += 1;
                    continue;
                }
                Err(error) => return Err(Error::Transport(error)),
                Ok(response) => response,
            };
            if response.status().is_success() {
                log_warnings(response.headers());
                return Ok(response);
            }
            match retry_after(response.status(), response.headers()) {
                Some(delay) if attempt < MAX_RETRIES => {
                    attempt += 1;
                    tracing::debug!(path = %request.path, ?delay, attempt, "server asks to retry later");
                    tokio::time::sleep(delay).await;
                }
                _ => return Err(self.failure(response).await),
            }
        }
    }

    fn build(&self, request: &Request) -> Result<http::Request<Bytes>, Error> {
        let mut builder = http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{}", self.0.base, request.path_and_query()))
            .header(http::header::ACCEPT, request.accept)
            .header(http::header::USER_AGENT, &self.0.user_agent);
        if let Some(content_type) = request.content_type {
            builder = builder.header(http::header::CONTENT_TYPE, content_type);
        }
        if let Some(value) = self
            .0
            .credentials
            .header(Instant::now())
            .map_err(Error::Credentials)?
        {
            builder = builder.header(http::header::AUTHORIZATION, value);
        }
        builder
            .body(request.body.clone())
            .map_err(|error| Error::Request(error.to_string()))
    }

    async fn failure(&self, response: http::Response<Body>) -> Error {
        let (parts, body) = response.into_parts();
        if parts.status == StatusCode::UNAUTHORIZED {
            self.0.credentials.forget();
        }
        // The code alone is worth reporting when the body can't be read.
        let body = match http_body_util::Limited::new(body, 1 << 20).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::new(),
        };
        Error::Api(status_of(
            parts.status.as_u16(),
            is_protobuf(&parts.headers),
            &body,
        ))
    }
}

pub(crate) fn is_protobuf(headers: &http::HeaderMap) -> bool {
    headers
        .get(http::header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with(PROTOBUF))
}

fn log_warnings(headers: &http::HeaderMap) {
    for warning in headers
        .get_all("warning")
        .iter()
        .filter_map(|value| value.to_str().ok())
    {
        tracing::debug!(warning, "warning of the API server");
    }
}

/// The delay before the next attempt, when the server wants one.
fn retry_after(status: StatusCode, headers: &http::HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return None;
    }
    let seconds = headers
        .get(http::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The status in an error's body, or one made from the code when the body isn't a Status.
fn status_of(code: u16, protobuf: bool, body: &Bytes) -> Status {
    let parsed = if protobuf {
        decode_status(body)
    } else {
        Status::from_json(body).ok()
    };
    parsed.unwrap_or_else(|| Status {
        code,
        reason: reason_of(code),
        message: match std::str::from_utf8(body) {
            Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
            _ => format!("the server responded with the status code {code}"),
        },
        ..Status::default()
    })
}

/// A protobuf Status, through its descriptor to the JSON form that `Status` reads.
pub(crate) fn decode_status(body: &Bytes) -> Option<Status> {
    use api::Message;
    let envelope = wire::unwrap(body).ok()?;
    let message = api::meta::v1::Status::decode(&envelope.raw).ok()?;
    Status::from_json(&message.to_json()).ok()
}

fn reason_of(code: u16) -> Reason {
    match code {
        400 => Reason::BadRequest,
        401 => Reason::Unauthorized,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        405 => Reason::MethodNotAllowed,
        406 => Reason::NotAcceptable,
        409 => Reason::Conflict,
        410 => Reason::Gone,
        413 => Reason::RequestEntityTooLarge,
        415 => Reason::UnsupportedMediaType,
        422 => Reason::Invalid,
        429 => Reason::TooManyRequests,
        503 => Reason::ServiceUnavailable,
        504 => Reason::Timeout,
        _ => Reason::InternalError,
    }
}

#[cfg(test)]
mod tests;
