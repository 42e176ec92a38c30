//! The flags of the store against real etcd servers and real files, and the commands that work on stores.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use component_base::tls::CertificateFiles;
use control_plane::options::store::{EtcdOptions, Override, StorageOptions, StoreOptions};
use control_plane::store::{self, Opened, commands};
use etcd_fixture::{Certificates, Server, programs};
use storage::{Expect, Store, Write, embedded};

fn put(value: &'static str) -> Write {
    Write::Put {
        value: value.into(),
        ttl: None,
    }
}

fn etcd(server: &Server) -> EtcdOptions {
    EtcdOptions {
        servers: vec![server.url()],
        lease_reuse: Duration::from_secs(60),
        ..EtcdOptions::default()
    }
}

fn options(etcd: EtcdOptions) -> StoreOptions {
    StoreOptions {
        backend: StorageOptions::Etcd(etcd),
        ..StoreOptions::memory()
    }
}

fn open(options: &StoreOptions) -> Opened {
    store::open(options, &Registry::new(), &Shutdown::new()).expect("stores")
}

async fn create(store: &Arc<dyn Store>, key: &str) {
    store
        .commit(key.as_bytes(), Expect::Absent, put("x"))
        .await
        .expect("a write");
}

async fn count(store: &Arc<dyn Store>, prefix: &str) -> u64 {
    store.count(prefix.as_bytes()).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_reached_with_certificates_of_both_sides() {
    let certificates = Certificates::make().expect("certificates");
    for program in programs() {
        let server = Server::start(&program, Some(&certificates)).expect("etcd");
        let client = CertificateFiles {
            certificate: certificates.client.certificate.clone(),
            key: certificates.client.key.clone(),
        };
        let known = EtcdOptions {
            certificate_authority: Some(certificates.authority.clone()),
            client: Some(client),
            ..etcd(&server)
        };
        create(open(&options(known.clone())).stores.main(), "/registry/a").await;
        let stranger = EtcdOptions {
            client: None,
            ..known.clone()
        };
        open(&options(stranger))
            .stores
            .main()
            .probe()
            .await
            .expect_err("a client without a certificate");
        let others = Certificates::make().expect("certificates");
        let impostor = EtcdOptions {
            certificate_authority: Some(others.authority.clone()),
            ..known
        };
        open(&options(impostor))
            .stores
            .main()
            .probe()
            .await
            .expect_err("a server of another authority");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_go_to_their_own_etcd_under_the_prefix() {
    for program in programs() {
        let (main, events) = (
            Server::start(&program, None).expect("etcd"),
            Server::start(&program, None).expect("etcd"),
        );
        let split = StoreOptions {
            root: "/clusters/one".to_owned(),
            overrides: vec![Override {
                group: String::new(),
                resource: "events".to_owned(),
                etcd: etcd(&events),
            }],
            ..options(etcd(&main))
        };
        let opened = open(&split);
        create(opened.stores.of(b"/registry/pods/"), "/registry/pods/a").await;
        create(opened.stores.of(b"/registry/events/"), "/registry/events/a").await;
        let bare =
            |server: &Server| store::open_bare(&StorageOptions::Etcd(etcd(server)), None).expect("a store");
        let (main_bare, events_bare) = (bare(&main), bare(&events));
        assert_eq!(count(&main_bare, "/clusters/one/pods/").await, 1);
        assert_eq!(count(&main_bare, "/clusters/one/events/").await, 0);
        assert_eq!(count(&events_bare, "/clusters/one/events/").await, 1);
        let names: Vec<_> = opened
            .dependencies
            .checks
            .iter()
            .chain(&opened.dependencies.readiness)
            .map(|check| check.name().to_owned())
            .collect();
        assert_eq!(
            names,
            [
                "etcd",
                "etcd-override-0",
                "etcd-readiness",
                "etcd-override-readiness-0"
            ]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_store() {
    for program in programs() {
        let server = Server::start(&program, None).expect("etcd");
        let opened = open(&StoreOptions {
            healthcheck_timeout: Duration::from_millis(500),
            readycheck_timeout: Duration::from_millis(500),
            ..options(etcd(&server))
        });
        let becomes = async |healthy: bool| {
            let wanted = async {
                while opened.dependencies.checks[0].check().is_ok() != healthy {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), wanted)
                .await
                .expect("the check follows");
        };
        becomes(true).await;
        server.pause().expect("paused");
        becomes(false).await;
        server.resume().expect("resumed");
        becomes(true).await;
    }
}

async fn command(words: &[&str]) -> Result<String, String> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    commands::run(&words)
        .await
        .map_err(|error| component_base::options::chain(&error))
}

/// `N keys, sha256 ...`
fn content(report: &str) -> String {
    report.split_once(", ").map_or("", |(_, rest)| rest).to_owned()
}

fn fill(directory: &Path) -> embedded::LocalStore {
    embedded::open(directory, embedded::Options::default()).expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn backup_wipe_restore() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, file) = (folder.path().join("store"), folder.path().join("backup"));
    let (place, to, from) = (
        format!("--embedded-data-dir={}", directory.display()),
        format!("--to={}", file.display()),
        format!("--from={}", file.display()),
    );
    let running: Arc<dyn Store> = Arc::new(fill(&directory));
    for n in 0..20 {
        create(&running, &format!("/registry/x/{n}")).await;
    }
    // Beside the server that has it open.
    let saved = command(&["backup", &place, &to]).await.expect("a backup");
    assert!(saved.starts_with("revision 21, 20 keys, sha256 "), "{saved}");
    assert_eq!(command(&["check", &place]).await.as_deref(), Ok(saved.as_str()));
    let refused = command(&["restore", &place, &from])
        .await
        .expect_err("a store that is open");
    assert!(refused.contains("is held by another process"), "{refused}");
    drop(running);
    let refused = command(&["restore", &place, &from])
        .await
        .expect_err("a store that is there");
    assert!(refused.contains("holds 20 keys already"), "{refused}");
    std::fs::remove_dir_all(&directory).expect("wiped");
    let restored = command(&["restore", &place, &from, "--skip-revisions=1000"])
        .await
        .expect("a store");
    assert_eq!(content(&restored), content(&saved));
    assert!(restored.starts_with("revision 1021, "), "{restored}");
    let check = command(&["check", &format!("--backup={}", file.display())]).await;
    assert_eq!(check.as_deref(), Ok(saved.as_str()));
    let mut damaged = std::fs::read(&file).expect("the backup");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&file, damaged).expect("written");
    let check = command(&["check", &format!("--backup={}", file.display())]).await;
    assert!(check.expect_err("damage").contains("checksum"));
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_to_etcd_and_back() {
    for program in programs() {
        let server = Server::start(&program, None).expect("etcd");
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| format!("--embedded-data-dir={}", folder.path().join(name).display());
        let servers = format!("--etcd-servers={}", server.url());
        let store: Arc<dyn Store> = Arc::new(fill(&folder.path().join("old")));
        for n in 0..100 {
            create(&store, &format!("/registry/x/{n}")).await;
        }
        drop(store);
        let before = command(&["check", &place("old")]).await.expect("a report");
        let moved = command(&["migrate", &place("old"), &servers, "--to=etcd3"]).await;
        assert_eq!(content(&moved.expect("moved")), content(&before));
        assert!(
            command(&["migrate", &place("old"), &servers, "--to=etcd3"])
                .await
                .is_err()
        );
        let back = command(&["migrate", &place("new"), &servers, "--to=embedded"]).await;
        assert_eq!(content(&back.expect("moved")), content(&before));
        let in_etcd = command(&["check", &servers]).await.expect("a report");
        assert_eq!(content(&in_etcd), content(&before));
    }
}

#[tokio::test]
async fn mistakes_are_told() {
    for (words, expected) in [
        (&["defrag"][..], "unknown command \"defrag\""),
        (&["check"], "--embedded-data-dir"),
        (
            &["backup", "--embedded-data-dir=/x"],
            "invalid --to: must be given",
        ),
        (
            &["check", "--embedded-data-dir=/nonexistent"],
            "can't open /nonexistent",
        ),
        (&["check", "--other"], "unknown flag: --other"),
    ] {
        let refused = command(words).await.expect_err("a mistake");
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
    assert!(command(&[]).await.expect("usage").contains("store migrate"));
}
