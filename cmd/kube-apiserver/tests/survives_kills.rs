//! The real binary over the embedded store is killed again and again while clients write: nothing that it has
//! acknowledged may be missing afterwards.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use api::core::v1::ConfigMap;
use client::{Client, Config, ListParams};
use jiff::Timestamp;
use pki::bootstrap::{AUTHORITIES, Cluster, Folder, LEAVES};

const KILLS: usize = 5;
const WRITERS: usize = 4;
/// Writes that must have been acknowledged before each kill.
const WRITES_BETWEEN_KILLS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(60);

/// The running binary; killed when dropped.
struct Server(Child);

impl Server {
    fn start(folder: &Folder, data: &Path, port: u16) -> Server {
        let file = |name: &str, extension: &str| folder.file(name, extension).display().to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_kube-apiserver"))
            .args([
                "--storage-backend=embedded",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
            ])
            .args([
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.96.0.0/12",
                "--service-account-issuer=https://test",
            ])
            .arg(format!("--embedded-data-dir={}", data.display()))
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
        Server(child)
    }

    /// SIGKILL: no destructor runs, no buffer is flushed.
    fn kill(mut self) {
        self.0.kill().expect("the server was running");
        self.0.wait().expect("the server ends");
        std::mem::forget(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn certificates(path: &Path) -> Folder {
    let folder = Folder::new(path, Timestamp::now());
    let cluster = Cluster {
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

/// Name to resourceVersion of every acknowledged write.
type Acknowledged = Arc<Mutex<BTreeMap<String, String>>>;

/// Creates objects until told to stop; a failed request is tried again under another name.
async fn write(client: Client, writer: usize, acknowledged: Acknowledged, stop: Arc<AtomicBool>) {
    let maps = client.api::<ConfigMap>().namespace("default");
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let mut map = ConfigMap::default();
        map.metadata.name = format!("kill-{writer}-{number}");
        match maps.create(&map).await {
            Ok(created) => {
                acknowledged
                    .lock()
                    .expect("not poisoned")
                    .insert(created.metadata.name, created.metadata.resource_version);
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn wait_for_writes(acknowledged: &Acknowledged, count: usize) {
    let started = Instant::now();
    while acknowledged.lock().expect("not poisoned").len() < count {
        assert!(started.elapsed() < PATIENCE, "the server does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kills() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = certificates(temporary.path());
    let data = temporary.path().join("data");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let kubeconfig = temporary.path().join("admin.conf");
    folder
        .kubeconfig_file(
            &kubeconfig,
            &format!("https://{address}"),
            "admin",
            &["system:masters"],
        )
        .expect("a kubeconfig");
    let client = || {
        Client::new(
            Config::from_kubeconfig(&kubeconfig)
                .expect("a kubeconfig")
                .with_rate(-1.0, 0),
        )
        .expect("a client")
    };

    let mut server = Server::start(&folder, &data, port);
    let acknowledged = Acknowledged::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(client(), writer, acknowledged.clone(), stop.clone())))
        .collect();
    for round in 1..=KILLS {
        wait_for_writes(&acknowledged, round * WRITES_BETWEEN_KILLS).await;
        server.kill();
        server = Server::start(&folder, &data, port);
    }
    wait_for_writes(&acknowledged, (KILLS + 1) * WRITES_BETWEEN_KILLS).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer that ends well");
    }

    let stored = client()
        .api::<ConfigMap>()
        .namespace("default")
        .list(&ListParams::default())
        .await
        .expect("a list");
    let stored: BTreeMap<&str, &str> = stored
        .items
        .iter()
        .map(|map| (map.metadata.name.as_str(), map.metadata.resource_version.as_str()))
        .collect();
    let acknowledged = acknowledged.lock().expect("not poisoned");
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|(name, version)| stored.get(name.as_str()) != Some(&version.as_str()))
        .collect();
    assert!(
        lost.is_empty(),
        "of {} acknowledged writes these are lost: {lost:?}",
        acknowledged.len()
    );
    drop(server);
}
