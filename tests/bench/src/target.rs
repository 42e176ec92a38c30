//! The server under load: connections, paths, and what must be there before a run.

use std::sync::Arc;

use bytes::Bytes;
use client::request::JSON;
use client::transport::http::HttpTransport;
use client::{Client, Config, Request};
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

use crate::Error;
use crate::gzip::{self, GzipTransport};
use crate::measure::Received;
use crate::objects;
use crate::settings::Settings;
use crate::stuck::{Stuck, StuckTransport};

/// Watches that share a connection at most: servers allow 100 streams, and requests need some.
const MAX_WATCHES_PER_CONNECTION: usize = 90;

/// Connections to the server.
pub struct Target {
    clients: Vec<Client>,
    namespace: String,
}

impl Target {
    /// Connects, and makes the namespace and its service account (which a server alone, without controllers,
    /// would not make, and without which it takes no pods).
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        // Of HTTP/2 streams, upstream allows a connection as many.
        let connections = settings
            .connections
            .max(settings.watchers.div_ceil(MAX_WATCHES_PER_CONNECTION));
        let clients = (0..connections)
            .map(|_| Self::own_client(settings))
            .collect::<Result<Vec<_>, Error>>()?;
        let target = Self {
            clients,
            namespace: settings.namespace.clone(),
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": settings.namespace}});
        target.ensure("/api/v1/namespaces", &namespace).await?;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        target.ensure(&target.core("serviceaccounts"), &account).await?;
        Ok(target)
    }

    /// A connection that no other client shares.
    pub fn own_client(settings: &Settings) -> Result<Client, Error> {
        let config = Self::config(settings)?;
        if !settings.gzip {
            return Ok(Client::new(config)?);
        }
        let transport = HttpTransport::new(config.tls.clone()).map_err(client::config::Error::from)?;
        Ok(Client::with_transport(config, Arc::new(GzipTransport(transport))))
    }

    /// A client that never reads an answer.
    pub fn stuck_client(settings: &Settings, stuck: Stuck) -> Result<Client, Error> {
        let config = Self::config(settings)?;
        let tls = config.tls.clone();
        Ok(Client::with_transport(
            config,
            Arc::new(StuckTransport { tls, stuck }),
        ))
    }

    fn config(settings: &Settings) -> Result<Config, Error> {
        let config = Config::from_kubeconfig(&settings.kubeconfig)?;
        Ok(config.with_rate(0.0, 0).with_user_agent("bench"))
    }

    /// The nth client's connection.
    pub fn client(&self, n: usize) -> Client {
        self.clients[n % self.clients.len()].clone()
    }

    /// The path of a core resource in the namespace.
    pub fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    pub fn leases(&self) -> String {
        format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
            self.namespace
        )
    }

    pub fn objects(&self, settings: &Settings) -> String {
        self.core(settings.kind.plural())
    }

    /// Creates an object unless it is there.
    pub async fn ensure(&self, path: &str, object: &serde_json::Value) -> Result<(), Error> {
        self.ensure_encoded(path, Bytes::from(object.to_string())).await
    }

    /// The same for an object that is JSON already.
    pub async fn ensure_encoded(&self, path: &str, object: Bytes) -> Result<(), Error> {
        let request = Request::new(Method::POST, path).accept(JSON).body(JSON, object);
        match self.client(0).send(request).await {
            Err(client::Error::Api(status)) if status.code == 409 => Ok(()),
            sent => Ok(sent.map(drop)?),
        }
    }
}

/// A request in the encoding of the settings.
pub fn request(settings: &Settings, method: Method, path: String) -> Request {
    Request::new(method, path).accept(settings.encoding.media_type())
}

/// A request with a body in the encoding of the settings.
pub fn write(settings: &Settings, method: Method, path: String, body: Bytes) -> Request {
    request(settings, method, path).body(settings.encoding.media_type(), body)
}

/// An answer that was read to its end: how long it was and how it began, without its compression.
pub struct Answer {
    pub received: Received,
    pub head: Vec<u8>,
}

/// Bytes of an answer that are kept: enough for a list's metadata.
const HEAD_BYTES: usize = 4096;

/// Sends, and reads the answer without keeping it: many long lists at once must not fill this process.
pub async fn read(client: Client, request: Request) -> Result<Answer, Error> {
    let (parts, mut body) = client.stream(request).await?.into_parts();
    let (mut head, mut trailer, mut on_the_wire) = (Vec::new(), gzip::Trailer::default(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(client::Error::Transport)?;
        let Some(data) = frame.data_ref() else { continue };
        on_the_wire += data.len() as u64;
        trailer.follow(data);
        let wanted = HEAD_BYTES.saturating_sub(head.len()).min(data.len());
        head.extend_from_slice(&data[..wanted]);
    }
    let mut received = Received::from(on_the_wire);
    if gzip::is_compressed(&parts.headers) {
        received.bytes = trailer.plain_len();
        head = gzip::beginning(&head, HEAD_BYTES);
    }
    Ok(Answer { received, head })
}

/// Sends and counts the bytes of the answer.
pub async fn count(client: Client, request: Request) -> Result<Received, Error> {
    Ok(read(client, request).await?.received)
}

/// The path of the nth object.
pub fn object(collection: &str, n: usize) -> String {
    format!("{collection}/{}", objects::name(n))
}
