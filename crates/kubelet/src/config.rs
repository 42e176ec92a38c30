//! `KubeletConfiguration` (`kubelet.config.k8s.io/v1beta1`): upstream's fields and defaults.
//! Upstream: `staging/src/k8s.io/kubelet/config/v1beta1`, `apis/config/v1beta1/defaults.go`.

use apimachinery::quantity::Quantity;
use component_base::config::{self, Object};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub mod document;
mod read;

/// Taints as the command line and the file have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taint {
    pub key: String,
    pub value: String,
    pub effect: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Authentication {
    pub anonymous: bool,
    pub webhook: bool,
    pub webhook_cache_ttl: Duration,
    pub client_ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Authorization {
    /// Everyone may do everything, rather than whoever the API server says.
    pub always_allow: bool,
    pub authorized_ttl: Duration,
    pub unauthorized_ttl: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub enable_server: bool,
    pub static_pod_path: Option<PathBuf>,
    pub pod_logs_dir: PathBuf,
    pub sync_frequency: Duration,
    pub file_check_frequency: Duration,
    pub address: String,
    pub port: u16,
    pub tls_cert_file: Option<PathBuf>,
    pub tls_private_key_file: Option<PathBuf>,
    pub tls_min_version: String,
    pub authentication: Authentication,
    pub authorization: Authorization,
    pub enable_debugging_handlers: bool,
    /// Zero turns the endpoint off.
    pub healthz_port: u16,
    pub healthz_bind_address: String,
    pub oom_score_adj: i32,
    pub cluster_domain: String,
    pub cluster_dns: Vec<String>,
    pub node_status_update_frequency: Duration,
    pub node_status_report_frequency: Duration,
    pub node_lease_duration_seconds: i32,
    pub image_minimum_gc_age: Duration,
    pub image_gc_high_threshold_percent: u8,
    pub image_gc_low_threshold_percent: u8,
    pub cgroup_root: String,
    pub cgroups_per_qos: bool,
    pub cgroup_driver: String,
    pub runtime_request_timeout: Duration,
    pub max_pods: i64,
    pub pods_per_core: i64,
    pub pod_cidr: String,
    pub pod_pids_limit: i64,
    pub resolv_conf: String,
    pub cpu_cfs_quota: bool,
    pub cpu_cfs_quota_period: Duration,
    pub node_status_max_images: i64,
    pub kube_api_qps: f32,
    pub kube_api_burst: u32,
    pub event_record_qps: f32,
    pub event_burst: u32,
    pub serialize_image_pulls: bool,
    pub max_parallel_image_pulls: Option<usize>,
    pub fail_swap_on: bool,
    pub fail_cgroup_v1: bool,
    pub container_log_max_size: Quantity,
    pub container_log_max_files: usize,
    pub container_log_monitor_interval: Duration,
    pub system_reserved: BTreeMap<String, Quantity>,
    pub kube_reserved: BTreeMap<String, Quantity>,
    pub eviction_hard: BTreeMap<String, String>,
    pub eviction_soft: BTreeMap<String, String>,
    pub eviction_soft_grace_period: BTreeMap<String, String>,
    pub eviction_minimum_reclaim: BTreeMap<String, String>,
    pub eviction_pressure_transition_period: Duration,
    pub eviction_max_pod_grace_period: i64,
    pub local_storage_capacity_isolation: bool,
    pub enforce_node_allocatable: Vec<String>,
    pub provider_id: String,
    pub max_crash_back_off: Duration,
    pub seccomp_default: bool,
    pub allowed_unsafe_sysctls: Vec<String>,
    pub register_with_taints: Vec<Taint>,
    pub register_node: bool,
    pub container_runtime_endpoint: String,
    pub image_service_endpoint: String,
    pub streaming_idle_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            enable_server: true,
            static_pod_path: None,
            pod_logs_dir: crate::logs::DEFAULT_FOLDER.into(),
            sync_frequency: seconds(60),
            file_check_frequency: seconds(20),
            address: "0.0.0.0".into(),
            port: 10250,
            tls_cert_file: None,
            tls_private_key_file: None,
            tls_min_version: String::new(),
            authentication: Authentication {
                anonymous: false,
                webhook: true,
                webhook_cache_ttl: seconds(120),
                client_ca_file: None,
            },
            authorization: Authorization {
                always_allow: false,
                authorized_ttl: seconds(300),
                unauthorized_ttl: seconds(30),
            },
            enable_debugging_handlers: true,
            healthz_port: 10248,
            healthz_bind_address: "127.0.0.1".into(),
            oom_score_adj: -999,
            cluster_domain: String::new(),
            cluster_dns: Vec::new(),
            node_status_update_frequency: seconds(10),
            node_status_report_frequency: seconds(300),
            node_lease_duration_seconds: 40,
            image_minimum_gc_age: seconds(120),
            image_gc_high_threshold_percent: 85,
            image_gc_low_threshold_percent: 80,
            cgroup_root: "/".into(),
            cgroups_per_qos: true,
            cgroup_driver: "cgroupfs".into(),
            runtime_request_timeout: seconds(120),
            max_pods: 110,
            pods_per_core: 0,
            pod_cidr: String::new(),
            pod_pids_limit: -1,
            resolv_conf: "/etc/resolv.conf".into(),
            cpu_cfs_quota: true,
            cpu_cfs_quota_period: Duration::from_millis(100),
            node_status_max_images: 50,
            kube_api_qps: 50.0,
            kube_api_burst: 100,
            event_record_qps: 50.0,
            event_burst: 100,
            serialize_image_pulls: true,
            max_parallel_image_pulls: None,
            fail_swap_on: true,
            fail_cgroup_v1: true,
            container_log_max_size: Quantity::from_i64(10 << 20, apimachinery::quantity::Format::BinarySi),
            container_log_max_files: 5,
            container_log_monitor_interval: seconds(10),
            system_reserved: BTreeMap::new(),
            kube_reserved: BTreeMap::new(),
            eviction_hard: default_eviction(),
            eviction_soft: BTreeMap::new(),
            eviction_soft_grace_period: BTreeMap::new(),
            eviction_minimum_reclaim: BTreeMap::new(),
            eviction_pressure_transition_period: seconds(300),
            eviction_max_pod_grace_period: 0,
            local_storage_capacity_isolation: true,
            enforce_node_allocatable: vec!["pods".into()],
            provider_id: String::new(),
            max_crash_back_off: seconds(300),
            seccomp_default: false,
            allowed_unsafe_sysctls: Vec::new(),
            register_with_taints: Vec::new(),
            register_node: true,
            container_runtime_endpoint: "unix:///run/containerd/containerd.sock".into(),
            image_service_endpoint: String::new(),
            streaming_idle_timeout: seconds(4 * 60 * 60),
        }
    }
}

fn default_eviction() -> BTreeMap<String, String> {
    [
        ("memory.available", "100Mi"),
        ("nodefs.available", "10%"),
        ("nodefs.inodesFree", "5%"),
        ("imagefs.available", "15%"),
        ("imagefs.inodesFree", "5%"),
    ]
    .into_iter()
    .map(|(signal, threshold)| (signal.to_owned(), threshold.to_owned()))
    .collect()
}

/// The kind and version that the file has to have.
pub const KIND: &str = "KubeletConfiguration";
pub const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";

impl Config {
    /// Reads a document over the defaults. Also gives the fields that are known but not acted on.
    pub fn read(root: Object) -> Result<(Self, Vec<String>), config::Error> {
        let mut config = Self::default();
        let ignored = read::fields(&mut config, root)?;
        Ok((config, ignored))
    }

    /// How many images may be pulled at once.
    pub fn parallel_pulls(&self) -> usize {
        if self.serialize_image_pulls {
            1
        } else {
            // Without a limit of its own a kubelet is still bounded by its pods.
            self.max_parallel_image_pulls
                .unwrap_or(tokio::sync::Semaphore::MAX_PERMITS.min(1024))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use component_base::config::Document;

    fn read(text: &str) -> Result<(Config, Vec<String>), String> {
        let text = format!("apiVersion: {API_VERSION}\nkind: {KIND}\n{text}");
        let root = Document::parse(&text)
            .unwrap()
            .expect(KIND, &[API_VERSION])
            .unwrap();
        Config::read(root).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_over_defaults() {
        let (config, ignored) = read(
            "clusterDNS: [10.96.0.10]\nauthentication: {anonymous: {enabled: true}}\nmaxPods: 20\n\
             containerLogMaxSize: 1Mi\nkubeReserved: {cpu: 100m}\nhairpinMode: none\nresolvConf: ''\n\
             registerWithTaints: [{key: a, effect: NoSchedule}]\nfailCgroupV1: false\n",
        )
        .unwrap();
        assert_eq!(config.cluster_dns, ["10.96.0.10"]);
        assert!(config.authentication.anonymous && config.authentication.webhook && !config.fail_cgroup_v1);
        assert_eq!(
            (config.max_pods, config.port, config.resolv_conf.as_str()),
            (20, 10250, "")
        );
        assert_eq!(config.container_log_max_size.value(), 1 << 20);
        assert_eq!(config.kube_reserved["cpu"].milli_value(), 100);
        assert_eq!(config.register_with_taints[0].effect, "NoSchedule");
        assert_eq!(ignored, ["hairpinMode"]);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            read("maxPod: 1").unwrap_err(),
            r#"strict decoding error: unknown field "maxPod""#
        );
        assert!(read("maxPods: many").unwrap_err().contains("maxPods"));
        assert!(
            read("kubeReserved: {cpu: lots}")
                .unwrap_err()
                .contains("kubeReserved")
        );
        assert!(read("port: 70000").unwrap_err().contains("port"));
    }
}
