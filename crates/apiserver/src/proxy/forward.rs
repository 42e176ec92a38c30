//! Carries a request to its backend and the answer back; upgraded connections are joined.

use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use component_base::shutdown::Shutdown;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{Request as HttpRequest, StatusCode};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::connect::{Backends, Connection};
use super::target::Target;
use crate::request::Request;
use crate::response::{Body, Response, full};

/// Error texts of kubelets that are quoted.
const MAX_ERROR_BYTES: usize = 2048;

/// Headers that are about one connection and not about the request.
const HOP_BY_HOP: [HeaderName; 4] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("te"),
    TRANSFER_ENCODING,
];

/// Sends the request on; what comes back is the answer, or the start of a joined stream.
pub async fn forward(
    backends: &Backends,
    target: &Target,
    request: &mut Request,
    shutdown: &Shutdown,
) -> Result<Response, Status> {
    let unreachable =
        |error: &dyn std::fmt::Display| Status::internal(format!("error dialing backend: {error}"));
    let stream = backends
        .connect(target)
        .await
        .map_err(|error| unreachable(&error))?;
    exchange(stream, &target.authority(), &target.path, request, shutdown)
        .await
        .map_err(|error| match error {
            Exchange::Request(status) => status,
            Exchange::Backend(error) => unreachable(&error),
        })
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Exchange {
    /// The request can't be sent on, or the answer not be passed.
    #[error("{0}")]
    Request(#[from] Status),
    #[error(transparent)]
    Backend(#[from] hyper::Error),
}

/// Sends the request over a connection; what comes back is the answer, or the start of a joined stream.
pub async fn exchange(
    stream: Box<dyn Connection>,
    authority: &str,
    path: &str,
    request: &mut Request,
    shutdown: &Shutdown,
) -> Result<Response, Exchange> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a backend ended");
        }
    });
    let client_upgrade = request
        .head
        .extensions
        .remove::<OnUpgrade>()
        .filter(|_| is_upgrade(request.headers()));
    let outgoing = outgoing(authority, path, request, client_upgrade.is_some())?;
    let mut answer = sender.send_request(outgoing).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client_upgrade
            .ok_or_else(|| Status::internal("the backend switched protocols without being asked"))?;
        let backend = hyper::upgrade::on(&mut answer);
        tokio::spawn(join(client, backend, shutdown.clone()));
        let (head, _) = answer.into_parts();
        return Ok(Response::from_parts(head, full(Vec::new())));
    }
    let (mut head, body) = answer.into_parts();
    remove_hop_by_hop(&mut head.headers);
    // The connection lives as long as its sender: it goes with the body.
    let body = body.map_err(Into::into).map_frame(move |frame| {
        let _ = &sender;
        frame
    });
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

pub fn is_upgrade(headers: &HeaderMap) -> bool {
    let connection = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    headers.contains_key(UPGRADE)
        && connection
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
}

fn outgoing(
    authority: &str,
    path: &str,
    request: &mut Request,
    upgrade: bool,
) -> Result<HttpRequest<Body>, Status> {
    let body = request.take_body().unwrap_or_else(|| full(Vec::new()));
    let mut outgoing = HttpRequest::new(body);
    *outgoing.method_mut() = request.head.method.clone();
    *outgoing.uri_mut() = path
        .parse()
        .map_err(|error| Status::bad_request(format!("invalid path: {error}")))?;
    let mut headers = request.head.headers.clone();
    remove_hop_by_hop(&mut headers);
    if !upgrade {
        headers.remove(CONNECTION);
        headers.remove(UPGRADE);
    }
    headers.insert(HOST, HeaderValue::from_str(authority).map_err(Status::internal)?);
    headers.insert(
        "x-forwarded-for",
        HeaderValue::from_str(&request.peer.addr.ip().to_string()).map_err(Status::internal)?,
    );
    *outgoing.headers_mut() = headers;
    Ok(outgoing)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Copies both ways until both sides are done, or the server ends.
async fn join(client: OnUpgrade, backend: OnUpgrade, shutdown: Shutdown) {
    let (client, backend) = match tokio::try_join!(client, backend) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "upgrade failed");
            return;
        }
    };
    let (mut client, mut backend) = (TokioIo::new(client), TokioIo::new(backend));
    let copied = shutdown
        .guard(tokio::io::copy_bidirectional(&mut client, &mut backend))
        .await;
    if let Some(Err(error)) = copied {
        tracing::debug!(%error, "stream ended");
    }
}

/// A log is text; a kubelet's refusal becomes a Status.
pub async fn checked_log(answer: Response, request: &Request) -> Result<Response, Status> {
    let code = answer.status();
    if code.is_success() {
        let mut answer = answer;
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        return Ok(answer);
    }
    let body = answer
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_ERROR_BYTES)])
        .trim()
        .to_owned();
    Err(Status::generic(
        code.as_u16(),
        "get",
        &GroupResource::new("", "pods/log"),
        &request.info.name,
        &text,
    ))
}
