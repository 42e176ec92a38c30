//! What is measured of plugins, under upstream's names.
//!
//! Upstream: `encrypt/envelope/metrics`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use component_base::metrics::{
    GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry, exponential_buckets,
};
use ring::digest::{SHA256, digest};
use tonic::Code;

/// The metrics of all plugins of one server.
#[derive(Debug)]
pub struct KmsMetrics {
    latencies: HistogramVec,
    key_uses: IntCounterVec,
    key_used_at: GaugeVec,
    key_seen_at: GaugeVec,
    invalid_key_ids: IntCounterVec,
    seeds: IntGaugeVec,
    misses: IntCounter,
    /// Hash of the server's identity.
    server: String,
}

impl KmsMetrics {
    /// Declares them; `server` is the identity of this API server.
    pub fn new(registry: &Registry, server: &str) -> Arc<Self> {
        let name = |name: &str| format!("apiserver_envelope_encryption_{name}");
        let by_use = [
            "transformation_type",
            "provider_name",
            "key_id_hash",
            "apiserver_id_hash",
        ];
        Arc::new(Self {
            latencies: registry.histogram_vec(
                &name("kms_operations_latency_seconds"),
                "KMS operation duration with gRPC error code status total.",
                &["provider_name", "method_name", "grpc_status_code"],
                &exponential_buckets(0.0001, 2.0, 20),
            ),
            key_uses: registry.counter_vec(
                &name("key_id_hash_total"),
                "Number of times a keyID is used split by transformation type, provider, and apiserver identity.",
                &by_use,
            ),
            key_used_at: registry.float_gauge_vec(
                &name("key_id_hash_last_timestamp_seconds"),
                "The last time in seconds when a keyID was used.",
                &by_use,
            ),
            key_seen_at: registry.float_gauge_vec(
                &name("key_id_hash_status_last_timestamp_seconds"),
                "The last time in seconds when a keyID was returned by the Status RPC call.",
                &["provider_name", "key_id_hash", "apiserver_id_hash"],
            ),
            invalid_key_ids: registry.counter_vec(
                &name("invalid_key_id_from_status_total"),
                "Number of times an invalid keyID is returned by the Status RPC call split by error.",
                &["provider_name", "error"],
            ),
            seeds: registry.gauge_vec(
                &name("dek_source_cache_size"),
                "Number of records in data encryption key (DEK) source cache. On a restart, this value is an approximation of the number of decrypt RPC calls the server will make to the KMS plugin.",
                &["provider_name"],
            ),
            misses: registry.counter(
                "apiserver_storage_envelope_transformation_cache_misses_total",
                "Total number of cache misses while accessing key decryption key(KEK).",
            ),
            server: hash(server),
        })
    }

    pub(super) fn called(&self, provider: &str, method: &str, failed: Option<Code>, took: Duration) {
        let code = match failed {
            None | Some(Code::Ok) => "OK".to_owned(),
            Some(Code::Cancelled) => "Canceled".to_owned(),
            Some(code) => format!("{code:?}"),
        };
        self.latencies
            .with_label_values(&[provider, method, &code])
            .observe(took.as_secs_f64());
    }

    pub(super) fn used(&self, transformation: &str, provider: &str, key_id: &str) {
        let key = hash(key_id);
        let labels = [transformation, provider, &key, &self.server];
        self.key_uses.with_label_values(&labels).inc();
        self.key_used_at.with_label_values(&labels).set(now());
    }

    pub(super) fn seen(&self, provider: &str, key_id: &str) {
        self.key_seen_at
            .with_label_values(&[provider, &hash(key_id), &self.server])
            .set(now());
    }

    pub(super) fn invalid_key_id(&self, provider: &str, error: &str) {
        self.invalid_key_ids.with_label_values(&[provider, error]).inc();
    }

    pub(super) fn seeds(&self, provider: &str, count: usize) {
        self.seeds.with_label_values(&[provider]).set(count as i64);
    }

    pub(super) fn missed(&self) {
        self.misses.inc();
    }
}

/// `sha256:...`, and nothing of nothing.
pub fn hash(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let digest = digest(&SHA256, text.as_bytes());
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("sha256:".to_owned()).chain(hex).collect()
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
