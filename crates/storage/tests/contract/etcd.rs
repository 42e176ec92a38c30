//! An etcd of our own for each test: a process on free ports with its data in a temporary directory.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use storage::cache::{Cache, Extract, Extracted, Freshness};
use storage::{Store, etcd};

use crate::run;
use crate::subject::{Driver, Subject};

pub struct Etcd {
    process: Child,
    url: String,
    arguments: Vec<String>,
    _directory: tempfile::TempDir,
}

impl Etcd {
    /// Starts etcd; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let (client, peer) = (free_port(), free_port());
        let (url, peer_url) = (
            format!("http://127.0.0.1:{client}"),
            format!("http://127.0.0.1:{peer}"),
        );
        let arguments = vec![
            format!("--data-dir={}", directory.path().display()),
            format!("--listen-client-urls={url}"),
            format!("--advertise-client-urls={url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
            "--heartbeat-interval=10".to_owned(),
            "--election-timeout=100".to_owned(),
        ];
        match spawn(&arguments) {
            Ok(process) => Some(Self {
                process,
                url,
                arguments,
                _directory: directory,
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: etcd is not installed");
                None
            }
            Err(error) => panic!("etcd: {error}"),
        }
    }

    /// Kills etcd and starts it again on its data.
    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.arguments).unwrap();
    }
}

fn spawn(arguments: &[String]) -> std::io::Result<Child> {
    Command::new("etcd")
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Free when asked; another process may take it before etcd does, which then fails its test and not silently.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Subject for Etcd {
    fn open(&self) -> Arc<dyn Store> {
        let store = Arc::new(etcd::open(etcd::Options::new([&self.url])).unwrap());
        let is_up = || async {
            for _ in 0..400 {
                if store.current_revision().await.is_ok() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            panic!("etcd did not come up");
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(is_up()));
        store
    }

    fn short_ttl(&self) -> Duration {
        Duration::from_secs(1)
    }

    /// etcd has a clock of its own, and the case waits for what it does.
    fn advance_clock(&self, _: Duration) {}
}

struct Nothing;

impl Extract for Nothing {
    fn extract(&self, _: &[u8], _: &[u8]) -> Result<Extracted, String> {
        Ok(Extracted::default())
    }
}

#[test]
fn a_cache_outlives_its_etcd() {
    let Some(etcd) = Etcd::start() else { return };
    run(etcd, |mut etcd: Etcd| async move {
        let store = etcd.open();
        let cache = Cache::start(
            store.clone(),
            "/pods/".into(),
            Arc::new(Nothing),
            Default::default(),
        );
        let driver = Driver(store);
        driver.create("/pods/before", "1").await.unwrap();
        assert_eq!(cache.snapshot(Freshness::Latest).await.unwrap().len(), 1);
        etcd.restart();
        etcd.open();
        // The store's own connection comes back by itself.
        let created = async {
            while driver.create("/pods/after", "2").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), created)
            .await
            .unwrap();
        // The cache has to reconnect, which may take longer than one read waits.
        let caught_up = async {
            while cache
                .snapshot(Freshness::Latest)
                .await
                .map_or(0, |snapshot| snapshot.len())
                < 2
            {}
        };
        tokio::time::timeout(Duration::from_secs(20), caught_up)
            .await
            .unwrap();
    });
}
