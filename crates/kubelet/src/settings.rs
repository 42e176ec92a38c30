//! What stays the same while a kubelet runs: who the node is and how it treats pods.

use crate::{
    cgroup::{layout::Layout, resources::Policy},
    dns::Cluster,
    volume::directory::Root,
};
use apimachinery::quantity::Quantity;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

#[derive(Debug, Clone)]
pub struct Settings {
    pub node_name: String,
    /// Primary address first.
    pub node_ips: Vec<String>,
    pub root: Root,
    /// The folder of pod log folders.
    pub pod_logs: PathBuf,
    /// The runtime's name, the scheme of container ids.
    pub runtime_name: String,
    pub layout: Layout,
    pub policy: Policy,
    pub node_memory: i64,
    /// What pods can use, by resource.
    pub allocatable: BTreeMap<String, Quantity>,
    /// The kernel's huge page sizes, as `2MB`.
    pub huge_page_sizes: Vec<String>,
    pub seccomp_default: bool,
    /// Patterns of kernel parameters that pods may set beside the safe ones.
    pub allowed_unsafe_sysctls: Vec<String>,
    pub dns: Cluster,
    /// The node's own resolver configuration; empty to give pods none of it.
    pub resolv_conf: String,
    /// How often a pod is looked at again though nothing happened.
    pub sync_frequency: Duration,
    /// The longest wait of a crashing container.
    pub max_crash_back_off: Duration,
    /// Whether there is an API server, whose knowledge of addresses goes into statuses.
    pub attached: bool,
}

impl Settings {
    /// The folder of a pod's logs.
    pub fn pod_log_folder(&self, pod: &api::core::v1::Pod) -> PathBuf {
        let meta = &pod.metadata;
        self.pod_logs
            .join(crate::pod::log_folder(&meta.namespace, &meta.name, &meta.uid))
    }
}

/// Keeps the node's addresses first that are of the primary node address's family, at most one of each family.
pub fn sort_pod_ips(ips: &[String], node_ips: &[String]) -> Vec<String> {
    let is_v6 = |ip: &str| ip.contains(':');
    let primary_v6 = node_ips.first().is_some_and(|ip| is_v6(ip));
    let first_of = |v6: bool| ips.iter().find(|ip| is_v6(ip) == v6).cloned();
    [first_of(primary_v6), first_of(!primary_v6)]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_a_family_in_the_node_s_order() {
        let ips = ["fd00::1", "10.0.0.1", "10.0.0.2"].map(String::from);
        assert_eq!(sort_pod_ips(&ips, &[]), ["10.0.0.1", "fd00::1"]);
        assert_eq!(
            sort_pod_ips(&ips, &["fd00::9".to_owned()]),
            ["fd00::1", "10.0.0.1"]
        );
    }
}
