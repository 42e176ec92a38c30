//! What the daemon measures.

use component_base::metrics::{Gauge, IntCounterVec, IntGauge, Registry};

#[derive(Clone)]
pub struct Metrics {
    pub syncs: IntCounterVec,
    pub routes: IntGauge,
    pub last_sync: Gauge,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            syncs: registry.counter_vec(
                "pod_network_syncs_total",
                "Comparisons of the planned with the actual network, by result.",
                &["result"],
            ),
            routes: registry.gauge("pod_network_routes", "Routes to other nodes' pods."),
            last_sync: registry.float_gauge(
                "pod_network_last_sync_timestamp_seconds",
                "When the network was last as planned.",
            ),
        }
    }
}
