//! The server, its certificates, and clients with any identity.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use client::{Client, Config};
use component_base::shutdown::Shutdown;
use component_base::tls::CertificateFiles;
use control_plane::{ControlPlane, Options};
use jiff::Timestamp;
use pki::bootstrap::{AUTHORITIES, Cluster, Folder, LEAVES};
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// A running API server; it ends when this is dropped.
pub struct ApiServer {
    pub address: SocketAddr,
    /// Servers of one cluster share it.
    folder: Arc<TempDir>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shutdown.trigger();
        self.task.abort();
    }
}

impl ApiServer {
    /// A server as kubeadm would configure it, ready to answer.
    pub async fn start() -> ApiServer {
        ApiServer::start_with(|_| {}).await
    }

    /// As [`ApiServer::start`], with options changed by the test.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> ApiServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        make_certificates(&folder);
        ApiServer::start_in(Arc::new(folder), change).await
    }

    /// Another server of the same cluster: with the same authorities and keys. That they share a store is up to the
    /// options.
    pub async fn start_beside(&self, change: impl FnOnce(&mut Options)) -> ApiServer {
        ApiServer::start_in(self.folder.clone(), change).await
    }

    async fn start_in(folder: Arc<TempDir>, change: impl FnOnce(&mut Options)) -> ApiServer {
        let certificates = Folder::new(folder.path(), Timestamp::now());
        let mut options = Options::for_test();
        // Endpoints take no loopback address; nobody connects to this one.
        options.advertise_address = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)));
        options.serving = Some(CertificateFiles {
            certificate: certificates.file("apiserver", "crt"),
            key: certificates.file("apiserver", "key"),
        });
        options.authentication.client_ca_file = Some(certificates.file("ca", "crt"));
        options.service_accounts.issuers = vec!["https://kubernetes.default.svc.cluster.local".to_owned()];
        options.service_accounts.audiences = options.service_accounts.issuers.clone();
        options.service_accounts.key_files = vec![certificates.file("sa", "pub")];
        options.service_accounts.signing_key_file = Some(certificates.file("sa", "key"));
        change(&mut options);

        let shutdown = Shutdown::new();
        let control_plane = ControlPlane::build(options, shutdown.clone())
            .await
            .expect("a control plane");
        let address = control_plane.address;
        let mut readiness = control_plane.readiness();
        let task = tokio::spawn(async move { control_plane.run().await.expect("a server that ends well") });
        readiness
            .wait_for(|ready| *ready)
            .await
            .expect("a server that gets ready");
        ApiServer {
            address,
            folder,
            shutdown,
            task,
        }
    }

    /// Tells the server to end.
    pub fn shut_down(&self) {
        self.shutdown.trigger();
    }

    /// Waits until the server, which was told to, has ended.
    pub async fn ended(&mut self) {
        (&mut self.task).await.expect("a server that ends well");
    }

    /// A client that may do anything.
    pub fn client(&self) -> Client {
        self.client_as("kubernetes-admin", &["system:masters"])
    }

    /// A client with a certificate for this user and these groups.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Client {
        // No rate limit: tests wait for answers, not for tokens.
        let config = Config::from_kubeconfig(self.kubeconfig(user, groups))
            .expect("a kubeconfig")
            .with_rate(-1.0, 0);
        Client::new(config).expect("a client")
    }

    /// A kubeconfig file for this user and these groups.
    pub fn kubeconfig(&self, user: &str, groups: &[&str]) -> PathBuf {
        let folder = Folder::new(self.folder.path(), Timestamp::now());
        let path = self
            .folder
            .path()
            .join(format!("{}.conf", user.replace([':', '/'], "-")));
        folder
            .kubeconfig_file(&path, &format!("https://{}", self.address), user, groups)
            .expect("a client certificate");
        path
    }
}

fn make_certificates(folder: &TempDir) {
    let certificates = Folder::new(folder.path(), Timestamp::now());
    let cluster = Cluster {
        node_name: "localhost".to_owned(),
        advertise_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        service_address: IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1)),
        dns_domain: "cluster.local".to_owned(),
        extra_names: vec!["127.0.0.1".to_owned()],
    };
    for row in AUTHORITIES {
        certificates.authority(row).expect("an authority");
    }
    for row in LEAVES {
        certificates.leaf(row, &cluster).expect("a certificate");
    }
    certificates.service_account_keys().expect("keys");
}
