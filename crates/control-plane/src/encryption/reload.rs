//! The rules of encryption while the server runs: the file's, and after a change those of the new file, if it can be
//! read and its key management services are in order.
//!
//! Upstream: `apiserver/pkg/server/options/encryptionconfig/controller`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use component_base::config::{self, Document};
use component_base::health::Check;
use component_base::metrics::{GaugeVec, IntCounterVec, IntGaugeVec, Registry};
use component_base::shutdown::Shutdown;
use storage::encryption::kms::{KmsMetrics, content_hash};
use storage::encryption::{Current, Rules};
use tracing::{error, info};

use super::Reader;
use crate::Error;
use crate::options::store::EncryptionOptions;

/// Upstream's time between two looks at the file.
const INTERVAL: Duration = Duration::from_secs(60);
/// New key management services get that long to be in order before their configuration is refused.
const HEALTH_LIMIT: Duration = Duration::from_secs(10);
const HEALTH_INTERVAL: Duration = Duration::from_millis(100);

/// The rules that hold, and what tells of the health of their services.
pub struct Opened {
    pub current: Arc<Current>,
    pub check: Option<Arc<dyn Check>>,
}

/// Reads the configuration, and follows its changes until the shutdown if that is asked for.
pub fn open(
    options: &EncryptionOptions,
    root: &str,
    registry: &Registry,
    shutdown: &Shutdown,
) -> Result<Opened, Error> {
    let mut reloader = Reloader {
        path: options.config.clone(),
        root: root.to_owned(),
        kms: KmsMetrics::new(registry, ""),
        metrics: Metrics::new(registry),
        hash: String::new(),
    };
    let (rules, hash) = reloader.read()?;
    let has_service = rules.has_service();
    reloader.accept(hash);
    let current = Current::new(rules);
    if options.reload {
        let (followed, shutdown) = (current.clone(), shutdown.clone());
        let follow = async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                reloader.tick(&followed).await;
            }
        };
        tokio::spawn(async move { shutdown.guard(follow).await });
    }
    let check = (has_service || options.reload).then(|| -> Arc<dyn Check> {
        Arc::new(ServicesCheck {
            current: current.clone(),
        })
    });
    Ok(Opened { current, check })
}

struct Reloader {
    path: PathBuf,
    root: String,
    kms: Arc<KmsMetrics>,
    metrics: Metrics,
    /// Of the configuration that holds.
    hash: String,
}

impl Reloader {
    /// Looks whether the file has changed; takes it if it can be used, and keeps the old rules if not.
    async fn tick(&mut self, current: &Current) {
        match self.changed().await {
            Ok(None) => {}
            Ok(Some((rules, hash))) => {
                current.replace(rules);
                info!(file = %self.path.display(), "encryption configuration loaded");
                self.accept(hash);
                self.metrics.reloaded("success");
            }
            Err(reason) => {
                error!(file = %self.path.display(), %reason, "encryption configuration can't be used: the last one stays");
                self.metrics.reloaded("failure");
            }
        }
    }

    async fn changed(&self) -> Result<Option<(Rules, String)>, String> {
        let text = config::read(&self.path).map_err(|error| error.to_string())?;
        if content_hash(&text) == self.hash {
            return Ok(None);
        }
        let (rules, hash) = self
            .read()
            .map_err(|error| component_base::options::chain(&error))?;
        let healthy = async {
            while rules.health().is_err() {
                tokio::time::sleep(HEALTH_INTERVAL).await;
            }
        };
        match tokio::time::timeout(HEALTH_LIMIT, healthy).await {
            Ok(()) => Ok(Some((rules, hash))),
            Err(_) => Err(rules.health().err().unwrap_or_default()),
        }
    }

    fn read(&self) -> Result<(Rules, String), Error> {
        let text = config::read(Path::new(&self.path))?;
        let reader = Reader {
            root: &self.root,
            metrics: &self.kms,
        };
        let rules = super::rules(Document::parse(&text)?, &reader)?;
        Ok((rules, content_hash(&text)))
    }

    fn accept(&mut self, hash: String) {
        self.metrics.holds(&self.hash, &hash);
        self.hash = hash;
    }
}

/// `apiserver_encryption_config_controller_...`
struct Metrics {
    reloads: IntCounterVec,
    reloaded_at: GaugeVec,
    info: IntGaugeVec,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        let name = |name: &str| format!("apiserver_encryption_config_controller_{name}");
        Self {
            reloads: registry.counter_vec(
                &name("automatic_reloads_total"),
                "Total number of reload successes and failures of encryption configuration split by apiserver identity.",
                &["status", "apiserver_id_hash"],
            ),
            reloaded_at: registry.float_gauge_vec(
                &name("automatic_reload_last_timestamp_seconds"),
                "Timestamp of the last successful or failed automatic reload of encryption configuration split by apiserver identity.",
                &["status", "apiserver_id_hash"],
            ),
            info: registry.gauge_vec(
                &name("last_config_info"),
                "Information about the last applied encryption configuration with hash as label, split by apiserver identity.",
                &["apiserver_id_hash", "hash"],
            ),
        }
    }

    fn reloaded(&self, status: &str) {
        self.reloads.with_label_values(&[status, ""]).inc();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = now.map_or(0.0, |now| now.as_secs_f64());
        self.reloaded_at.with_label_values(&[status, ""]).set(seconds);
    }

    /// One configuration took another's place.
    fn holds(&self, before: &str, hash: &str) {
        if !before.is_empty()
            && let Err(error) = self.info.remove_label_values(&["", before])
        {
            error!(%error, "the last configuration was not shown");
        }
        self.info.with_label_values(&["", hash]).set(1);
    }
}

/// Upstream's one check for all services.
struct ServicesCheck {
    current: Arc<Current>,
}

impl Check for ServicesCheck {
    fn name(&self) -> &str {
        "kms-providers"
    }

    fn check(&self) -> Result<(), String> {
        self.current.rules().health()
    }
}

#[cfg(test)]
mod tests {
    use storage::encryption::Encrypted;
    use storage::{Expect, Store, Write, memory};

    use super::*;

    const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn configuration(providers: &str) -> String {
        format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers: [{providers}]\n"
        )
    }

    fn key(name: &str) -> String {
        format!("{{aesgcm: {{keys: [{{name: {name}, secret: {SECRET}}}]}}}}")
    }

    /// Keys rotate as an administrator does it: the new key first beside the old, rewrite, then the new one alone.
    #[tokio::test]
    async fn keys_rotate_by_changes_of_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("encryption.yaml");
        let write = |providers: &str| std::fs::write(&path, configuration(providers)).expect("written");
        let registry = Registry::new();
        let mut reloader = Reloader {
            path: path.clone(),
            root: "/registry".to_owned(),
            kms: KmsMetrics::new(&registry, ""),
            metrics: Metrics::new(&registry),
            hash: String::new(),
        };
        write(&key("one"));
        let (rules, hash) = reloader.read().expect("rules");
        reloader.accept(hash);
        let current = Current::new(rules);
        let inner: Arc<dyn Store> = Arc::new(memory::open(memory::Options::default()).expect("a store"));
        let store = Encrypted::new(inner.clone(), current.clone());
        let secret = b"/registry/secrets/a";
        let put = Write::Put {
            value: "hidden".into(),
            ttl: None,
        };
        store.commit(secret, Expect::Absent, put).await.expect("a write");
        write(&format!("{}, {}", key("two"), key("one")));
        reloader.tick(&current).await;
        assert_eq!(
            store
                .rewrite(&"/registry/secrets/".into())
                .await
                .expect("rewritten"),
            1
        );
        write("{nonsense: {}}");
        reloader.tick(&current).await;
        write(&key("two"));
        reloader.tick(&current).await;
        reloader.tick(&current).await;
        let stored = inner.get(secret, None).await.expect("read").1.expect("there");
        assert!(stored.value.bytes().starts_with(b"k8s:enc:aesgcm:v1:two:"));
        let read = store.get(secret, None).await.expect("read").1.expect("there");
        assert_eq!(read.value.bytes(), "hidden");
        let text = String::from_utf8(registry.render().expect("metrics")).expect("text");
        for line in [
            "automatic_reloads_total{apiserver_id_hash=\"\",status=\"success\"} 2",
            "automatic_reloads_total{apiserver_id_hash=\"\",status=\"failure\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(text.matches("last_config_info{").count(), 1, "{text}");
    }

    #[tokio::test]
    async fn a_configuration_with_a_sick_service_is_refused() {
        tokio::time::pause();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("encryption.yaml");
        let kms = "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///nonexistent/kms.sock', timeout: 50ms}}";
        std::fs::write(&path, configuration(kms)).expect("written");
        let registry = Registry::new();
        let reloader = Reloader {
            path,
            root: "/registry".to_owned(),
            kms: KmsMetrics::new(&registry, ""),
            metrics: Metrics::new(&registry),
            hash: String::new(),
        };
        let refused = reloader.changed().await.map(drop).expect_err("refused");
        assert!(refused.contains("kmsv2 Provider a is not healthy"), "{refused}");
    }
}
