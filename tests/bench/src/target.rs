//! The server under load: connections, paths, and what must be there before a run.

use bytes::Bytes;
use client::request::JSON;
use client::{Client, Config, Request};
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;

use crate::Error;
use crate::objects;
use crate::settings::Settings;

/// Connections to the server.
pub struct Target {
    clients: Vec<Client>,
    namespace: String,
}

impl Target {
    /// Connects, and makes the namespace and its service account (which a server alone, without controllers,
    /// would not make, and without which it takes no pods).
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let clients = (0..settings.connections)
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
        let config = Config::from_kubeconfig(&settings.kubeconfig)?;
        Ok(Client::new(config.with_rate(0.0, 0).with_user_agent("bench"))?)
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

/// An answer that was read to its end: how long it was and how it began.
pub struct Answer {
    pub bytes: u64,
    pub head: Vec<u8>,
}

/// Bytes of an answer that are kept: enough for a list's metadata.
const HEAD_BYTES: usize = 4096;

/// Sends, and reads the answer without keeping it: many long lists at once must not fill this process.
pub async fn read(client: Client, request: Request) -> Result<Answer, Error> {
    let mut body = client.stream(request).await?.into_body();
    let mut answer = Answer {
        bytes: 0,
        head: Vec::new(),
    };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(client::Error::Transport)?;
        let Some(data) = frame.data_ref() else { continue };
        answer.bytes += data.len() as u64;
        let wanted = HEAD_BYTES.saturating_sub(answer.head.len()).min(data.len());
        answer.head.extend_from_slice(&data[..wanted]);
    }
    Ok(answer)
}

/// Sends and counts the bytes of the answer.
pub async fn count(client: Client, request: Request) -> Result<u64, Error> {
    Ok(read(client, request).await?.bytes)
}

/// The path of the nth object.
pub fn object(collection: &str, n: usize) -> String {
    format!("{collection}/{}", objects::name(n))
}
