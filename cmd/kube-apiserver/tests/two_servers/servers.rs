//! Processes of the real binary that share an etcd, their authorities and their keys.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api::core::v1::Endpoints;
use client::{Client, Config, Request};
use jiff::Timestamp;
use pki::bootstrap::{AUTHORITIES, Cluster as Certified, Folder, LEAVES};
use tempfile::TempDir;

/// What anything is waited for at most.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One running binary; killed when dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Servers on one etcd; all of it ends when this is dropped.
pub struct Cluster {
    servers: Vec<Server>,
    folder: TempDir,
    _etcd: etcd_fixture::Server,
}

impl Cluster {
    /// So many servers, advertised as 192.0.2.1 and so on, once all are ready. `None`: there is no etcd here.
    pub async fn start(count: u8) -> Option<Cluster> {
        let program = etcd_fixture::programs().into_iter().next()?;
        let etcd = etcd_fixture::Server::start(&program, None).expect("an etcd");
        let folder = tempfile::tempdir().expect("a folder");
        let certificates = certificates(&folder);
        let servers = (1..=count)
            .map(|number| start(&certificates, &etcd.url(), number))
            .collect();
        let cluster = Cluster {
            servers,
            folder,
            _etcd: etcd,
        };
        for index in 0..usize::from(count) {
            cluster.wait_until_ready(index).await;
        }
        Some(cluster)
    }

    /// A client of one server.
    pub fn client(&self, index: usize) -> Client {
        let path = self.folder.path().join(format!("admin-{index}.conf"));
        let server = format!("https://127.0.0.1:{}", self.servers[index].port);
        Folder::new(self.folder.path(), Timestamp::now())
            .kubeconfig_file(&path, &server, "admin", &["system:masters"])
            .expect("a kubeconfig");
        let config = Config {
            timeout: Some(Duration::from_secs(5)),
            ..Config::from_kubeconfig(&path)
                .expect("a kubeconfig")
                .with_rate(-1.0, 0)
        };
        Client::new(config).expect("a client")
    }

    /// A client of each server.
    pub fn clients(&self) -> Vec<Client> {
        (0..self.servers.len()).map(|index| self.client(index)).collect()
    }

    /// SIGKILL: no destructor runs, no buffer is flushed, no lease is given back.
    pub fn kill(&mut self, index: usize) {
        let process = &mut self.servers[index].process;
        process.kill().expect("the server was running");
        process.wait().expect("the server ends");
    }

    async fn wait_until_ready(&self, index: usize) {
        let client = self.client(index);
        let started = Instant::now();
        while client.send(Request::get("/readyz")).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "server {index} does not get ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the Service `kubernetes` stands for these addresses, as seen by one server.
    pub async fn wait_for_endpoints(&self, index: usize, wanted: &[&str]) {
        let endpoints = self.client(index).api::<Endpoints>().namespace("default");
        let started = Instant::now();
        loop {
            let found = endpoints.get("kubernetes").await.expect("endpoints");
            let addresses = found.subsets.iter().flat_map(|subset| &subset.addresses);
            let addresses: Vec<&str> = addresses.map(|address| address.ip.as_str()).collect();
            if addresses == wanted {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{addresses:?} are there");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn certificates(path: &TempDir) -> Folder {
    let folder = Folder::new(path.path(), Timestamp::now());
    let cluster = Certified {
        node_name: "localhost".to_owned(),
        advertise_address: Ipv4Addr::LOCALHOST.into(),
        service_address: Ipv4Addr::new(10, 96, 0, 1).into(),
        dns_domain: "cluster.local".to_owned(),
        extra_names: vec!["127.0.0.1".to_owned()],
    };
    for row in AUTHORITIES {
        folder.authority(row).expect("an authority");
    }
    for row in LEAVES {
        folder.leaf(row, &cluster).expect("a certificate");
    }
    folder.service_account_keys().expect("keys");
    folder
}

fn start(folder: &Folder, etcd: &str, number: u8) -> Server {
    let port = etcd_fixture::ports::free_port().expect("a free port");
    let file = |name: &str, extension: &str| folder.file(name, extension).display().to_string();
    let process = Command::new(env!("CARGO_BIN_EXE_kube-apiserver"))
        .args([
            "--bind-address=127.0.0.1",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--service-account-issuer=https://test",
        ])
        .arg(format!("--etcd-servers={etcd}"))
        .arg(format!("--advertise-address=192.0.2.{number}"))
        .arg(format!("--secure-port={port}"))
        .arg(format!("--client-ca-file={}", file("ca", "crt")))
        .arg(format!("--tls-cert-file={}", file("apiserver", "crt")))
        .arg(format!("--tls-private-key-file={}", file("apiserver", "key")))
        .arg(format!("--service-account-key-file={}", file("sa", "pub")))
        .arg(format!(
            "--service-account-signing-key-file={}",
            file("sa", "key")
        ))
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    Server { process, port }
}
