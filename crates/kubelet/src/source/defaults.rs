//! What the API server fills in for pods, for those that come from a file. Pure. Upstream: `pkg/apis/core/v1/defaults.go`.

use api::core::v1::{Container, Pod, Probe, Volume};

const MESSAGE_PATH: &str = "/dev/termination-log";

fn or(text: &mut String, default: &str) {
    if text.is_empty() {
        default.clone_into(text);
    }
}

pub fn apply(pod: &mut Pod) {
    let spec = &mut pod.spec;
    or(&mut spec.restart_policy, "Always");
    or(&mut spec.dns_policy, "ClusterFirst");
    or(&mut spec.scheduler_name, "default-scheduler");
    spec.termination_grace_period_seconds.get_or_insert(30);
    spec.enable_service_links.get_or_insert(true);
    spec.security_context.get_or_insert_default();
    let host_network = spec.host_network;
    spec.init_containers
        .iter_mut()
        .chain(&mut spec.containers)
        .for_each(|container| of_container(container, host_network));
    spec.volumes.iter_mut().for_each(of_volume);
}

fn of_container(container: &mut Container, host_network: bool) {
    or(&mut container.termination_message_path, MESSAGE_PATH);
    or(&mut container.termination_message_policy, "File");
    if container.image_pull_policy.is_empty() {
        let name = container.image.rsplit('/').next().unwrap_or_default();
        let latest = !container.image.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
        container.image_pull_policy = if latest { "Always" } else { "IfNotPresent" }.into();
    }
    for port in &mut container.ports {
        or(&mut port.protocol, "TCP");
        if host_network && port.host_port == 0 {
            port.host_port = port.container_port;
        }
    }
    let limits = container.resources.limits.clone();
    for (resource, limit) in limits {
        container.resources.requests.entry(resource).or_insert(limit);
    }
    for variable in &mut container.env {
        if let Some(field) = variable
            .value_from
            .as_mut()
            .and_then(|source| source.field_ref.as_mut())
        {
            or(&mut field.api_version, "v1");
        }
    }
    let probes = [
        &mut container.startup_probe,
        &mut container.liveness_probe,
        &mut container.readiness_probe,
    ];
    probes.into_iter().flatten().for_each(|probe| of_probe(probe));
}

fn of_probe(probe: &mut Probe) {
    let or = |value: &mut i32, default: i32| {
        if *value == 0 {
            *value = default;
        }
    };
    or(&mut probe.timeout_seconds, 1);
    or(&mut probe.period_seconds, 10);
    or(&mut probe.success_threshold, 1);
    or(&mut probe.failure_threshold, 3);
    if let Some(get) = &mut probe.probe_handler.http_get {
        self::or(&mut get.path, "/");
        self::or(&mut get.scheme, "HTTP");
    }
}

fn of_volume(volume: &mut Volume) {
    let source = &mut volume.volume_source;
    const MODE: i32 = 0o644;
    if let Some(secret) = &mut source.secret {
        secret.default_mode.get_or_insert(MODE);
    } else if let Some(config) = &mut source.config_map {
        config.default_mode.get_or_insert(MODE);
    } else if let Some(projected) = &mut source.projected {
        projected.default_mode.get_or_insert(MODE);
    } else if let Some(downward) = &mut source.downward_api {
        downward.default_mode.get_or_insert(MODE);
    } else if let Some(host) = &mut source.host_path {
        host.type_.get_or_insert_default();
    } else if *source == Default::default() {
        source.empty_dir.get_or_insert_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[test]
    fn a_bare_pod_becomes_whole() {
        let mut pod = Pod::from_json(
            br#"{"spec":{"hostNetwork":true,"volumes":[{"name":"v"}],"containers":[
                {"name":"a","image":"r:5000/x","ports":[{"containerPort":80}],"livenessProbe":{"httpGet":{"port":80}}},
                {"name":"b","image":"x:1"}]}}"#,
        )
        .unwrap();
        apply(&mut pod);
        let policies: Vec<&str> = pod
            .spec
            .containers
            .iter()
            .map(|c| c.image_pull_policy.as_str())
            .collect();
        assert_eq!(policies, ["Always", "IfNotPresent"]);
        let probe = pod.spec.containers[0].liveness_probe.as_ref().unwrap();
        assert_eq!((probe.period_seconds, probe.failure_threshold), (10, 3));
        assert_eq!(probe.probe_handler.http_get.as_ref().unwrap().path, "/");
        assert_eq!(pod.spec.containers[0].ports[0].host_port, 80);
        assert!(pod.spec.volumes[0].volume_source.empty_dir.is_some());
        assert_eq!(pod.spec.restart_policy, "Always");
    }
}
