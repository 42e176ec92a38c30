//! Posts documents to webhooks, over connections that are kept for the next call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use admission::webhooks::{CallError, Caller};
use api::Message;
use api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
use apimachinery::gvk::GroupResource;
use apimachinery::quote::quote;
use apimachinery::status::Status;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;

use super::dial;
use super::services::{Address, Services};
use super::trust::Trust;

/// Webhooks whose connections are kept; one more starts anew with all.
const MAX_CLIENTS: usize = 256;
/// Connections to one webhook that are kept while nobody uses them.
const MAX_IDLE: usize = 16;
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Error texts of webhooks that are quoted.
const MAX_ERROR_BYTES: usize = 2048;
/// Where a service listens that does not say.
const HTTPS: u16 = 443;

/// Calls webhooks: by the URL or the service of their configuration.
pub struct WebhookClient {
    services: Services,
    clients: Mutex<HashMap<Vec<u8>, Arc<Client>>>,
}

impl WebhookClient {
    pub fn new(services: Services) -> Self {
        Self {
            services,
            clients: Mutex::default(),
        }
    }

    /// The client of a configuration, made once.
    fn client(&self, config: &WebhookClientConfig) -> Result<Arc<Client>, String> {
        let key = config.encode_to_vec();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = Arc::new(Client::new(config)?);
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    async fn post(
        &self,
        client: &Client,
        document: Bytes,
        target: &str,
    ) -> Result<(StatusCode, String, Bytes), dial::Error> {
        let request = client.request(document, target)?;
        let kept = client.kept();
        let mut sender = match kept {
            Some(sender) => sender,
            None => client.connect(&self.services).await?,
        };
        let answered = match sender.send_request(request.clone()).await {
            // The other side may have closed a kept connection at any time.
            Err(error) if error.is_canceled() || error.is_closed() || error.is_incomplete_message() => {
                sender = client.connect(&self.services).await?;
                sender.send_request(request).await
            }
            answered => answered,
        };
        let answer = answered.map_err(|error| broken(&error))?;
        let (head, body) = answer.into_parts();
        let media_type = head.headers.get(CONTENT_TYPE);
        let media_type = media_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| dial::Error(error.to_string()))?.to_bytes();
        client.keep(sender);
        Ok((head.status, media_type.to_owned(), body))
    }
}

fn broken(error: &hyper::Error) -> dial::Error {
    dial::Error(if error.is_incomplete_message() || error.is_canceled() {
        "EOF".to_owned()
    } else {
        error.to_string()
    })
}

impl Caller for WebhookClient {
    fn call<'a>(
        &'a self,
        config: &'a WebhookClientConfig,
        document: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallError>> {
        Box::pin(async move {
            let unanswered = |message: String| CallError { message, code: None };
            let client = self.client(config).map_err(unanswered)?;
            let target = format!("{}?timeout={}s", client.path, timeout.as_secs());
            let post = self.post(&client, Bytes::from(document), &target);
            let failed = |why: &str| {
                let url = quote(&format!("https://{}{target}", client.authority));
                unanswered(format!("Post {url}: {why}"))
            };
            let answered = tokio::time::timeout(timeout, post)
                .await
                .map_err(|_| failed("context deadline exceeded"))?;
            let (status, media_type, body) = answered.map_err(|error| failed(&error.0))?;
            if (200..=206).contains(&status.as_u16()) {
                if body.is_empty() {
                    let code = status.as_u16();
                    return Err(unanswered(format!(
                        "0-length response with status code: {code} and content type: {media_type}"
                    )));
                }
                return Ok(body.to_vec());
            }
            let text = media_type.is_empty() || media_type.starts_with("text/");
            let status = refused(status, text, &body);
            Err(CallError {
                code: Some(status.code),
                message: status.message,
            })
        })
    }
}

/// What an answer of an error says: its Status if it is one, else what its code means.
fn refused(code: StatusCode, text: bool, body: &[u8]) -> Status {
    if let Ok(status) = Status::from_json(body) {
        return status;
    }
    let shown = String::from_utf8_lossy(&body[..body.len().min(MAX_ERROR_BYTES)]);
    let shown = if text { shown.trim() } else { "unknown" };
    Status::generic(code.as_u16(), "POST", &GroupResource::new("", ""), "", shown)
}

/// One webhook.
struct Client {
    /// Host and port as the URL states them.
    authority: String,
    path: String,
    server_name: String,
    tls: Arc<ClientConfig>,
    place: Place,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

enum Place {
    Address(Address),
    Service(ServiceReference),
}

impl Client {
    fn new(config: &WebhookClientConfig) -> Result<Self, String> {
        let tls = Trust::from_bundle(&config.ca_bundle)
            .client(None)
            .map_err(|error| format!("could not get REST client: {error}"))?;
        let (authority, path, server_name, place) = match (&config.service, &config.url) {
            (Some(service), _) => {
                let port = service.port.filter(|port| *port != 0).unwrap_or(i32::from(HTTPS));
                let name = format!("{}.{}.svc", service.name, service.namespace);
                let path = service.path.clone().unwrap_or_default();
                (
                    format!("{name}:{port}"),
                    path,
                    name,
                    Place::Service((**service).clone()),
                )
            }
            (None, Some(url)) => by_url(url)?,
            (None, None) => return Err("webhook configuration must have either service or URL".to_owned()),
        };
        Ok(Self {
            authority,
            path: if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            },
            server_name,
            tls,
            place,
            idle: Mutex::default(),
        })
    }

    fn request(&self, document: Bytes, target: &str) -> Result<Request<Full<Bytes>>, dial::Error> {
        Request::builder()
            .method(Method::POST)
            .uri(target)
            .header(HOST, self.authority.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, */*")
            .header(USER_AGENT, "kube-apiserver-admission")
            .body(Full::new(document))
            .map_err(|error| dial::Error(error.to_string()))
    }

    /// A connection that is free and open.
    fn kept(&self) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(sender) = idle.pop() {
            if sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !sender.is_closed() && idle.len() < MAX_IDLE {
            idle.push(sender);
        }
    }

    async fn connect(&self, services: &Services) -> Result<SendRequest<Full<Bytes>>, dial::Error> {
        let address = match &self.place {
            Place::Address(address) => address.clone(),
            Place::Service(service) => {
                let port = service.port.filter(|port| *port != 0).unwrap_or(i32::from(HTTPS));
                services
                    .resolve(&service.namespace, &service.name, port)
                    .map_err(|error| dial::Error(error.to_string()))?
            }
        };
        let stream = dial::connect(&address, &self.server_name, &self.tls).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to a webhook ended");
            }
        });
        Ok(sender)
    }
}

fn by_url(url: &str) -> Result<(String, String, String, Place), String> {
    let unparsable = |why: &str| format!("Unparsable URL: parse {}: {why}", quote(url));
    let uri: Uri = url
        .parse()
        .map_err(|error: http::uri::InvalidUri| unparsable(&error.to_string()))?;
    let host = uri.host().ok_or_else(|| unparsable("no host"))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = Address {
        host: bare.to_owned(),
        port: uri.port_u16().unwrap_or(HTTPS),
    };
    let authority = match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let path = uri.path().to_owned();
    Ok((authority, path, bare.to_owned(), Place::Address(address)))
}
