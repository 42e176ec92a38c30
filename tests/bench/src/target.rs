//! The server under load: connections, paths, and what must be there before a run.

use bytes::Bytes;
use client::request::JSON;
use client::{Client, Config, Request, Response};
use http::Method;
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
        let connect = |_| {
            let config = Config::from_kubeconfig(&settings.kubeconfig)?;
            Ok(Client::new(config.with_rate(0.0, 0).with_user_agent("bench"))?)
        };
        let clients = (0..settings.connections)
            .map(connect)
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
        let request = Request::new(Method::POST, path)
            .accept(JSON)
            .body(JSON, object.to_string());
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

/// Sends and counts the bytes of the answer.
pub async fn count(client: Client, request: Request) -> Result<u64, Error> {
    let Response { body, .. } = client.send(request).await?;
    Ok(body.len() as u64)
}

/// The path of the nth object.
pub fn object(collection: &str, n: usize) -> String {
    format!("{collection}/{}", objects::name(n))
}
