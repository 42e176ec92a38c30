//! Questions about a pod that several parts of the kubelet ask. Upstream: `pkg/kubelet/types`, `container/helpers.go`.

use api::core::v1::{Container, Pod};

/// Where a pod came from: `file`, `http` or `api`.
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// The hash of a static pod's manifest, which also is its uid.
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// On a mirror pod: the hash of the static pod that it mirrors.
pub const CONFIG_MIRROR: &str = "kubernetes.io/config.mirror";
/// When the kubelet first saw the pod.
pub const CONFIG_SEEN: &str = "kubernetes.io/config.seen";

/// Priorities from here on belong to system-critical pods.
const SYSTEM_CRITICAL_PRIORITY: i32 = 2_000_000_000;
/// The priority of `system-node-critical`.
const NODE_CRITICAL_PRIORITY: i32 = 2_000_001_000;

fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.get(key).map(String::as_str)
}

/// Runs from a manifest on this node rather than from the API. Its mirror, which bears its annotations, is not static.
pub fn is_static(pod: &Pod) -> bool {
    !is_mirror(pod) && annotation(pod, CONFIG_SOURCE).is_some_and(|source| source != "api")
}

/// Stands in the API for a static pod; the kubelet runs nothing for it.
pub fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, CONFIG_MIRROR).is_some()
}

/// Whether the pod may push others aside and is spared by eviction.
pub fn is_critical(pod: &Pod) -> bool {
    is_static(pod) || is_mirror(pod) || pod.spec.priority.is_some_and(|p| p >= SYSTEM_CRITICAL_PRIORITY)
}

pub fn is_node_critical(pod: &Pod) -> bool {
    is_critical(pod) && pod.spec.priority == Some(NODE_CRITICAL_PRIORITY)
}

/// `name_namespace`, which identifies a static pod across edits of its manifest.
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}", pod.metadata.name, pod.metadata.namespace)
}

/// `name_namespace(uid)`, as upstream writes a pod in messages.
pub fn description(pod: &Pod) -> String {
    format!(
        "{}_{}({})",
        pod.metadata.name, pod.metadata.namespace, pod.metadata.uid
    )
}

/// The volume-safe, path-safe name of a pod's log folder.
pub fn log_folder(namespace: &str, name: &str, uid: &str) -> String {
    format!("{namespace}_{name}_{uid}")
}

pub fn is_terminal(phase: &str) -> bool {
    matches!(phase, "Failed" | "Succeeded")
}

/// An init container that keeps running beside the others: a sidecar.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub fn is_privileged(container: &Container) -> bool {
    container
        .security_context
        .as_ref()
        .and_then(|context| context.privileged)
        == Some(true)
}

/// The names and specifications of all containers, ephemeral ones as ordinary ones.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = Container> + '_ {
    pod.spec
        .init_containers
        .iter()
        .chain(&pod.spec.containers)
        .cloned()
        .chain(pod.spec.ephemeral_containers.iter().map(ephemeral_as_container))
}

pub fn find_container(pod: &Pod, name: &str) -> Option<Container> {
    all_containers(pod).find(|container| container.name == name)
}

/// An ephemeral container has the fields of an ordinary one, in a type of its own.
pub fn ephemeral_as_container(ephemeral: &api::core::v1::EphemeralContainer) -> Container {
    let c = &ephemeral.ephemeral_container_common;
    Container {
        name: c.name.clone(),
        image: c.image.clone(),
        command: c.command.clone(),
        args: c.args.clone(),
        working_dir: c.working_dir.clone(),
        ports: c.ports.clone(),
        env_from: c.env_from.clone(),
        env: c.env.clone(),
        resources: c.resources.clone(),
        resize_policy: c.resize_policy.clone(),
        restart_policy: c.restart_policy.clone(),
        restart_policy_rules: c.restart_policy_rules.clone(),
        volume_mounts: c.volume_mounts.clone(),
        volume_devices: c.volume_devices.clone(),
        liveness_probe: c.liveness_probe.clone(),
        readiness_probe: c.readiness_probe.clone(),
        startup_probe: c.startup_probe.clone(),
        lifecycle: c.lifecycle.clone(),
        termination_message_path: c.termination_message_path.clone(),
        termination_message_policy: c.termination_message_policy.clone(),
        image_pull_policy: c.image_pull_policy.clone(),
        security_context: c.security_context.clone(),
        stdin: c.stdin,
        stdin_once: c.stdin_once,
        tty: c.tty,
    }
}

/// Where in the pod a container stands, as an event's `fieldPath` names it.
pub fn container_field_path(pod: &Pod, name: &str) -> Option<String> {
    let has = |list: &[Container]| list.iter().any(|c| c.name == name);
    if has(&pod.spec.containers) {
        Some(format!("spec.containers{{{name}}}"))
    } else if has(&pod.spec.init_containers) {
        Some(format!("spec.initContainers{{{name}}}"))
    } else if pod
        .spec
        .ephemeral_containers
        .iter()
        .any(|c| c.ephemeral_container_common.name == name)
    {
        Some(format!("spec.ephemeralContainers{{{name}}}"))
    } else {
        None
    }
}

/// Whether a container that ended with `exit_code` is started again, by its own rules, its own policy, or the pod's.
pub fn restarts_after(pod: &Pod, container: &Container, exit_code: i32) -> bool {
    let rule = container.restart_policy_rules.iter().find(|rule| {
        rule.exit_codes
            .as_ref()
            .is_some_and(|codes| match codes.operator.as_str() {
                "In" => codes.values.contains(&exit_code),
                "NotIn" => !codes.values.contains(&exit_code),
                _ => false,
            })
    });
    if rule.is_some_and(|rule| rule.action == "Restart") {
        return true;
    }
    match container
        .restart_policy
        .as_deref()
        .unwrap_or(&pod.spec.restart_policy)
    {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}
