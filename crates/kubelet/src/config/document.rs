//! The configuration in force as `/configz` shows it: upstream's field names and forms. Pure.

use super::{Config, Taint};
use crate::duration::go_duration;
use apimachinery::quantity::Quantity;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, path::Path, time::Duration};

fn duration(value: Duration) -> Value {
    go_duration(value).into()
}

fn path(value: Option<&Path>) -> Value {
    value.map(|path| path.display().to_string()).into()
}

fn quantities(values: &BTreeMap<String, Quantity>) -> Value {
    let pairs = values
        .iter()
        .map(|(name, amount)| (name.clone(), Value::from(amount.to_string())));
    pairs.collect::<Map<_, _>>().into()
}

fn taint(taint: &Taint) -> Value {
    json!({ "key": taint.key, "value": taint.value, "effect": taint.effect })
}

/// Fields that are empty or unset are left out.
pub fn document(config: &Config) -> Value {
    let parts = [identity(config), pods(config), node(config), eviction(config)];
    let fields = parts.into_iter().filter_map(|part| match part {
        Value::Object(fields) => Some(fields),
        _ => None,
    });
    // That pods get no resolver is said by an empty name.
    let is_shown = |(name, value): &(String, Value)| name == "resolvConf" || !is_empty(value);
    let fields = fields.flatten().filter(is_shown);
    json!({ "kubeletconfig": fields.collect::<Map<_, _>>() })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn identity(config: &Config) -> Value {
    let (authentication, authorization) = (&config.authentication, &config.authorization);
    let mode = if authorization.always_allow {
        "AlwaysAllow"
    } else {
        "Webhook"
    };
    let x509 = match &authentication.client_ca_file {
        Some(file) => json!({ "clientCAFile": path(Some(file)) }),
        None => json!({}),
    };
    json!({
        "enableServer": config.enable_server,
        "address": config.address,
        "port": config.port,
        "tlsCertFile": path(config.tls_cert_file.as_deref()),
        "tlsPrivateKeyFile": path(config.tls_private_key_file.as_deref()),
        "tlsMinVersion": config.tls_min_version,
        "enableDebuggingHandlers": config.enable_debugging_handlers,
        "healthzPort": config.healthz_port,
        "healthzBindAddress": config.healthz_bind_address,
        "oomScoreAdj": config.oom_score_adj,
        "streamingConnectionIdleTimeout": duration(config.streaming_idle_timeout),
        "kubeAPIQPS": config.kube_api_qps as i64,
        "kubeAPIBurst": config.kube_api_burst,
        "eventRecordQPS": config.event_record_qps as i64,
        "eventBurst": config.event_burst,
        "authentication": {
            "x509": x509,
            "webhook": {
                "enabled": authentication.webhook,
                "cacheTTL": duration(authentication.webhook_cache_ttl),
            },
            "anonymous": { "enabled": authentication.anonymous },
        },
        "authorization": {
            "mode": mode,
            "webhook": {
                "cacheAuthorizedTTL": duration(authorization.authorized_ttl),
                "cacheUnauthorizedTTL": duration(authorization.unauthorized_ttl),
            },
        },
    })
}

fn pods(config: &Config) -> Value {
    json!({
        "staticPodPath": path(config.static_pod_path.as_deref()),
        "podLogsDir": path(Some(&config.pod_logs_dir)),
        "syncFrequency": duration(config.sync_frequency),
        "fileCheckFrequency": duration(config.file_check_frequency),
        "clusterDomain": config.cluster_domain,
        "clusterDNS": config.cluster_dns,
        "resolvConf": config.resolv_conf,
        "containerRuntimeEndpoint": config.container_runtime_endpoint,
        "imageServiceEndpoint": config.image_service_endpoint,
        "runtimeRequestTimeout": duration(config.runtime_request_timeout),
        "maxPods": config.max_pods,
        "podsPerCore": config.pods_per_core,
        "podPidsLimit": config.pod_pids_limit,
        "podCIDR": config.pod_cidr,
        "cpuCFSQuota": config.cpu_cfs_quota,
        "cpuCFSQuotaPeriod": duration(config.cpu_cfs_quota_period),
        "seccompDefault": config.seccomp_default,
        "allowedUnsafeSysctls": config.allowed_unsafe_sysctls,
        "serializeImagePulls": config.serialize_image_pulls,
        "maxParallelImagePulls": config.max_parallel_image_pulls,
        "containerLogMaxSize": config.container_log_max_size.to_string(),
        "containerLogMaxFiles": config.container_log_max_files,
        "containerLogMonitorInterval": duration(config.container_log_monitor_interval),
        "crashLoopBackOff": { "maxContainerRestartPeriod": duration(config.max_crash_back_off) },
    })
}

fn node(config: &Config) -> Value {
    json!({
        "nodeStatusUpdateFrequency": duration(config.node_status_update_frequency),
        "nodeStatusReportFrequency": duration(config.node_status_report_frequency),
        "nodeLeaseDurationSeconds": config.node_lease_duration_seconds,
        "nodeStatusMaxImages": config.node_status_max_images,
        "imageMinimumGCAge": duration(config.image_minimum_gc_age),
        "imageGCHighThresholdPercent": config.image_gc_high_threshold_percent,
        "imageGCLowThresholdPercent": config.image_gc_low_threshold_percent,
        "cgroupRoot": config.cgroup_root,
        "cgroupsPerQOS": config.cgroups_per_qos,
        "cgroupDriver": config.cgroup_driver,
        "failSwapOn": config.fail_swap_on,
        "failCgroupV1": config.fail_cgroup_v1,
        "enforceNodeAllocatable": config.enforce_node_allocatable,
        "providerID": config.provider_id,
        "registerNode": config.register_node,
        "registerWithTaints": config.register_with_taints.iter().map(taint).collect::<Vec<_>>(),
        "systemReserved": quantities(&config.system_reserved),
        "kubeReserved": quantities(&config.kube_reserved),
    })
}

fn eviction(config: &Config) -> Value {
    json!({
        "evictionHard": config.eviction_hard,
        "evictionSoft": config.eviction_soft,
        "evictionSoftGracePeriod": config.eviction_soft_grace_period,
        "evictionMinimumReclaim": config.eviction_minimum_reclaim,
        "evictionPressureTransitionPeriod": duration(config.eviction_pressure_transition_period),
        "evictionMaxPodGracePeriod": config.eviction_max_pod_grace_period,
        "localStorageCapacityIsolation": config.local_storage_capacity_isolation,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use component_base::config::Document;

    /// What is shown can be read again, to the same effect.
    #[test]
    fn can_be_read_again() {
        let config = Config {
            cluster_dns: vec!["10.96.0.10".into()],
            static_pod_path: Some("/manifests".into()),
            kube_reserved: [("cpu".to_owned(), Quantity::parse("100m").unwrap())].into(),
            eviction_pressure_transition_period: Duration::from_secs(90),
            register_with_taints: vec![Taint {
                key: "a".into(),
                value: "b".into(),
                effect: "NoSchedule".into(),
            }],
            ..Config::default()
        };
        let mut shown = document(&config)["kubeletconfig"].take();
        assert_eq!(shown["evictionPressureTransitionPeriod"], "1m30s");
        assert_eq!(shown["kubeReserved"]["cpu"], "100m");
        assert!(shown.get("tlsCertFile").is_none());
        shown["apiVersion"] = super::super::API_VERSION.into();
        shown["kind"] = super::super::KIND.into();
        let root = Document::parse(&shown.to_string())
            .unwrap()
            .expect(super::super::KIND, &[super::super::API_VERSION])
            .unwrap();
        assert_eq!(Config::read(root).unwrap(), (config, Vec::new()));
    }
}
