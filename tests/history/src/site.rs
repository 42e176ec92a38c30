//! Servers and their store, with relays in between that faults act on.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::transport::http::HttpTransport;
use client::transport::{self, Body, Transport};
use client::{Client, Config, Request};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use pki::bootstrap::{AUTHORITIES, Cluster, Folder, LEAVES};
use tempfile::TempDir;
use tokio::sync::{Mutex, watch};

use crate::Error;
use crate::process::{Process, Program, free_address, installed};
use crate::relay::Relay;
use crate::schedule::Backend;

/// A server that needs longer than this is broken. Debug builds on a busy machine are slow.
const STARTUP_SECONDS: u64 = 90;
/// No answer for so long: lost.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// How a site is put together.
#[derive(Clone, Debug)]
pub struct Settings {
    pub backend: Backend,
    /// The program and what comes before the server's flags.
    pub server: (PathBuf, Vec<String>),
    pub more_flags: Vec<String>,
}

/// One API server.
pub struct Node {
    pub process: Mutex<Process>,
    /// Between clients and this server.
    pub clients: Relay,
    /// Between this server and etcd.
    pub store: Option<Relay>,
    /// Not through the relay.
    direct: Client,
    kubeconfig: PathBuf,
}

/// Everything under test. Ends with this value.
pub struct Site {
    pub backend: Backend,
    pub nodes: Vec<Node>,
    pub etcd: Option<Mutex<Process>>,
    folder: TempDir,
    /// The aftermath of a fault may reach into the next run on the site.
    disturbed_until: watch::Sender<Instant>,
}

impl Site {
    /// Starts store and servers, and waits until they are ready. `None` if etcd is wanted and not installed.
    pub async fn start(settings: &Settings) -> Result<Option<Site>, Error> {
        let folder = tempfile::tempdir().map_err(Error::io("a temporary folder"))?;
        let certificates = make_certificates(folder.path()).map_err(Error::Certificates)?;
        let mut site = Site {
            backend: settings.backend,
            nodes: Vec::new(),
            etcd: None,
            folder,
            disturbed_until: watch::Sender::new(Instant::now()),
        };
        let mut etcd_address = None;
        if settings.backend == Backend::Etcd {
            let Some((etcd, address)) = start_etcd(site.folder.path())? else {
                return Ok(None);
            };
            (site.etcd, etcd_address) = (Some(Mutex::new(etcd)), Some(address));
        }
        for index in 0..settings.backend.servers() {
            let node = site
                .start_node(settings, &certificates, index, etcd_address)
                .await?;
            site.nodes.push(node);
            site.wait_until_ready(index).await?;
        }
        Ok(Some(site))
    }

    async fn start_node(
        &self,
        settings: &Settings,
        certificates: &Folder,
        index: usize,
        etcd: Option<SocketAddr>,
    ) -> Result<Node, Error> {
        let folder = self.folder.path();
        let address = free_address()?;
        let store = match etcd {
            Some(etcd) => Some(Relay::start(etcd).await?),
            None => None,
        };
        let storage = match (settings.backend, &store) {
            (Backend::Memory, _) => vec!["--storage-backend=memory".to_owned()],
            (_, Some(relay)) => vec![format!("--etcd-servers=http://{}", relay.address)],
            _ => vec![
                "--storage-backend=embedded".to_owned(),
                format!("--embedded-data-dir={}", folder.join("data").display()),
            ],
        };
        let (path, before) = settings.server.clone();
        let flags = flags(certificates, address.port());
        let arguments = before.into_iter().chain(flags).chain(storage);
        let process = Process::start(Program {
            path,
            arguments: arguments.chain(settings.more_flags.iter().cloned()).collect(),
            log: folder.join(format!("server-{index}.log")),
        })?;
        let clients = Relay::start(address).await?;
        let kubeconfig = |name: String, server: SocketAddr| {
            let path = folder.join(name);
            certificates
                .kubeconfig_file(&path, &format!("https://{server}"), "admin", &["system:masters"])
                .map_err(|error| Error::Certificates(error.to_string()))?;
            Ok::<_, Error>(path)
        };
        let direct = connect(&kubeconfig(format!("direct-{index}.conf"), address)?)?;
        Ok(Node {
            process: Mutex::new(process),
            kubeconfig: kubeconfig(format!("relay-{index}.conf"), clients.address)?,
            clients,
            store,
            direct,
        })
    }

    /// A client with connections of its own to a server, through the relay.
    pub fn client(&self, node: usize) -> Result<Client, Error> {
        connect(&self.nodes[node % self.nodes.len()].kubeconfig)
    }

    /// A client through another relay to the same server.
    pub fn client_through(&self, relay: &Relay) -> Result<Client, Error> {
        let config = Config::from_kubeconfig(&self.nodes[0].kubeconfig);
        let config = config.map_err(|error| Error::Client(error.to_string()))?;
        client_of(config.with_server(format!("https://{}", relay.address)))
    }

    /// Waits until the server says that it is ready.
    pub async fn wait_until_ready(&self, node: usize) -> Result<(), Error> {
        let node = &self.nodes[node];
        let deadline = Instant::now() + Duration::from_secs(STARTUP_SECONDS);
        while Instant::now() < deadline {
            if node.direct.send(Request::get("/readyz")).await.is_ok() {
                return Ok(());
            }
            if node.process.lock().await.has_ended() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let log = node.process.lock().await.log().to_owned();
        Err(Error::NotUp {
            what: "the API server".to_owned(),
            seconds: STARTUP_SECONDS,
            log: tail(&log),
        })
    }

    /// Kills a server and starts it again; returns when it is ready.
    pub async fn kill_server(&self, node: usize) -> Result<(), Error> {
        {
            let mut process = self.nodes[node].process.lock().await;
            process.kill()?;
            process.restart()?;
        }
        self.wait_until_ready(node).await
    }

    /// Notes that caches may be filled anew for so long from now on.
    pub fn disturbed_for(&self, time: Duration) {
        let until = Instant::now() + time;
        self.disturbed_until
            .send_modify(|before| *before = until.max(*before));
    }

    pub fn still_disturbed_for(&self) -> Duration {
        self.disturbed_until
            .borrow()
            .saturating_duration_since(Instant::now())
    }

    /// The last lines that a server logged.
    pub async fn log(&self, node: usize) -> String {
        tail(self.nodes[node].process.lock().await.log())
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

fn connect(kubeconfig: &Path) -> Result<Client, Error> {
    let config = Config::from_kubeconfig(kubeconfig);
    client_of(config.map_err(|error| Error::Client(error.to_string()))?)
}

/// No rate limit, and nothing is sent again by itself: each call is one request and has one answer.
fn client_of(config: Config) -> Result<Client, Error> {
    let mut config = config.with_rate(-1.0, 0);
    config.timeout = Some(REQUEST_TIMEOUT);
    let transport = HttpTransport::new(config.tls.clone());
    let transport = transport.map_err(|error| Error::Client(error.to_string()))?;
    Ok(Client::with_transport(config, Arc::new(Once(transport))))
}

/// Hides from the client that the server asks it to try again.
struct Once(HttpTransport);

impl Transport for Once {
    fn send(
        &self,
        request: http::Request<bytes::Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, transport::Error>> {
        let sent = self.0.send(request);
        async move {
            let mut response = sent.await?;
            response.headers_mut().remove(RETRY_AFTER);
            Ok(response)
        }
        .boxed()
    }
}

fn flags(certificates: &Folder, port: u16) -> Vec<String> {
    let file = |name: &str, extension: &str| certificates.file(name, extension).display().to_string();
    vec![
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/12".to_owned(),
        "--service-account-issuer=https://test".to_owned(),
        format!("--secure-port={port}"),
        format!("--client-ca-file={}", file("ca", "crt")),
        format!("--tls-cert-file={}", file("apiserver", "crt")),
        format!("--tls-private-key-file={}", file("apiserver", "key")),
        format!("--service-account-key-file={}", file("sa", "pub")),
        format!("--service-account-signing-key-file={}", file("sa", "key")),
    ]
}

fn make_certificates(folder: &Path) -> Result<Folder, String> {
    let certificates = Folder::new(folder, Timestamp::now());
    let cluster = Cluster {
        node_name: "localhost".to_owned(),
        advertise_address: Ipv4Addr::LOCALHOST.into(),
        service_address: Ipv4Addr::new(10, 96, 0, 1).into(),
        dns_domain: "cluster.local".to_owned(),
        extra_names: vec!["127.0.0.1".to_owned()],
    };
    for row in AUTHORITIES {
        certificates.authority(row).map_err(|error| error.to_string())?;
    }
    for row in LEAVES {
        certificates
            .leaf(row, &cluster)
            .map_err(|error| error.to_string())?;
    }
    certificates
        .service_account_keys()
        .map_err(|error| error.to_string())?;
    Ok(certificates)
}

/// etcd on free ports; `OXIKUBE_ETCD` names another program than the installed one.
fn start_etcd(folder: &Path) -> Result<Option<(Process, SocketAddr)>, Error> {
    let named = std::env::var_os("OXIKUBE_ETCD").map(PathBuf::from);
    let Some(path) = named.or_else(|| installed("etcd")) else {
        return Ok(None);
    };
    let (client, peer) = (free_address()?, free_address()?);
    let arguments = vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        format!("--listen-peer-urls=http://{peer}"),
        format!("--initial-advertise-peer-urls=http://{peer}"),
        format!("--initial-cluster=default=http://{peer}"),
        "--heartbeat-interval=10".to_owned(),
        "--election-timeout=100".to_owned(),
    ];
    let log = folder.join("etcd.log");
    let process = Process::start(Program { path, arguments, log })?;
    Ok(Some((process, client)))
}
