//! A server in this process with a memory store, one administrator and kinds without peculiarities.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use api::autoscaling::v1::Scale;
use api::core::v1::Binding;
use apimachinery::field::ErrorList;
use apimachinery::status::Status;
use apiserver::lifecycle::Lifecycle;
use apiserver::proxy::{Backends, KubeletAccess, KubeletTls};
use apiserver::strategy::{Behaviour, Context, Strategy};
use apiserver::{Config, Limits, Security, Server};
use auth::attributes::UserRules;
use auth::{Attributes, Authenticator, Authorizer, Credentials, Decision, UserInfo};
use bytes::Bytes;
use component_base::clock::SystemClock;
use component_base::metrics::Registry;
use component_base::serving::{Peer, body};

use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::Value;

/// Everybody is an administrator.
struct Everybody;

impl Authenticator for Everybody {
    fn authenticate<'a>(
        &'a self,
        _: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Option<UserInfo>, auth::Error>> {
        Box::pin(async { Ok(Some(UserInfo::new("admin", &["system:masters"]))) })
    }
}

/// Everything is allowed, but to the user `nobody`.
struct Anything;

impl Authorizer for Anything {
    fn authorize<'a>(&'a self, attributes: &'a Attributes) -> BoxFuture<'a, Decision> {
        let nobody = attributes.user.name == "nobody";
        Box::pin(async move {
            if nobody {
                Decision::no_opinion()
            } else {
                Decision::Allow {
                    reason: String::new(),
                }
            }
        })
    }

    fn rules_for(&self, _: &UserInfo, _: &str) -> UserRules {
        UserRules::default()
    }
}

/// A kind that adds nothing.
pub struct Plain;

impl Strategy for Plain {
    fn default(&self, _: &mut dyn api::Object) {}
    fn prepare_create(&self, _: &Context<'_>, _: &mut dyn api::Object) {}
    fn prepare_update(&self, _: &Context<'_>, _: &mut dyn api::Object, _: &dyn api::Object) {}
    fn validate_create(&self, _: &Context<'_>, _: &dyn api::Object) -> ErrorList {
        ErrorList::new()
    }
    fn validate_update(&self, _: &Context<'_>, _: &dyn api::Object, _: &dyn api::Object) -> ErrorList {
        ErrorList::new()
    }
    fn table_row(&self, object: &dyn api::Object, _: jiff::Timestamp) -> Vec<Value> {
        vec![object.metadata().name.clone().into()]
    }
    fn bind(&self, _: &mut dyn api::Object, _: &Binding, _: jiff::Timestamp) -> Result<(), String> {
        Ok(())
    }
    fn scale(&self, object: &dyn api::Object) -> Option<Scale> {
        let mut scale = Scale::default();
        scale.metadata.name.clone_from(&object.metadata().name);
        scale.spec.replicas = 3;
        Some(scale)
    }
    fn set_scale(&self, _: &mut dyn api::Object, _: &Scale) -> Result<(), Status> {
        Ok(())
    }
    fn scale_row(&self, scale: &Scale, _: jiff::Timestamp) -> Vec<Value> {
        vec![scale.metadata.name.as_str().into(), scale.spec.replicas.into()]
    }
}

/// An answer, read.
pub struct Answer {
    pub code: u16,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code, and what a Status or an object is about.
    pub fn line(&self) -> String {
        let json = self.json();
        match json["kind"].as_str() {
            Some("Status") => {
                let text = |field: &str| json[field].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", self.code, text("reason"), text("message"))
                    .trim_end()
                    .to_owned()
            }
            Some(kind) => format!(
                "{} {kind} {}",
                self.code,
                json["metadata"]["name"].as_str().unwrap_or_default()
            ),
            None => format!("{} {}", self.code, String::from_utf8_lossy(&self.body)),
        }
    }
}

/// See the module.
pub struct TestServer {
    pub server: Server,
    pub lifecycle: Lifecycle,
}

impl TestServer {
    pub async fn start() -> TestServer {
        TestServer::start_with(Limits::default()).await
    }

    pub async fn start_with(limits: Limits) -> TestServer {
        let lifecycle = Lifecycle::default();
        let metrics = Registry::new();
        let config = Config {
            store: Arc::new(storage::memory::open(storage::memory::Options::default()).expect("a store"))
                .into(),
            dependencies: Default::default(),
            behaviour_of: Box::new(|_, _| {
                Some(Behaviour {
                    strategy: Arc::new(Plain),
                    hooks: None,
                })
            }),
            limits,
            clock: SystemClock::shared(),
            metrics: metrics.clone(),
            server_address: "127.0.0.1:6443".to_owned(),
            token_keys: apiserver::paths::TokenKeys::default(),
            token_issuer: None,
            audiences: Vec::new(),
            backends: Backends::new(
                KubeletAccess::default(),
                KubeletTls::default(),
                Duration::from_secs(1),
            )
            .expect("no certificates"),
            lifecycle: lifecycle.clone(),
            reach: apiserver::outbound::Reach {
                routing: apiserver::outbound::Routing::ClusterIp,
                own: None,
            },
            proxy_client: None,
        };
        let security = |_objects: Arc<dyn auth::Objects>, _kinds: Arc<dyn admission::matching::Kinds>| {
            Ok(Security {
                authenticator: Arc::new(Everybody),
                token_authenticator: Arc::new(auth::authenticators::TokenUnion::new(Vec::new())),
                authorizer: Arc::new(Anything),
                admission: admission::Chain::new(
                    Vec::new(),
                    &admission::Selection::default(),
                    SystemClock::shared(),
                    &metrics,
                )?,
                followers: Vec::new(),
            })
        };
        let server = Server::build(config, security).await.expect("a server");
        TestServer { server, lifecycle }
    }

    /// Sends a request with headers, and hands out the response as it comes.
    pub async fn open(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        content: impl Into<Bytes>,
    ) -> component_base::serving::Response {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body::full(content)).expect("a request");
        let address = "127.0.0.1:1".parse().expect("an address");
        request.extensions_mut().insert(Peer {
            addr: address,
            local: address,
            certificates: Arc::from([]),
            secure: true,
        });
        self.server.answer(request).await
    }

    /// Sends a request with headers and reads the whole answer.
    pub async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        content: impl Into<Bytes>,
    ) -> Answer {
        let response = self.open(method, target, headers, content).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            code: head.status.as_u16(),
            headers: head.headers,
            body,
        }
    }

    /// Sends a request with a JSON body (`Value::Null`: none).
    pub async fn call(&self, method: &str, target: &str, content: Value) -> Answer {
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let body = if content.is_null() {
            String::new()
        } else {
            content.to_string()
        };
        self.send(method, target, &[("content-type", content_type)], body)
            .await
    }
}
