//! What pods and pod templates default.

use std::collections::BTreeMap;

use api::core::v1::{
    Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EphemeralContainerCommon, LifecycleHandler,
    PersistentVolumeClaimSpec, Pod, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, Volume,
    VolumeSource,
};
use apimachinery::quantity::Quantity;

const FILE_MODE: i32 = 0o644;
const GRACE_PERIOD_SECONDS: i64 = 30;
const TOKEN_SECONDS: i64 = 3600;

/// A pod: its spec, requests that follow from limits, and what older clients leave out of one of two twin fields.
pub fn pod(pod: &mut Pod) {
    spec(&mut pod.spec);
    for container in pod
        .spec
        .containers
        .iter_mut()
        .chain(&mut pod.spec.init_containers)
    {
        requests_from_limits(&mut container.resources);
    }
    pod_level_resources(pod);
    pod.spec.enable_service_links.get_or_insert(true);
    if pod.spec.host_network {
        host_network_ports(&mut pod.spec);
    }
    twin_addresses(pod);
}

/// A template. Requests are left to the pods made from it.
pub fn template(template: &mut PodTemplateSpec) {
    spec(&mut template.spec);
    if template.spec.host_network {
        host_network_ports(&mut template.spec);
    }
}

fn spec(spec: &mut PodSpec) {
    twin_service_account(spec);
    fill(&mut spec.dns_policy, "ClusterFirst");
    fill(&mut spec.restart_policy, "Always");
    fill(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.termination_grace_period_seconds
        .get_or_insert(GRACE_PERIOD_SECONDS);
    spec.volumes.iter_mut().for_each(volume);
    for container in spec.init_containers.iter_mut().chain(&mut spec.containers) {
        self::container(container);
    }
    for container in &mut spec.ephemeral_containers {
        ephemeral_container(&mut container.ephemeral_container_common);
    }
    round_up(&mut spec.overhead);
    if let Some(resources) = &mut spec.resources {
        round_up(&mut resources.limits);
        round_up(&mut resources.requests);
    }
}

/// The deprecated `serviceAccount` always equals `serviceAccountName`.
pub fn twin_service_account(spec: &mut PodSpec) {
    if spec.service_account_name.is_empty() {
        spec.service_account_name.clone_from(&spec.service_account);
    }
    spec.service_account.clone_from(&spec.service_account_name);
}

/// `podIP` is the first of `podIPs`, whichever of them was set; `podIP` wins.
fn twin_addresses(pod: &mut Pod) {
    let status = &mut pod.status;
    match status.pod_ips.first() {
        Some(first) if status.pod_ip.is_empty() => status.pod_ip.clone_from(&first.ip),
        Some(first) if first.ip == status.pod_ip => {}
        _ if status.pod_ip.is_empty() => {}
        _ => {
            status.pod_ips = vec![api::core::v1::PodIP {
                ip: status.pod_ip.clone(),
            }]
        }
    }
}

fn fill(field: &mut String, value: &str) {
    if field.is_empty() {
        value.clone_into(field);
    }
}

/// Quantities below a thousandth are rounded up to it.
pub fn round_up(resources: &mut BTreeMap<String, Quantity>) {
    for quantity in resources.values_mut() {
        let rounded = Quantity::from_milli(quantity.milli_value(), quantity.format());
        if rounded > *quantity && quantity.milli_value() < i64::MAX {
            *quantity = rounded;
        }
    }
}

fn requests_from_limits(resources: &mut ResourceRequirements) {
    for (name, limit) in &resources.limits {
        resources
            .requests
            .entry(name.clone())
            .or_insert_with(|| limit.clone());
    }
}

/// Requests of the pod as a whole follow from those of its containers, then from its limits (KEP-2837).
fn pod_level_resources(pod: &mut Pod) {
    let Some(own) = pod.spec.resources.as_deref().cloned() else {
        return;
    };
    let mut own = own;
    // Sums over containers, without what the pod states for itself.
    let resources = pod.spec.resources.take();
    let overhead = std::mem::take(&mut pod.spec.overhead);
    let (requests, limits) = (
        api::pod_requests::spec_requests(pod),
        api::pod_requests::pod_limits(pod),
    );
    pod.spec.resources = resources;
    pod.spec.overhead = overhead;

    let is_huge_page = |name: &str| name.starts_with("hugepages-");
    let is_supported = |name: &str| matches!(name, "cpu" | "memory") || is_huge_page(name);
    if !(own.limits.is_empty() && own.requests.is_empty()) {
        for (name, limit) in limits.iter().filter(|(name, _)| is_huge_page(name)) {
            if !own.requests.contains_key(name) {
                own.limits.entry(name.clone()).or_insert_with(|| limit.clone());
            }
        }
    }
    if !own.limits.is_empty() {
        for (name, request) in requests
            .iter()
            .filter(|(name, _)| is_supported(name) && !is_huge_page(name))
        {
            own.requests
                .entry(name.clone())
                .or_insert_with(|| request.clone());
        }
        for (name, limit) in own.limits.iter().filter(|(name, _)| is_supported(name)) {
            own.requests.entry(name.clone()).or_insert_with(|| limit.clone());
        }
    }
    pod.spec.resources = Some(Box::new(own));
}

fn host_network_ports(spec: &mut PodSpec) {
    let ports = spec
        .containers
        .iter_mut()
        .chain(&mut spec.init_containers)
        .flat_map(|container| &mut container.ports);
    for port in ports.filter(|port| port.host_port == 0) {
        port.host_port = port.container_port;
    }
}

fn container(container: &mut Container) {
    fill(&mut container.image_pull_policy, pull_policy(&container.image));
    fill(&mut container.termination_message_path, "/dev/termination-log");
    fill(&mut container.termination_message_policy, "File");
    ports(&mut container.ports);
    env(&mut container.env);
    round_up(&mut container.resources.limits);
    round_up(&mut container.resources.requests);
    let probes = [
        &mut container.liveness_probe,
        &mut container.readiness_probe,
        &mut container.startup_probe,
    ];
    for probe in probes.into_iter().flatten() {
        self::probe(probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        lifecycle
            .post_start
            .iter_mut()
            .chain(&mut lifecycle.pre_stop)
            .for_each(|handler| self::handler(handler));
    }
}

fn ephemeral_container(container: &mut EphemeralContainerCommon) {
    fill(&mut container.image_pull_policy, pull_policy(&container.image));
    fill(&mut container.termination_message_path, "/dev/termination-log");
    fill(&mut container.termination_message_policy, "File");
    ports(&mut container.ports);
    env(&mut container.env);
    round_up(&mut container.resources.limits);
    round_up(&mut container.resources.requests);
}

/// Characters.
const MAX_TAG: usize = 128;
/// Hexadecimal digits.
const MIN_DIGEST: usize = 32;

/// Images without a tag, or with the tag `latest`, are pulled each time.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image
        .split_once('@')
        .map_or((image, false), |(name, _)| (name, true));
    let last = name.rsplit('/').next().unwrap_or_default();
    if !is_reference(image) {
        return "IfNotPresent";
    }
    let latest = match last.split_once(':') {
        Some((_, tag)) => tag == "latest",
        None => !digest && !last.is_empty(),
    };
    if latest { "Always" } else { "IfNotPresent" }
}

/// Whether an image is named as registries name them: `host/path:tag@digest`.
fn is_reference(image: &str) -> bool {
    let (rest, digest) = image
        .split_once('@')
        .map_or((image, None), |(rest, digest)| (rest, Some(digest)));
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (host, path) = match name.split_once('/') {
        Some((host, path)) if is_host(host) => (Some(host), path),
        _ => (None, name),
    };
    path.split('/').all(is_path_component)
        && host.is_none_or(is_host_name)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest)
}

/// Whether the first part of a name is a host, and not a directory of the default registry.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.contains(|c: char| c.is_ascii_uppercase())
}

fn is_host_name(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let ends = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(ends)
        && name.ends_with(ends)
        && name.chars().all(known)
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Lower-case words with a dot, one or two underscores, or hyphens between them.
fn is_path_component(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(word).filter(|text| !text.is_empty());
    let separates = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    part.starts_with(word) && part.ends_with(word) && separators.clone().all(separates)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hash)| {
        algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
            && hash.len() >= MIN_DIGEST
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn ports(ports: &mut [ContainerPort]) {
    for port in ports {
        fill(&mut port.protocol, "TCP");
    }
}

fn env(variables: &mut [EnvVar]) {
    for source in variables
        .iter_mut()
        .filter_map(|variable| variable.value_from.as_deref_mut())
    {
        if let Some(field) = &mut source.field_ref {
            fill(&mut field.api_version, "v1");
        }
        if let Some(file) = &mut source.file_key_ref {
            file.optional.get_or_insert(false);
        }
    }
}

fn probe(probe: &mut Probe) {
    let seconds = |field: &mut i32, default: i32| {
        if *field == 0 {
            *field = default;
        }
    };
    seconds(&mut probe.timeout_seconds, 1);
    seconds(&mut probe.period_seconds, 10);
    seconds(&mut probe.success_threshold, 1);
    seconds(&mut probe.failure_threshold, 3);
    if let Some(get) = &mut probe.probe_handler.http_get {
        fill(&mut get.path, "/");
        fill(&mut get.scheme, "HTTP");
    }
    if let Some(grpc) = &mut probe.probe_handler.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn handler(handler: &mut LifecycleHandler) {
    if let Some(get) = &mut handler.http_get {
        fill(&mut get.path, "/");
        fill(&mut get.scheme, "HTTP");
    }
}

/// The spec of a claim, stand-alone or in a template.
pub fn claim_spec(spec: &mut PersistentVolumeClaimSpec) {
    spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    round_up(&mut spec.resources.limits);
    round_up(&mut spec.resources.requests);
}

fn volume(volume: &mut Volume) {
    let source = &mut volume.volume_source;
    if *source == VolumeSource::default() {
        source.empty_dir = Some(Box::<EmptyDirVolumeSource>::default());
    }
    if let Some(secret) = &mut source.secret {
        secret.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(config_map) = &mut source.config_map {
        config_map.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(host_path) = &mut source.host_path {
        host_path.type_.get_or_insert_default();
    }
    if let Some(downward) = &mut source.downward_api {
        downward.default_mode.get_or_insert(FILE_MODE);
        let fields = downward
            .items
            .iter_mut()
            .filter_map(|item| item.field_ref.as_deref_mut());
        fields.for_each(|field| fill(&mut field.api_version, "v1"));
    }
    if let Some(claim) = source
        .ephemeral
        .as_mut()
        .and_then(|source| source.volume_claim_template.as_mut())
    {
        claim_spec(&mut claim.spec);
    }
    if let Some(image) = &mut source.image {
        fill(&mut image.pull_policy, pull_policy(&image.reference));
    }
    projected(source);
    network_volume(source);
}

fn projected(source: &mut VolumeSource) {
    let Some(projected) = &mut source.projected else {
        return;
    };
    projected.default_mode.get_or_insert(FILE_MODE);
    for source in &mut projected.sources {
        if let Some(downward) = &mut source.downward_api {
            let fields = downward
                .items
                .iter_mut()
                .filter_map(|item| item.field_ref.as_deref_mut());
            fields.for_each(|field| fill(&mut field.api_version, "v1"));
        }
        if let Some(token) = &mut source.service_account_token {
            token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
        }
    }
}

/// Kinds of volumes that only remain for old objects.
fn network_volume(source: &mut VolumeSource) {
    if let Some(iscsi) = &mut source.iscsi {
        fill(&mut iscsi.iscsi_interface, "default");
    }
    if let Some(rbd) = &mut source.rbd {
        fill(&mut rbd.pool, "rbd");
        fill(&mut rbd.user, "admin");
        fill(&mut rbd.keyring, "/etc/ceph/keyring");
    }
    if let Some(disk) = &mut source.azure_disk {
        disk.caching_mode.get_or_insert_with(|| "ReadWrite".to_owned());
        disk.fs_type.get_or_insert_with(|| "ext4".to_owned());
        disk.read_only.get_or_insert(false);
        disk.kind.get_or_insert_with(|| "Shared".to_owned());
    }
    if let Some(scale_io) = &mut source.scale_io {
        fill(&mut scale_io.storage_mode, "ThinProvisioned");
        fill(&mut scale_io.fs_type, "xfs");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[test]
    fn images_say_when_to_pull() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.2", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00112233445566778899aabbccddeeff", "IfNotPresent"),
            ("nginx:latest@sha256:00112233445566778899aabbccddeeff", "Always"),
            ("no image", "IfNotPresent"),
            ("UPPER", "IfNotPresent"),
            ("a__b/c--d", "Always"),
            ("a/-b", "IfNotPresent"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn a_small_pod_is_filled_in() {
        let json = br#"{"spec":{"serviceAccount":"robot","hostNetwork":true,"volumes":[{"name":"v"}],"containers":[{"name":"a","image":"i:1",
            "ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"100u"}},"livenessProbe":{"httpGet":{"port":80}}}]}}"#;
        let mut object = Pod::from_json(json).unwrap();
        pod(&mut object);
        let container = &object.spec.containers[0];
        assert_eq!(container.ports[0].host_port, 80);
        assert_eq!(container.ports[0].protocol, "TCP");
        assert_eq!(container.resources.requests["cpu"].to_string(), "1m");
        assert_eq!(container.liveness_probe.as_ref().unwrap().period_seconds, 10);
        assert_eq!(object.spec.service_account_name, "robot");
        assert!(object.spec.volumes[0].volume_source.empty_dir.is_some());
        let again = object.clone();
        pod(&mut object);
        assert_eq!(object, again, "defaulting twice changes nothing");
    }

    #[test]
    fn the_pod_asks_for_what_its_containers_do() {
        let json = br#"{"spec":{"resources":{"limits":{"cpu":"2","memory":"1Gi"}},"containers":[{"name":"a","resources":{"requests":{"cpu":"500m"}}}]}}"#;
        let mut object = Pod::from_json(json).unwrap();
        pod(&mut object);
        let requests = &object.spec.resources.as_ref().unwrap().requests;
        assert_eq!(requests["cpu"].to_string(), "500m");
        assert_eq!(requests["memory"].to_string(), "1Gi");
    }
}
