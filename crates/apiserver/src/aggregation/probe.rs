//! What this server itself asks of backends: whether they are there, and what they have.

use std::time::Duration;

use apimachinery::quote::quote;
use auth::UserInfo;
use bytes::Bytes;
use http::header::{ACCEPT, HOST, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::Backend;
use super::forward::identify;
use crate::outbound::{Services, dial};

/// How long a backend may take: discovery is cheap.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest document that is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What a backend answered.
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
    /// Where it was asked.
    pub url: String,
}

/// Gets a document from a backend, as one who may do anything there.
///
/// # Errors
/// Nothing was answered, in upstream's words.
pub async fn get(services: &Services, backend: &Backend, path: &str, accept: &str) -> Result<Answer, String> {
    let address = services
        .resolve(&backend.namespace, &backend.service, backend.port)
        .map_err(|error| error.to_string())?;
    let url = format!("https://{}{path}", address.authority());
    let failed = |why: &str| {
        format!(
            "failing or missing response from {url}: Get {}: {why}",
            quote(&url)
        )
    };
    let tls = backend.tls.as_ref().map_err(|why| failed(why))?;
    let ask = async {
        let stream = dial::connect(&address, &backend.server_name, tls).await?;
        let broken = |error: hyper::Error| dial::Error(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a backend ended");
            }
        });
        let mut request = Request::get(path)
            .header(HOST, address.authority())
            .header(ACCEPT, accept)
            .header(USER_AGENT, "kube-aggregator")
            .body(Empty::<Bytes>::new())
            .map_err(|error| dial::Error(error.to_string()))?;
        let user = UserInfo::new("system:kube-aggregator", &[auth::user::PRIVILEGED]);
        identify(request.headers_mut(), &user).map_err(|error| dial::Error(error.to_string()))?;
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, MAX_BYTES).collect().await;
        let body = body.map_err(|error| dial::Error(error.to_string()))?;
        Ok::<_, dial::Error>((head.status, body.to_bytes()))
    };
    match tokio::time::timeout(TIMEOUT, ask).await {
        Ok(Ok((status, body))) => Ok(Answer { status, body, url }),
        Ok(Err(error)) => Err(failed(&error.0)),
        Err(_) => Err(failed(
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        )),
    }
}
