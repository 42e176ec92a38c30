//! What a kubelet may report of a pod.

use api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_ip_legacy, is_qualified_name, name_is_dns_subdomain};

use crate::internal::shown_list;
use crate::metadata::{immutable_text, messages};

const OWN_CONDITIONS: [&str; 3] = ["PodScheduled", "Ready", "Initialized"];

pub fn validate(pod: &Pod, old: &Pod) -> ErrorList {
    let path = Path::new("status");
    let mut errors = validate_conditions(pod, &path.child("conditions"));
    let nominated = &pod.status.nominated_node_name;
    if *nominated != old.status.nominated_node_name && !nominated.is_empty() {
        let path = path.child("nominatedNodeName");
        errors.extend(messages(
            &path,
            nominated,
            name_is_dns_subdomain(nominated, false),
        ));
        if !old.spec.node_name.is_empty() {
            errors.push(Error::forbidden(
                &path,
                "may not be set on pods that are already bound to a node",
            ));
        }
    }
    errors.extend(generation(pod.status.observed_generation, &path));
    errors.extend(immutable_text(
        &pod.status.qos_class,
        &old.status.qos_class,
        &path.child("qosClass"),
    ));
    errors.extend(validate_transitions(pod, old, &path));
    errors.extend(validate_pod_ips(pod, old, &path.child("podIPs")));
    errors.extend(validate_host_ips(pod, old, &path.child("hostIPs")));
    errors
}

fn generation(value: i64, path: &Path) -> Option<Error> {
    let path = path.child("observedGeneration");
    (value < 0).then(|| Error::invalid(&path, value, "must be a non-negative integer"))
}

fn validate_conditions(pod: &Pod, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, condition) in pod.status.conditions.iter().enumerate() {
        let path = path.index(index);
        errors.extend(generation(condition.observed_generation, &path));
        if !OWN_CONDITIONS.contains(&condition.type_.as_str()) {
            errors.extend(messages(
                &path.child("Type"),
                &condition.type_,
                is_qualified_name(&condition.type_),
            ));
        }
    }
    errors
}

/// A container that ended for good stays so.
fn validate_transitions(pod: &Pod, old: &Pod, path: &Path) -> ErrorList {
    let (new, before, spec) = (&pod.status, &old.status, &old.spec);
    let all_restart = may_restart_all(spec);
    let of = |containers: &[Container]| {
        let containers = containers.to_vec();
        move |status: &ContainerStatus| {
            let exit_code = status
                .state
                .terminated
                .as_ref()
                .map_or(0, |terminated| terminated.exit_code);
            let container = containers.iter().find(|container| container.name == status.name);
            container.is_some_and(|container| may_restart(container, spec, exit_code))
        }
    };
    let mut errors = ErrorList::new();
    if !all_restart {
        let path = path.child("containerStatuses");
        let may = of(&spec.containers);
        errors.extend(validate_restarts(
            &new.container_statuses,
            &before.container_statuses,
            may,
            &path,
        ));
        let path = path_of_init();
        let may = of(&spec.init_containers);
        errors.extend(validate_restarts(
            &new.init_container_statuses,
            &before.init_container_statuses,
            may,
            &path,
        ));
    }
    let (new, before) = (
        &new.ephemeral_container_statuses,
        &before.ephemeral_container_statuses,
    );
    errors.extend(validate_restarts(
        new,
        before,
        |_| false,
        &path.child("ephemeralContainerStatuses"),
    ));
    errors
}

fn path_of_init() -> Path {
    Path::new("status").child("initContainerStatuses")
}

fn validate_restarts(
    new: &[ContainerStatus],
    old: &[ContainerStatus],
    may_restart: impl Fn(&ContainerStatus) -> bool,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, before) in old
        .iter()
        .enumerate()
        .filter(|(_, old)| old.state.terminated.is_some())
    {
        let again = new
            .iter()
            .any(|now| now.name == before.name && now.state.terminated.is_none());
        if again && !may_restart(before) {
            let detail = "may not be transitioned to non-terminated state";
            errors.push(Error::forbidden(&path.index(index).child("state"), detail));
        }
    }
    errors
}

/// Whether some rule restarts all containers of the pod.
fn may_restart_all(spec: &PodSpec) -> bool {
    let containers = spec.containers.iter().chain(&spec.init_containers);
    containers
        .flat_map(|container| &container.restart_policy_rules)
        .any(|rule| rule.action == "RestartAllContainers")
}

/// Whether a container that ended with the exit code is started again: by its own rules, its own policy, or that
/// of the pod.
fn may_restart(container: &Container, spec: &PodSpec, exit_code: i32) -> bool {
    if container.restart_policy.is_some() {
        for rule in &container.restart_policy_rules {
            let Some(codes) = &rule.exit_codes else { continue };
            let listed = codes.values.contains(&exit_code);
            if rule.action == "Restart" && listed == (codes.operator == "In") {
                return true;
            }
        }
    }
    match container
        .restart_policy
        .as_deref()
        .unwrap_or(&spec.restart_policy)
    {
        "Never" => false,
        "OnFailure" => exit_code != 0,
        _ => true,
    }
}

fn validate_pod_ips(pod: &Pod, old: &Pod, path: &Path) -> ErrorList {
    let known: Vec<String> = old.status.pod_ips.iter().map(|ip| ip.ip.clone()).collect();
    let ips: Vec<&str> = pod.status.pod_ips.iter().map(|ip| ip.ip.as_str()).collect();
    let mut errors = validate_ips(&ips, &known, path);
    if !one_of_each_family(&ips) {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(path, shown_list(&pod.status.pod_ips), detail));
    }
    errors
}

fn validate_host_ips(pod: &Pod, old: &Pod, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(first) = pod.status.host_ips.first() else {
        return errors;
    };
    if pod.status.host_ip != first.ip {
        errors.push(Error::invalid(
            &path.index(0).child("ip"),
            &first.ip,
            "must be equal to `hostIP`",
        ));
    }
    let known: Vec<String> = old.status.host_ips.iter().map(|ip| ip.ip.clone()).collect();
    let ips: Vec<&str> = pod.status.host_ips.iter().map(|ip| ip.ip.as_str()).collect();
    errors.extend(validate_ips(&ips, &known, path));
    if !one_of_each_family(&ips) {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(Error::invalid(path, shown_list(&pod.status.host_ips), detail));
    }
    errors
}

fn validate_ips(ips: &[&str], known: &[String], path: &Path) -> ErrorList {
    ips.iter()
        .enumerate()
        .flat_map(|(index, ip)| is_ip_legacy(&path.index(index), ip, known))
        .collect()
}

fn one_of_each_family(ips: &[&str]) -> bool {
    let v6 = ips.iter().filter(|ip| ip.contains(':')).count();
    ips.len() < 2 || (ips.len() == 2 && v6 == 1)
}
