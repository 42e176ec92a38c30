//! A whole server in this process, with the registry's rules and default admission, that is sent requests.

use std::io::Write;
use std::sync::Arc;

use component_base::serving::{Peer, body};
use component_base::shutdown::Shutdown;
use control_plane::{ControlPlane, Options};
use http_body_util::BodyExt;
use serde_json::Value;

/// The server with its bootstrap objects in place.
pub struct Cluster {
    pub server: apiserver::Server,
    shutdown: Shutdown,
    _tokens: tempfile::NamedTempFile,
}

pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    /// A text if it is no JSON.
    pub json: Value,
}

impl Answer {
    /// The code, and what a Status or an object is about.
    pub fn line(&self) -> String {
        let text = |field: &str| self.json[field].as_str().unwrap_or_default().to_owned();
        let code = self.code;
        match self.json["kind"].as_str() {
            Some("Status") => format!("{code} {} {}", text("reason"), text("message")),
            Some(kind) => format!(
                "{code} {kind} {}",
                self.json["metadata"]["name"].as_str().unwrap_or_default()
            ),
            None => code.to_string(),
        }
    }
}

impl Cluster {
    pub async fn start() -> Self {
        let mut tokens = tempfile::NamedTempFile::new().expect("a file");
        writeln!(tokens, "admin-token,admin,1,system:masters\nbob-token,bob,2").expect("a table of tokens");
        let mut options = Options::for_test();
        options.authorization_modes = vec!["RBAC".to_owned()];
        options.authentication.token_file = Some(tokens.path().to_owned());
        let shutdown = Shutdown::new();
        let plane = ControlPlane::build(options, shutdown.clone())
            .await
            .expect("a server");
        let server = plane.server.clone();
        let mut ready = plane.readiness();
        tokio::spawn(plane.run());
        ready.wait_for(|ready| *ready).await.expect("bootstrap ends");
        let cluster = Self {
            server,
            shutdown,
            _tokens: tokens,
        };
        let account = r#"{"metadata":{"name":"default"}}"#;
        cluster
            .send("POST", "/api/v1/namespaces/default/serviceaccounts", account)
            .await;
        cluster
    }

    /// Sends a JSON body, or a patch, as the administrator.
    pub async fn send(&self, method: &str, target: &str, content: &str) -> Answer {
        let content_type = match (method, content.starts_with('[')) {
            ("PATCH", true) => "application/json-patch+json",
            ("PATCH", false) => "application/strategic-merge-patch+json",
            _ => "application/json",
        };
        self.send_as("admin-token", method, target, content_type, content)
            .await
    }

    pub async fn send_as(
        &self,
        token: &str,
        method: &str,
        target: &str,
        content_type: &str,
        content: &str,
    ) -> Answer {
        let request = http::Request::builder().method(method).uri(target);
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", content_type);
        let mut request = request.body(body::full(content.to_owned())).expect("a request");
        let address = "127.0.0.1:1".parse().expect("an address");
        let peer = Peer {
            addr: address,
            local: address,
            certificates: Arc::from([]),
            secure: true,
        };
        request.extensions_mut().insert(peer);
        let (head, body) = self.server.answer(request).await.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let json = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
        Answer {
            code: head.status.as_u16(),
            headers: head.headers,
            json,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}
