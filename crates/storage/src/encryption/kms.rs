//! Encryption by a key management service (KMS v2): values are encrypted here, by keys that are derived from a seed,
//! and the service encrypts the seed.
//!
//! Reading order: `envelope` (pure: what is stored, and its ciphers), `service` (the plugin's gRPC interface), this
//! file (which seed writes, which seeds are known, the service's health).
//!
//! A thread of its own talks to the plugin: values are decrypted wherever a store feeds its readers, which is
//! outside of async code as well. A seed that is not known yet makes its reader wait for the plugin; all values that
//! one server wrote while it ran share a seed.
//!
//! Upstream: `apiserver/pkg/storage/value/encrypt/envelope/kmsv2`, `server/options/encryptionconfig`.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, mpsc as blocking};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;
use tracing::{info, warn};

mod envelope;
mod metrics;
mod service;
#[cfg(test)]
mod tests;

use super::provider::Reason;
use envelope::{EncryptedObject, Seed, SourceId};
pub use metrics::{KmsMetrics, hash as content_hash};
pub use service::socket;
use service::{Service, StatusResponse};

/// The plugin is asked for its status that often: upstream's times for a health check to be believed.
const HEALTHY_INTERVAL: Duration = Duration::from_secs(20);
const FAILING_INTERVAL: Duration = Duration::from_secs(3);
/// A seed writes for that long after the plugin was last seen in order.
const WRITE_LIFETIME: Duration = Duration::from_secs(180);
/// Seeds that are kept decrypted: about one for each start of a server since values were last rewritten.
const MAX_SEEDS: usize = 4096;
/// Requests that may wait for the thread.
const MAX_WAITING: usize = 256;

/// How a plugin is reached.
#[derive(Clone, Debug)]
pub struct KmsOptions {
    /// Stands in what is stored.
    pub name: String,
    /// The socket it listens on; a leading `@` names an abstract one.
    pub socket: PathBuf,
    /// Bound of one call.
    pub timeout: Duration,
    pub metrics: Option<Arc<KmsMetrics>>,
}

/// See the module. Its thread ends with it.
pub struct Kms {
    options: KmsOptions,
    /// `k8s:enc:kms:v2:NAME:`
    prefix: Vec<u8>,
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

/// A seed that is to be decrypted, and who waits for it.
struct Request {
    object: EncryptedObject,
    reply: blocking::SyncSender<Result<Arc<Seed>, String>>,
}

struct Shared {
    /// What writes; none until the plugin has encrypted a seed.
    writer: RwLock<Option<Writer>>,
    seeds: Mutex<Seeds>,
    /// Of the last look at the plugin.
    health: RwLock<Result<(), String>>,
}

#[derive(Clone)]
struct Writer {
    seed: Arc<Seed>,
    /// All of what is stored but the data.
    object: EncryptedObject,
    expires: Instant,
}

/// Decrypted seeds, oldest out first.
#[derive(Default)]
struct Seeds {
    by_source: HashMap<SourceId, Arc<Seed>>,
    order: VecDeque<SourceId>,
}

impl Seeds {
    fn insert(&mut self, source: SourceId, seed: Arc<Seed>) {
        if self.by_source.insert(source, seed).is_none() {
            self.order.push_back(source);
        }
        if self.order.len() > MAX_SEEDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_source.remove(&oldest);
        }
    }
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.prefix))
    }
}

impl Kms {
    /// Starts the thread, and waits for the plugin's first answer as long as one call may take. A plugin that is not
    /// there yet is asked again: until then writes fail.
    pub fn start(options: KmsOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            writer: RwLock::new(None),
            seeds: Mutex::default(),
            health: RwLock::new(Err("the plugin was not asked yet".to_owned())),
        });
        let (requests, inbox) = mpsc::channel(MAX_WAITING);
        let (primed, first) = blocking::sync_channel(1);
        let agent = Agent {
            options: options.clone(),
            shared: shared.clone(),
            version: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("kms".into())
            .spawn(move || runtime.block_on(agent.run(inbox, primed)))?;
        if wait(&first, options.timeout * 2).is_none() {
            warn!(provider = %options.name, "KMS provider is late: it is asked again");
        }
        Ok(Self {
            prefix: format!("k8s:enc:kms:v2:{}:", options.name).into_bytes(),
            options,
            shared,
            requests,
        })
    }

    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Whether the plugin was in order when it was last asked.
    pub fn health(&self) -> Result<(), String> {
        self.shared.health.read().clone()
    }

    pub(super) fn encrypt(&self, key: &[u8], value: &[u8]) -> Result<Bytes, Reason> {
        let writer = self.shared.writer.read().clone();
        let Some(writer) = writer else {
            let health = self.health().err().unwrap_or_default();
            return Err(format!("KMS provider {} has no key: {health}", self.options.name).into());
        };
        if writer.expires < Instant::now() {
            return Err(format!("the key of KMS provider {} has expired", self.options.name).into());
        }
        let mut object = writer.object;
        object.encrypted_data = writer.seed.encrypt(key, value)?;
        self.record("to_storage", &object.key_id);
        let mut out = self.prefix.clone();
        object.append_to(&mut out);
        Ok(out.into())
    }

    /// The plain value, and whether it is kept as it would be written now. `Err(None)`: not kept in this way.
    pub(super) fn decrypt(&self, key: &[u8], stored: &[u8]) -> Result<(Bytes, bool), Option<Reason>> {
        let stored = stored.strip_prefix(&self.prefix[..]).ok_or(None)?;
        let object = EncryptedObject::parse(stored).map_err(|reason| Some(reason.into()))?;
        let seed = self.seed(&object).map_err(|reason| Some(reason.into()))?;
        let value = seed
            .decrypt(key, &object.encrypted_data)
            .map_err(|reason| Some(reason.into()))?;
        self.record("from_storage", &object.key_id);
        let is_current = self.shared.writer.read().as_ref().is_some_and(|writer| {
            writer.object.key_id == object.key_id && writer.object.source_kind == object.source_kind
        });
        Ok((value.into(), is_current))
    }

    fn record(&self, transformation: &str, key_id: &str) {
        if let Some(metrics) = &self.options.metrics {
            metrics.used(transformation, &self.options.name, key_id);
        }
    }

    /// The seed of a stored value: one that is known, or from the plugin.
    fn seed(&self, object: &EncryptedObject) -> Result<Arc<Seed>, String> {
        if let Some(seed) = self.shared.seeds.lock().by_source.get(&object.source_id()) {
            return Ok(seed.clone());
        }
        if let Some(metrics) = &self.options.metrics {
            metrics.missed();
        }
        let (reply, answer) = blocking::sync_channel(1);
        let mut object = object.clone();
        object.encrypted_data = Vec::new();
        self.requests
            .try_send(Request { object, reply })
            .map_err(|_| format!("KMS provider {}: too many requests wait", self.options.name))?;
        // The thread's own bound comes first.
        wait(&answer, self.options.timeout * 2)
            .unwrap_or_else(|| Err(format!("KMS provider {} did not answer", self.options.name)))
    }
}

/// Waits outside of async code, or beside other tasks where the runtime has more than one thread.
fn wait<T>(answer: &blocking::Receiver<T>, limit: Duration) -> Option<T> {
    let receive = || answer.recv_timeout(limit).ok();
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(receive),
        _ => receive(),
    }
}

/// What the thread does.
struct Agent {
    options: KmsOptions,
    shared: Arc<Shared>,
    /// Of the plugin's interface, as it said at first.
    version: Option<String>,
}

impl Agent {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>, primed: blocking::SyncSender<()>) {
        let service = Service::new(&self.options);
        let mut pause = self.look(&service).await;
        // The receiver may have stopped waiting.
        primed.try_send(()).unwrap_or_default();
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.answer(&service, request),
                    None => return,
                },
                () = tokio::time::sleep(pause) => pause = self.look(&service).await,
            }
        }
    }

    /// Decrypts a seed, beside what else there is to do.
    fn answer(&self, service: &Service, request: Request) {
        let (service, shared) = (service.clone(), self.shared.clone());
        let (name, metrics) = (self.options.name.clone(), self.options.metrics.clone());
        tokio::spawn(async move {
            let source = request.object.source_id();
            // Another request may have been answered meanwhile.
            let known = shared.seeds.lock().by_source.get(&source).cloned();
            let outcome = match known {
                Some(seed) => Ok(seed),
                None => decrypt_seed(&service, &request.object).await,
            };
            if let Ok(seed) = &outcome {
                let mut seeds = shared.seeds.lock();
                seeds.insert(source, seed.clone());
                if let Some(metrics) = metrics {
                    metrics.seeds(&name, seeds.by_source.len());
                }
            }
            // The reader may have given up.
            drop(request.reply.send(outcome));
        });
    }

    /// Looks at the plugin's status, and has a new seed encrypted if its key has changed; returns when to look again.
    async fn look(&mut self, service: &Service) -> Duration {
        let outcome = match service.status().await {
            Ok(status) => self.follow(service, &status).await,
            Err(error) => Err(error),
        };
        if let Err(reason) = &outcome {
            warn!(provider = %self.options.name, %reason, "KMS provider is not healthy");
        }
        let pause = if outcome.is_ok() {
            HEALTHY_INTERVAL
        } else {
            FAILING_INTERVAL
        };
        *self.shared.health.write() = outcome;
        pause
    }

    async fn follow(&mut self, service: &Service, status: &StatusResponse) -> Result<(), String> {
        if status.healthz != "ok" {
            return Err(format!("got unexpected healthz status: {}", status.healthz));
        }
        if !["v2", "v2beta1"].contains(&status.version.as_str()) {
            return Err(format!("expected KMSv2 API version v2, got {}", status.version));
        }
        let first = self.version.get_or_insert_with(|| status.version.clone());
        if *first != status.version {
            return Err(format!(
                "KMSv2 API version should not change after the initial status response version {first}, got {}",
                status.version
            ));
        }
        if let Err((code, reason)) = envelope::check_key_id(&status.key_id) {
            if let Some(metrics) = &self.options.metrics {
                metrics.invalid_key_id(&self.options.name, code);
            }
            return Err(reason);
        }
        if let Some(metrics) = &self.options.metrics {
            metrics.seen(&self.options.name, &status.key_id);
        }
        let expires = Instant::now() + WRITE_LIFETIME;
        if let Some(writer) = self.shared.writer.write().as_mut()
            && writer.object.key_id == status.key_id
        {
            writer.expires = expires;
            return Ok(());
        }
        let writer = self.new_writer(service, expires).await?;
        if writer.object.key_id != status.key_id {
            // The plugin is changing its key: the old seed goes on until it expires.
            return Err("the key of the status is not that which encrypts".to_owned());
        }
        info!(provider = %self.options.name, "values are encrypted with a new seed");
        self.shared
            .seeds
            .lock()
            .insert(writer.object.source_id(), writer.seed.clone());
        *self.shared.writer.write() = Some(writer);
        Ok(())
    }

    async fn new_writer(&self, service: &Service, expires: Instant) -> Result<Writer, String> {
        let (seed, bytes) = Seed::generate()?;
        let encrypted = service.encrypt(&bytes).await?;
        let object = EncryptedObject::of_seed(encrypted.key_id, encrypted.ciphertext, encrypted.annotations)?;
        Ok(Writer {
            seed: Arc::new(seed),
            object,
            expires,
        })
    }
}

async fn decrypt_seed(service: &Service, object: &EncryptedObject) -> Result<Arc<Seed>, String> {
    let plain = service.decrypt(object).await?;
    Ok(Arc::new(Seed::new(object.source_kind, plain)?))
}
