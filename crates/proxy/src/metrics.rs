//! What kube-proxy measures, under upstream's names.

use component_base::metrics::{
    Gauge, GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    exponential_buckets,
};

use crate::config::Mode;
use crate::model::Family;

const FAMILY: &[&str] = &["ip_family"];

/// All metrics of the daemon; each proxier takes its family's share.
#[derive(Clone)]
pub struct Metrics {
    pub sync_duration: HistogramVec,
    pub full_sync_duration: HistogramVec,
    pub partial_sync_duration: HistogramVec,
    pub last_sync: GaugeVec,
    pub last_queued: GaugeVec,
    pub network_programming: HistogramVec,
    pub endpoint_changes_pending: IntGauge,
    pub endpoint_changes: IntCounter,
    pub service_changes_pending: IntGauge,
    pub service_changes: IntCounter,
    pub no_local_endpoints: IntGaugeVec,
    pub healthz: IntCounterVec,
    pub livez: IntCounterVec,
    pub conntrack_duration: HistogramVec,
    pub conntrack_deleted: IntCounterVec,
    pub backend: BackendMetrics,
}

/// What only one backend publishes.
#[derive(Clone)]
pub enum BackendMetrics {
    IpTables {
        rules: IntGaugeVec,
        rules_last: IntGaugeVec,
        restore_failures: IntCounterVec,
        partial_restore_failures: IntCounterVec,
    },
    NfTables {
        sync_failures: IntCounterVec,
        cleanup_failures: IntCounterVec,
    },
}

impl Metrics {
    pub fn new(registry: &Registry, mode: Mode) -> Self {
        let name = |name: &str| format!("kubeproxy_{name}");
        let duration = |suffix: &str, help: &str| {
            registry.histogram_vec(&name(suffix), help, FAMILY, &exponential_buckets(0.001, 2.0, 15))
        };
        let counter = |suffix: &str, help: &str| registry.counter(&name(suffix), help);
        let gauge = |suffix: &str, help: &str| registry.gauge(&name(suffix), help);
        let stamp = |suffix: &str, help: &str| registry.float_gauge_vec(&name(suffix), help, FAMILY);
        let codes = |suffix: &str, help: &str| registry.counter_vec(&name(suffix), help, &["code"]);
        Self {
            sync_duration: duration(
                "sync_proxy_rules_duration_seconds",
                "Time that syncs of the rules take.",
            ),
            full_sync_duration: duration(
                "sync_full_proxy_rules_duration_seconds",
                "Time that full syncs take.",
            ),
            partial_sync_duration: duration(
                "sync_partial_proxy_rules_duration_seconds",
                "Time that partial syncs take.",
            ),
            last_sync: stamp(
                "sync_proxy_rules_last_timestamp_seconds",
                "When the rules were last synced.",
            ),
            last_queued: stamp(
                "sync_proxy_rules_last_queued_timestamp_seconds",
                "When a sync was last asked for.",
            ),
            network_programming: registry.histogram_vec(
                &name("network_programming_duration_seconds"),
                "Time from a change of a service or pod until the rules follow.",
                FAMILY,
                &network_programming_buckets(),
            ),
            endpoint_changes_pending: gauge(
                "sync_proxy_rules_endpoint_changes_pending",
                "Endpoint changes that no sync has applied yet.",
            ),
            endpoint_changes: counter(
                "sync_proxy_rules_endpoint_changes_total",
                "Endpoint changes so far.",
            ),
            service_changes_pending: gauge(
                "sync_proxy_rules_service_changes_pending",
                "Service changes that no sync has applied yet.",
            ),
            service_changes: counter(
                "sync_proxy_rules_service_changes_total",
                "Service changes so far.",
            ),
            no_local_endpoints: registry.gauge_vec(
                &name("sync_proxy_rules_no_local_endpoints_total"),
                "Services with a Local traffic policy and no local endpoints.",
                &["traffic_policy", "ip_family"],
            ),
            healthz: codes("proxy_healthz_total", "Answers of /healthz by status."),
            livez: codes("proxy_livez_total", "Answers of /livez by status."),
            conntrack_duration: duration(
                "conntrack_reconciler_sync_duration_seconds",
                "Time that cleaning of connection tracking takes.",
            ),
            conntrack_deleted: registry.counter_vec(
                &name("conntrack_reconciler_deleted_entries_total"),
                "Tracked flows forgotten so far.",
                FAMILY,
            ),
            backend: BackendMetrics::new(registry, mode),
        }
    }
}

impl BackendMetrics {
    fn new(registry: &Registry, mode: Mode) -> Self {
        let prefix = "kubeproxy_sync_proxy_rules";
        let failures =
            |suffix: &str, help: &str| registry.counter_vec(&format!("{prefix}_{suffix}"), help, FAMILY);
        let rules = |suffix: &str, help: &str| {
            registry.gauge_vec(&format!("{prefix}_{suffix}"), help, &["table", "ip_family"])
        };
        match mode {
            Mode::IpTables => BackendMetrics::IpTables {
                rules: rules("iptables_total", "iptables rules that belong to kube-proxy."),
                rules_last: rules("iptables_last", "iptables rules that the last sync wrote."),
                restore_failures: failures("iptables_restore_failures_total", "Failed restores so far."),
                partial_restore_failures: failures(
                    "iptables_partial_restore_failures_total",
                    "Failed partial restores so far.",
                ),
            },
            Mode::NfTables => BackendMetrics::NfTables {
                sync_failures: failures("nftables_sync_failures_total", "Failed syncs so far."),
                cleanup_failures: failures(
                    "nftables_cleanup_failures_total",
                    "Failed deletions of stale chains.",
                ),
            },
        }
    }
}

/// Quarter seconds, then seconds up to a minute, then ever coarser up to five minutes.
fn network_programming_buckets() -> Vec<f64> {
    let linear = |start: f64, step: f64, count: u32| (0..count).map(move |i| start + step * f64::from(i));
    linear(0.25, 0.25, 2)
        .chain(linear(1.0, 1.0, 59))
        .chain(linear(60.0, 5.0, 12))
        .chain(linear(120.0, 30.0, 7))
        .collect()
}

/// Sets a timestamp gauge.
pub fn stamp(gauges: &GaugeVec, family: Family, now: jiff::Timestamp) {
    let gauge: Gauge = gauges.with_label_values(&[family.as_str()]);
    gauge.set(now.as_duration().as_secs_f64());
}
