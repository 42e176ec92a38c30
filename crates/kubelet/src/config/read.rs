//! Takes the configuration's fields out of a document.

use super::{Config, Taint};
use apimachinery::quantity::Quantity;
use component_base::config::{Error, Object};
use std::{collections::BTreeMap, path::PathBuf};

/// Upstream's fields on which nothing here depends.
const WITHOUT_EFFECT: &[&str] = &[
    "httpCheckFrequency",
    "staticPodURL",
    "staticPodURLHeader",
    "readOnlyPort",
    "tlsCipherSuites",
    "tlsCurvePreferences",
    "rotateCertificates",
    "serverTLSBootstrap",
    "registryPullQPS",
    "registryBurst",
    "imagePullCredentialsVerificationPolicy",
    "preloadedImagesVerificationAllowlist",
    "enableContentionProfiling",
    "imageMaximumGCAge",
    "volumeStatsAggPeriod",
    "kubeletCgroups",
    "systemCgroups",
    "cpuManagerPolicy",
    "singleProcessOOMKill",
    "cpuManagerPolicyOptions",
    "cpuManagerReconcilePeriod",
    "memoryManagerPolicy",
    "topologyManagerPolicy",
    "topologyManagerScope",
    "topologyManagerPolicyOptions",
    "qosReserved",
    "hairpinMode",
    "runOnce",
    "maxOpenFiles",
    "contentType",
    "enableControllerAttachDetach",
    "protectKernelDefaults",
    "makeIPTablesUtilChains",
    "iptablesMasqueradeBit",
    "iptablesDropBit",
    "featureGates",
    "memorySwap",
    "containerLogMaxWorkers",
    "configMapAndSecretChangeDetectionStrategy",
    "reservedSystemCPUs",
    "showHiddenMetricsForVersion",
    "systemReservedCgroup",
    "kubeReservedCgroup",
    "volumePluginDir",
    "kernelMemcgNotification",
    "logging",
    "enableSystemLogHandler",
    "enableSystemLogQuery",
    "shutdownGracePeriod",
    "shutdownGracePeriodCriticalPods",
    "shutdownGracePeriodByPodPriority",
    "reservedMemory",
    "enableProfilingHandler",
    "enableDebugFlagsHandler",
    "memoryThrottlingFactor",
    "memoryReservationPolicy",
    "tracing",
    "userNamespaces",
];

fn number<T: TryFrom<i64>>(object: &mut Object, name: &str, target: &mut T) -> Result<(), Error> {
    if let Some(value) = object.int(name)? {
        *target = T::try_from(value).map_err(|_| object.invalid(name, format!("{value} is out of range")))?;
    }
    Ok(())
}

/// Reads a field of the file into a field of the configuration, if it is there.
macro_rules! take {
    ($object:ident, $kind:ident, $name:literal, $target:expr) => {
        if let Some(value) = $object.$kind($name)? {
            $target = value;
        }
    };
}

pub(super) fn fields(config: &mut Config, mut root: Object) -> Result<Vec<String>, Error> {
    identity_and_serving(config, &mut root)?;
    authentication(config, &mut root)?;
    pods(config, &mut root)?;
    node(config, &mut root)?;
    let ignored = root.ignore(WITHOUT_EFFECT);
    root.finish()?;
    Ok(ignored)
}

fn path(object: &mut Object, name: &str, target: &mut Option<PathBuf>) -> Result<(), Error> {
    if let Some(text) = object.string(name)?.filter(|text| !text.is_empty()) {
        *target = Some(text.into());
    }
    Ok(())
}

fn identity_and_serving(config: &mut Config, root: &mut Object) -> Result<(), Error> {
    take!(root, bool, "enableServer", config.enable_server);
    take!(root, string, "address", config.address);
    number(root, "port", &mut config.port)?;
    path(root, "tlsCertFile", &mut config.tls_cert_file)?;
    path(root, "tlsPrivateKeyFile", &mut config.tls_private_key_file)?;
    take!(root, string, "tlsMinVersion", config.tls_min_version);
    take!(
        root,
        bool,
        "enableDebuggingHandlers",
        config.enable_debugging_handlers
    );
    number(root, "healthzPort", &mut config.healthz_port)?;
    take!(root, string, "healthzBindAddress", config.healthz_bind_address);
    number(root, "oomScoreAdj", &mut config.oom_score_adj)?;
    take!(
        root,
        duration,
        "streamingConnectionIdleTimeout",
        config.streaming_idle_timeout
    );
    if let Some(qps) = root.int("kubeAPIQPS")? {
        config.kube_api_qps = qps as f32;
    }
    number(root, "kubeAPIBurst", &mut config.kube_api_burst)?;
    if let Some(qps) = root.int("eventRecordQPS")? {
        config.event_record_qps = qps as f32;
    }
    number(root, "eventBurst", &mut config.event_burst)
}

fn authentication(config: &mut Config, root: &mut Object) -> Result<(), Error> {
    if let Some(mut object) = root.object("authentication")? {
        if let Some(mut x509) = object.object("x509")? {
            path(
                &mut x509,
                "clientCAFile",
                &mut config.authentication.client_ca_file,
            )?;
            x509.finish()?;
        }
        if let Some(mut webhook) = object.object("webhook")? {
            take!(webhook, bool, "enabled", config.authentication.webhook);
            take!(
                webhook,
                duration,
                "cacheTTL",
                config.authentication.webhook_cache_ttl
            );
            webhook.finish()?;
        }
        if let Some(mut anonymous) = object.object("anonymous")? {
            take!(anonymous, bool, "enabled", config.authentication.anonymous);
            anonymous.finish()?;
        }
        object.finish()?;
    }
    if let Some(mut object) = root.object("authorization")? {
        if let Some(mode) = object.string("mode")? {
            config.authorization.always_allow = match mode.as_str() {
                "AlwaysAllow" => true,
                "Webhook" => false,
                other => {
                    return Err(object.invalid("mode", format!("{other:?} is not AlwaysAllow or Webhook")));
                }
            };
        }
        if let Some(mut webhook) = object.object("webhook")? {
            take!(
                webhook,
                duration,
                "cacheAuthorizedTTL",
                config.authorization.authorized_ttl
            );
            take!(
                webhook,
                duration,
                "cacheUnauthorizedTTL",
                config.authorization.unauthorized_ttl
            );
            webhook.finish()?;
        }
        object.finish()?;
    }
    Ok(())
}

fn pods(config: &mut Config, root: &mut Object) -> Result<(), Error> {
    path(root, "staticPodPath", &mut config.static_pod_path)?;
    if let Some(folder) = root.string("podLogsDir")? {
        config.pod_logs_dir = folder.into();
    }
    take!(root, duration, "syncFrequency", config.sync_frequency);
    take!(root, duration, "fileCheckFrequency", config.file_check_frequency);
    take!(root, string, "clusterDomain", config.cluster_domain);
    take!(root, strings, "clusterDNS", config.cluster_dns);
    take!(root, string, "resolvConf", config.resolv_conf);
    take!(
        root,
        string,
        "containerRuntimeEndpoint",
        config.container_runtime_endpoint
    );
    take!(
        root,
        string,
        "imageServiceEndpoint",
        config.image_service_endpoint
    );
    take!(
        root,
        duration,
        "runtimeRequestTimeout",
        config.runtime_request_timeout
    );
    number(root, "maxPods", &mut config.max_pods)?;
    number(root, "podsPerCore", &mut config.pods_per_core)?;
    number(root, "podPidsLimit", &mut config.pod_pids_limit)?;
    take!(root, string, "podCIDR", config.pod_cidr);
    take!(root, bool, "cpuCFSQuota", config.cpu_cfs_quota);
    take!(root, duration, "cpuCFSQuotaPeriod", config.cpu_cfs_quota_period);
    take!(root, bool, "seccompDefault", config.seccomp_default);
    take!(
        root,
        strings,
        "allowedUnsafeSysctls",
        config.allowed_unsafe_sysctls
    );
    let parallel = root.int("maxParallelImagePulls")?;
    config.max_parallel_image_pulls = parallel
        .and_then(|count| usize::try_from(count).ok())
        .filter(|count| *count > 0);
    config.serialize_image_pulls = root
        .bool("serializeImagePulls")?
        .unwrap_or(config.max_parallel_image_pulls.is_none_or(|count| count < 2));
    if let Some(size) = root.string("containerLogMaxSize")? {
        config.container_log_max_size =
            Quantity::parse(&size).map_err(|error| root.invalid("containerLogMaxSize", error.to_string()))?;
    }
    number(root, "containerLogMaxFiles", &mut config.container_log_max_files)?;
    take!(
        root,
        duration,
        "containerLogMonitorInterval",
        config.container_log_monitor_interval
    );
    if let Some(mut object) = root.object("crashLoopBackOff")? {
        take!(
            object,
            duration,
            "maxContainerRestartPeriod",
            config.max_crash_back_off
        );
        object.finish()?;
    }
    Ok(())
}

fn node(config: &mut Config, root: &mut Object) -> Result<(), Error> {
    let update = root.duration("nodeStatusUpdateFrequency")?;
    let report = root.duration("nodeStatusReportFrequency")?;
    // Who sets only how often the status is computed means that it is to be reported as often.
    config.node_status_report_frequency = report.or(update).unwrap_or(config.node_status_report_frequency);
    config.node_status_update_frequency = update.unwrap_or(config.node_status_update_frequency);
    number(
        root,
        "nodeLeaseDurationSeconds",
        &mut config.node_lease_duration_seconds,
    )?;
    number(root, "nodeStatusMaxImages", &mut config.node_status_max_images)?;
    take!(root, duration, "imageMinimumGCAge", config.image_minimum_gc_age);
    number(
        root,
        "imageGCHighThresholdPercent",
        &mut config.image_gc_high_threshold_percent,
    )?;
    number(
        root,
        "imageGCLowThresholdPercent",
        &mut config.image_gc_low_threshold_percent,
    )?;
    take!(root, string, "cgroupRoot", config.cgroup_root);
    take!(root, bool, "cgroupsPerQOS", config.cgroups_per_qos);
    take!(root, string, "cgroupDriver", config.cgroup_driver);
    take!(root, bool, "failSwapOn", config.fail_swap_on);
    take!(root, bool, "failCgroupV1", config.fail_cgroup_v1);
    take!(
        root,
        strings,
        "enforceNodeAllocatable",
        config.enforce_node_allocatable
    );
    take!(root, string, "providerID", config.provider_id);
    take!(root, bool, "registerNode", config.register_node);
    eviction(root, config)?;
    quantities(root, "systemReserved", &mut config.system_reserved)?;
    quantities(root, "kubeReserved", &mut config.kube_reserved)?;
    for mut object in root.objects("registerWithTaints")?.unwrap_or_default() {
        let mut taint = Taint::default();
        take!(object, string, "key", taint.key);
        take!(object, string, "value", taint.value);
        take!(object, string, "effect", taint.effect);
        object.finish()?;
        config.register_with_taints.push(taint);
    }
    Ok(())
}

fn eviction(root: &mut Object, config: &mut Config) -> Result<(), Error> {
    let merge = root.bool("mergeDefaultEvictionSettings")?.unwrap_or(false);
    if let Some(mut thresholds) = root.map("evictionHard")? {
        // Whoever sets one threshold sets all, unless the others are asked for.
        if merge {
            for (signal, default) in &config.eviction_hard {
                thresholds
                    .entry(signal.clone())
                    .or_insert_with(|| default.clone());
            }
        }
        config.eviction_hard = thresholds;
    }
    take!(root, map, "evictionSoft", config.eviction_soft);
    take!(
        root,
        map,
        "evictionSoftGracePeriod",
        config.eviction_soft_grace_period
    );
    take!(
        root,
        map,
        "evictionMinimumReclaim",
        config.eviction_minimum_reclaim
    );
    take!(
        root,
        duration,
        "evictionPressureTransitionPeriod",
        config.eviction_pressure_transition_period
    );
    number(
        root,
        "evictionMaxPodGracePeriod",
        &mut config.eviction_max_pod_grace_period,
    )?;
    take!(
        root,
        bool,
        "localStorageCapacityIsolation",
        config.local_storage_capacity_isolation
    );
    Ok(())
}

fn quantities(root: &mut Object, name: &str, target: &mut BTreeMap<String, Quantity>) -> Result<(), Error> {
    for (resource, amount) in root.map(name)?.unwrap_or_default() {
        let quantity =
            Quantity::parse(&amount).map_err(|error| root.invalid(name, format!("{resource}: {error}")))?;
        target.insert(resource, quantity);
    }
    Ok(())
}
