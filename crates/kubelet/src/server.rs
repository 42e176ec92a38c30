//! The kubelet's HTTP server: logs, streams into containers, metrics, and what it knows of its pods.
//!
//! - [`auth`]: who may ask for what. Pure but for asking the API server.
//! - [`certificate`]: what it serves with.
//! - [`query`]: query parameters.
//! - [`logs`]: container logs, and files of the node's log folder.
//! - [`streams`]: exec, attach, port-forward, which the runtime serves; [`upgrade`] passes their bytes through.
//!
//! Upstream: `pkg/kubelet/server`.

pub mod auth;
mod certificate;
mod logs;
mod query;
mod streams;
mod upgrade;

use crate::{
    config::Config, metrics::Metrics, node::status::NodeFacts, options::Options, pleg::Pleg,
    pod_table::PodTable, runtime::inspect, stats, status::manager::Statuses, worker::pass::Passes,
};
use api::{
    codec::{self, TypeMeta},
    core::v1::{Pod, PodList},
    message::Message,
};
use client::Client;
use component_base::{
    clock::Clock,
    health::Checks,
    serving::{self, Handler, Request, Response, body},
    shutdown::Shutdown,
    tls::{self, ClientCertificates, MinVersion},
};
use cri_api::Runtime;
use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use query::Query;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error(transparent)]
    Delegate(#[from] delegated_auth::delegate::Error),
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
}

/// Bound sockets; nothing where one is turned off.
#[derive(Debug)]
pub struct Listeners {
    pub healthz: Option<TcpListener>,
    pub secure: Option<TcpListener>,
}

/// What requests are answered from.
pub struct Server {
    pub runtime: Arc<dyn Runtime>,
    pub pods: Arc<PodTable>,
    pub statuses: Arc<Statuses>,
    pub passes: Arc<Passes>,
    pub facts: Arc<NodeFacts>,
    pub pleg: Arc<Pleg>,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    /// Whether logs, exec and the like are served at all.
    pub debugging: bool,
}

/// Starts serving; both servers end at shutdown.
pub fn start(
    server: Arc<Server>,
    listeners: Listeners,
    config: &Config,
    options: &Options,
    client: Option<&Client>,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    if let Some(listener) = listeners.healthz {
        let handler = Arc::new(Healthz(server.checks()));
        tokio::spawn(serving::Server::default().serve(listener, None, handler, shutdown.clone()));
    }
    let Some(listener) = listeners.secure else {
        return Ok(());
    };
    let Some(guard) = auth::Guard::new(client, config, &options.node_name, &server.clock)? else {
        tracing::warn!(
            "without an API server and with Webhook authorization nobody may use the secure port: not serving it"
        );
        return Ok(());
    };
    let files = certificate::files(config, options, server.clock.now())?;
    let certificates = tls::Reloading::new(files)?;
    let min_version = MinVersion::parse(&config.tls_min_version)?;
    let tls = tls::server_config(certificates.clone(), ClientCertificates::Request, min_version)?;
    tokio::spawn(certificates.follow(server.clock.clone(), shutdown.clone()));
    let handler = Arc::new(Secure {
        server,
        guard: Arc::new(guard),
    });
    // Streams may be open for hours; a kubelet that restarts doesn't wait for them.
    let options = serving::Options {
        drain_timeout: Duration::from_secs(1),
        ..serving::Options::default()
    };
    tokio::spawn(serving::Server::new(options).serve(listener, Some(tls), handler, shutdown.clone()));
    Ok(())
}

struct Healthz(Checks);

impl Handler for Healthz {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let answer = self
            .0
            .respond(request.uri().path(), request.uri().query())
            .unwrap_or_else(not_found);
        Box::pin(std::future::ready(answer))
    }
}

struct Secure {
    server: Arc<Server>,
    guard: Arc<auth::Guard>,
}

impl Handler for Secure {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let server = self.server.clone();
        let checked = self.guard.check(&request);
        Box::pin(async move {
            match checked.await {
                Ok(()) => server.route(request).await,
                Err(refusal) => refusal,
            }
        })
    }
}

fn not_found() -> Response {
    body::text(StatusCode::NOT_FOUND, "404 page not found\n")
}

fn json(document: impl Into<bytes::Bytes>) -> Response {
    let mut response = body::text(StatusCode::OK, document);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error as plain text, as upstream's kubelet answers.
fn failed(status: StatusCode, message: impl std::fmt::Display) -> Response {
    body::text(status, message.to_string())
}

impl Server {
    fn checks(&self) -> Checks {
        let mut checks = Checks::new("healthz");
        let pleg = self.pleg.clone();
        checks.add("log", || Ok(()));
        checks.add("syncloop", move || pleg.problem().map_or(Ok(()), Err));
        checks
    }

    async fn route(self: Arc<Self>, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if let Some(answer) = self.checks().respond(&path, request.uri().query()) {
            return answer;
        }
        match parts.as_slice() {
            ["metrics"] => self.metrics.registry().respond(),
            ["metrics", "probes"] => self.metrics.probe_registry().respond(),
            ["metrics", "cadvisor"] => self.measured(stats::text::cadvisor).await,
            ["metrics", "resource"] => self.measured(stats::text::resource).await,
            ["stats"] | ["stats", "summary"] => match self.measure().await {
                Ok(measured) => json(stats::summary::document(&measured).to_string()),
                Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error),
            },
            ["configz"] => json(crate::config::document::document(&self.facts.config).to_string()),
            ["pods"] => json(pod_list(self.known_pods())),
            ["runningpods"] => self.running_pods().await,
            _ if self.debugging => self.debug(&parts, request).await,
            _ => not_found(),
        }
    }

    async fn debug(self: Arc<Self>, parts: &[&str], request: Request) -> Response {
        let query = Query::parse(request.uri().query().unwrap_or_default());
        match (request.method().clone(), parts) {
            (Method::GET, ["containerLogs", namespace, pod, container]) => {
                self.container_logs(namespace, pod, container, &query).await
            }
            (Method::GET | Method::POST, ["exec", namespace, pod, rest @ .., container])
                if rest.len() <= 1 =>
            {
                self.exec(namespace, pod, container, &query, request).await
            }
            (Method::GET | Method::POST, ["attach", namespace, pod, rest @ .., container])
                if rest.len() <= 1 =>
            {
                self.attach(namespace, pod, container, &query, request).await
            }
            (Method::GET | Method::POST, ["portForward", namespace, pod, ..]) => {
                self.port_forward(namespace, pod, &query, request).await
            }
            (Method::POST, ["run", namespace, pod, rest @ .., container]) if rest.len() <= 1 => {
                self.run_command(namespace, pod, container, &query).await
            }
            (Method::GET, ["logs", rest @ ..]) => logs::node_file(rest),
            _ => not_found(),
        }
    }

    async fn measure(&self) -> Result<stats::Measured, cri_api::Error> {
        stats::measure(
            &*self.runtime,
            &self.facts,
            &self.passes.groups,
            &self.known_pods(),
            self.clock.now(),
        )
        .await
    }

    async fn measured(&self, render: fn(&stats::Measured) -> String) -> Response {
        match self.measure().await {
            Ok(measured) => body::text(StatusCode::OK, render(&measured)),
            Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    /// The sources' pods with the statuses that this kubelet computed.
    fn known_pods(&self) -> Vec<Pod> {
        let with_status = |spec: Arc<Pod>| {
            let mut pod = Pod::clone(&spec);
            pod.status = self.statuses.current(&spec);
            pod
        };
        let runs_here = |spec: &Arc<Pod>| !crate::pod::is_mirror(spec);
        self.pods
            .all()
            .into_iter()
            .filter(runs_here)
            .map(with_status)
            .collect()
    }

    async fn running_pods(&self) -> Response {
        let mut pods = Vec::new();
        for uid in self.pleg.running_pods() {
            match inspect::pod(&*self.runtime, &uid).await {
                Ok(state) => {
                    let mut pod = Pod::default();
                    pod.metadata.uid = uid;
                    pod.metadata.name = state.name.clone();
                    pod.metadata.namespace = state.namespace.clone();
                    pod.spec.containers = state
                        .running()
                        .map(|c| api::core::v1::Container {
                            name: c.name.clone(),
                            image: c.image.clone(),
                            ..Default::default()
                        })
                        .collect();
                    pods.push(pod);
                }
                Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, error),
            }
        }
        json(pod_list(pods))
    }

    fn pod_named(&self, namespace: &str, name: &str) -> Result<Arc<Pod>, Response> {
        self.pods
            .named(namespace, name)
            .ok_or_else(|| failed(StatusCode::NOT_FOUND, "pod does not exist"))
    }
}

fn pod_list(items: Vec<Pod>) -> Vec<u8> {
    let list = PodList {
        items,
        ..PodList::default()
    };
    let mut document = Vec::new();
    let meta = TypeMeta {
        api_version: "v1",
        kind: "PodList",
    };
    match codec::proto_to_json(
        Some(meta),
        list.descriptor(),
        &list.encode_to_vec(),
        &mut document,
    ) {
        Ok(()) => document,
        Err(error) => {
            tracing::error!(%error, "cannot encode the list of pods");
            Vec::new()
        }
    }
}
