//! HTTP gets against a container, for probes and lifecycle hooks.

use super::action::{Outcome, PortError, authority, dial_error, resolve_port};
use api::core::v1::{Container, HTTPGetAction};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// How much of a body is read.
const MAX_BODY_BYTES: usize = 10 << 10;
const MAX_REDIRECTS: usize = 10;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("invalid URL {0:?}")]
    Url(String),
}

/// A request to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    pub https: bool,
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Get {
    pub fn from_action(
        action: &HTTPGetAction,
        container: &Container,
        pod_ip: &str,
        agent: &str,
    ) -> Result<Self, Error> {
        let port = resolve_port(&action.port, container)?;
        let host = if action.host.is_empty() {
            pod_ip
        } else {
            &action.host
        };
        let mut headers: Vec<(String, String)> = action
            .http_headers
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect();
        let has = |name: &str| {
            action
                .http_headers
                .iter()
                .any(|header| header.name.eq_ignore_ascii_case(name))
        };
        if !has("user-agent") {
            headers.push(("User-Agent".into(), format!("{agent}/1.36")));
        }
        if !has("accept") {
            headers.push(("Accept".into(), "*/*".into()));
        }
        if !has("host") {
            headers.push(("Host".into(), authority(host, port)));
        }
        // An empty value asks for the header not to be sent.
        headers.retain(|(_, value)| !value.is_empty());
        let path = if action.path.starts_with('/') {
            action.path.clone()
        } else {
            format!("/{}", action.path)
        };
        Ok(Self {
            https: action.scheme.eq_ignore_ascii_case("https"),
            host: host.to_owned(),
            port,
            path,
            headers,
        })
    }

    fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}", authority(&self.host, self.port), self.path)
    }

    /// The request that a redirect leads to, if it stays on the same host.
    fn redirected(&self, location: &str) -> Result<Option<Self>, Error> {
        let uri: Uri = location.parse().map_err(|_| Error::Url(location.to_owned()))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let Some(authority) = uri.authority() else {
            return Ok(Some(Self { path, ..self.clone() }));
        };
        if authority.host().trim_matches(['[', ']']) != self.host {
            return Ok(None);
        }
        let https = uri.scheme_str() == Some("https");
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let mut next = Self {
            https,
            port,
            path,
            ..self.clone()
        };
        for (name, value) in &mut next.headers {
            if name.eq_ignore_ascii_case("host") {
                *value = authority.to_string();
            }
        }
        Ok(Some(next))
    }
}

/// Any status from 200 to 399 is success; a redirect to another host is not followed.
pub async fn probe(get: Get, timeout: Duration) -> Outcome {
    let url = get.url();
    match tokio::time::timeout(timeout, follow(get)).await {
        Ok(outcome) => outcome,
        Err(_) => Outcome::Failure(format!(
            "Get {url:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
    }
}

async fn follow(mut get: Get) -> Outcome {
    for _ in 0..MAX_REDIRECTS {
        let (status, location, body) = match send(&get).await {
            Ok(response) => response,
            Err(message) => return Outcome::Failure(format!("Get {:?}: {message}", get.url())),
        };
        if status.is_redirection() {
            if let Some(location) = location {
                match get.redirected(&location) {
                    Ok(Some(next)) => {
                        get = next;
                        continue;
                    }
                    Ok(None) => {}
                    Err(error) => return Outcome::Failure(error.to_string()),
                }
            }
            return Outcome::Warning(format!("Probe terminated redirects, Response body: {body}"));
        }
        return if status.is_success() {
            Outcome::Success
        } else {
            Outcome::Failure(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
        };
    }
    Outcome::Failure(format!(
        "Get {:?}: stopped after {MAX_REDIRECTS} redirects",
        get.url()
    ))
}

/// Sends the request on a connection of its own and reads the beginning of the answer.
pub async fn send(get: &Get) -> Result<(StatusCode, Option<String>, String), String> {
    let stream = TcpStream::connect((get.host.as_str(), get.port))
        .await
        .map_err(|error| dial_error(&get.host, get.port, &error.to_string()))?;
    if !get.https {
        return exchange(stream, get).await;
    }
    let name = ServerName::try_from(get.host.clone()).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(unverified_tls().map_err(|error| error.to_string())?);
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    exchange(stream, get).await
}

async fn exchange<S>(stream: S, get: &Get) -> Result<(StatusCode, Option<String>, String), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
    let mut builder = Request::get(&get.path).header(header::CONNECTION, "close");
    for (name, value) in &get.headers {
        builder = builder.header(name, value);
    }
    let request = builder.body(Empty::new()).map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = response.status();
        let location = response
            .headers()
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        // Only the beginning is of interest: a longer body, or one that breaks off, is no failure.
        let body = Limited::new(response.into_body(), MAX_BODY_BYTES)
            .collect()
            .await
            .map(|all| all.to_bytes());
        Ok((
            status,
            location,
            String::from_utf8_lossy(&body.unwrap_or_default()).into_owned(),
        ))
    };
    // The connection has to be driven while the answer is awaited; it ends with it.
    tokio::pin!(connection);
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

/// Probes reach containers by address and don't check who they are, as upstream's.
fn unverified_tls() -> Result<Arc<rustls::ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { schemes }))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::HTTPHeader;
    use apimachinery::int_or_string::IntOrString;

    fn get(headers: &[(&str, &str)]) -> Get {
        let action = HTTPGetAction {
            path: "healthz".into(),
            port: IntOrString::Int(8080),
            http_headers: headers
                .iter()
                .map(|(name, value)| HTTPHeader {
                    name: (*name).into(),
                    value: (*value).into(),
                })
                .collect(),
            ..HTTPGetAction::default()
        };
        Get::from_action(&action, &Container::default(), "10.0.0.7", "kube-probe").unwrap()
    }

    #[test]
    fn requests_carry_the_user_s_headers_over_the_defaults() {
        let request = get(&[("user-agent", "mine"), ("accept", ""), ("X-A", "b")]);
        assert_eq!(request.url(), "http://10.0.0.7:8080/healthz");
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["user-agent", "X-A", "Host"]);
    }

    #[test]
    fn redirects_stay_on_the_host() {
        let request = get(&[]);
        assert_eq!(
            request.redirected("/ready?x=1").unwrap().unwrap().path,
            "/ready?x=1"
        );
        assert_eq!(
            request.redirected("https://10.0.0.7/x").unwrap().unwrap().port,
            443
        );
        assert_eq!(request.redirected("http://example.com/").unwrap(), None);
    }
}
