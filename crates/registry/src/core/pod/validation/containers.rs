//! Containers: those of the pod, those that initialize it, and those added to debug it.

use std::collections::BTreeSet;

use api::core::v1::{
    Container, ContainerPort, ContainerRestartRule, EphemeralContainer, EphemeralContainerCommon, PodSpec,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_label, is_valid_port_name, is_valid_port_num};

use super::volumes::Volumes;
use super::{env, mounts, one_of, probes, requirements, security};
use crate::core::service::validation::PROTOCOLS;
use crate::metadata::messages;

const MAX_RESTART_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

pub(super) fn validate(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    let mut errors = validate_main(spec, volumes, &path.child("containers"));
    errors.extend(validate_init(spec, volumes, &path.child("initContainers")));
    errors.extend(validate_ephemeral(
        spec,
        volumes,
        &path.child("ephemeralContainers"),
    ));
    errors
}

fn validate_main(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    if spec.containers.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    let mut names = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = path.index(index);
        errors.extend(validate_common(container, spec, volumes, &path));
        if !names.insert(&container.name) {
            errors.push(Error::duplicate(&path.child("name"), &container.name));
        }
        errors.extend(probes::validate(
            container,
            spec.termination_grace_period_seconds,
            &path,
        ));
        errors.extend(validate_restart(container, &path));
    }
    errors.extend(validate_host_ports(&spec.containers, path, &mut BTreeSet::new()));
    errors
}

fn validate_init(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut names: BTreeSet<&String> = spec.containers.iter().map(|container| &container.name).collect();
    for (index, container) in spec.init_containers.iter().enumerate() {
        let list = path;
        let path = path.index(index);
        errors.extend(validate_common(container, spec, volumes, &path));
        errors.extend(validate_restart(container, &path));
        if !names.insert(&container.name) {
            errors.push(Error::duplicate(&path.child("name"), &container.name));
        }
        // The path is that of the list, and the index that within one container, as upstream has it.
        errors.extend(validate_host_ports(
            std::slice::from_ref(container),
            list,
            &mut BTreeSet::new(),
        ));
        if container.restart_policy.as_deref() == Some("Always") {
            errors.extend(probes::validate(
                container,
                spec.termination_grace_period_seconds,
                &path,
            ));
        } else {
            errors.extend(forbidden_in_plain_init(container, &path));
        }
    }
    errors
}

fn forbidden_in_plain_init(container: &Container, path: &Path) -> ErrorList {
    let set = [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ];
    let detail = "may not be set for init containers without restartPolicy=Always";
    let set = set.into_iter().filter(|(_, set)| *set);
    let mut errors: ErrorList = set
        .map(|(field, _)| Error::forbidden(&path.child(field), detail))
        .collect();
    for (index, policy) in container.resize_policy.iter().enumerate() {
        if policy.restart_policy == "RestartContainer" {
            let path = path.child("resizePolicy").index(index).child("restartPolicy");
            let detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
            errors.push(Error::invalid(&path, &policy.restart_policy, detail));
        }
    }
    errors
}

fn validate_ephemeral(spec: &PodSpec, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let others: BTreeSet<&String> = spec
        .containers
        .iter()
        .chain(&spec.init_containers)
        .map(|container| &container.name)
        .collect();
    let mut names = others.clone();
    for (index, container) in spec.ephemeral_containers.iter().enumerate() {
        let path = path.index(index);
        let common = &container.ephemeral_container_common;
        let plain = plain(common);
        errors.extend(validate_common(&plain, spec, volumes, &path));
        errors.extend(validate_image_spaces(&common.image, &path));
        if !names.insert(&common.name) {
            errors.push(Error::duplicate(&path.child("name"), &common.name));
        }
        let target = &container.target_container_name;
        if !target.is_empty() && !others.contains(target) {
            errors.push(Error::not_found(&path.child("targetContainerName"), target));
        }
        errors.extend(forbidden_in_ephemeral(container, &path));
    }
    errors
}

fn forbidden_in_ephemeral(container: &EphemeralContainer, path: &Path) -> ErrorList {
    let common = &container.ephemeral_container_common;
    let detail = "cannot be set for an Ephemeral Container";
    let set = [
        ("ports", !common.ports.is_empty()),
        ("resources", common.resources != Default::default()),
        ("resizePolicy", !common.resize_policy.is_empty()),
        ("restartPolicy", common.restart_policy.is_some()),
        ("restartPolicyRules", !common.restart_policy_rules.is_empty()),
        ("livenessProbe", common.liveness_probe.is_some()),
        ("readinessProbe", common.readiness_probe.is_some()),
        ("startupProbe", common.startup_probe.is_some()),
        ("lifecycle", common.lifecycle.is_some()),
    ];
    let set = set.into_iter().filter(|(_, set)| *set);
    let mut errors: ErrorList = set
        .map(|(field, _)| Error::forbidden(&path.child(field), detail))
        .collect();
    for (index, mount) in common.volume_mounts.iter().enumerate() {
        let path = path.child("volumeMounts").index(index);
        for (field, value) in [
            ("subPath", &mount.sub_path),
            ("subPathExpr", &mount.sub_path_expr),
        ] {
            if !value.is_empty() {
                errors.push(Error::forbidden(&path.child(field), detail));
            }
        }
    }
    errors
}

/// An ephemeral container as any other, to which the same rules apply.
fn plain(common: &EphemeralContainerCommon) -> Container {
    Container {
        name: common.name.clone(),
        image: common.image.clone(),
        ports: common.ports.clone(),
        env_from: common.env_from.clone(),
        env: common.env.clone(),
        resources: common.resources.clone(),
        resize_policy: common.resize_policy.clone(),
        volume_mounts: common.volume_mounts.clone(),
        volume_devices: common.volume_devices.clone(),
        termination_message_policy: common.termination_message_policy.clone(),
        image_pull_policy: common.image_pull_policy.clone(),
        security_context: common.security_context.clone(),
        ..Container::default()
    }
}

/// What all containers have in common.
fn validate_common(container: &Container, spec: &PodSpec, volumes: &Volumes<'_>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = path.child("name");
    if container.name.is_empty() {
        errors.push(Error::required(&name, ""));
    } else {
        errors.extend(messages(
            &name,
            &container.name,
            is_dns1123_label(&container.name),
        ));
    }
    if container.image.is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    }
    let policies = ["File", "FallbackToLogsOnError"];
    let policy_path = path.child("terminationMessagePolicy");
    errors.extend(one_of(
        &container.termination_message_policy,
        &policies,
        &policy_path,
    ));
    errors.extend(validate_ports(&container.ports, &path.child("ports")));
    errors.extend(env::validate(&container.env, &path.child("env")));
    errors.extend(env::validate_from(&container.env_from, &path.child("envFrom")));
    errors.extend(mounts::validate(container, volumes, &path.child("volumeMounts")));
    errors.extend(mounts::validate_devices(
        container,
        volumes,
        &path.child("volumeDevices"),
    ));
    errors.extend(validate_pull_policy(
        &container.image_pull_policy,
        &path.child("imagePullPolicy"),
    ));
    let claims = &spec.resource_claims;
    errors.extend(requirements::validate_container(
        &container.resources,
        claims,
        &path.child("resources"),
    ));
    errors.extend(requirements::validate_resize_policy(
        container,
        &spec.restart_policy,
        &path.child("resizePolicy"),
    ));
    let context = container.security_context.as_deref();
    errors.extend(security::validate_container(
        context,
        spec.host_users,
        &path.child("securityContext"),
    ));
    errors
}

pub(super) fn validate_pull_policy(policy: &str, path: &Path) -> Option<Error> {
    one_of(policy, &PULL_POLICIES, path)
}

pub(super) fn validate_image_spaces(image: &str, path: &Path) -> Option<Error> {
    let detail = "must not have leading or trailing whitespace";
    (image.trim() != image).then(|| Error::invalid(&path.child("image"), image, detail))
}

fn validate_ports(ports: &[ContainerPort], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        if !port.name.is_empty() {
            let name = path.child("name");
            let wrong = is_valid_port_name(&port.name);
            let valid = wrong.is_empty();
            errors.extend(messages(&name, &port.name, wrong));
            if valid && !names.insert(&port.name) {
                errors.push(Error::duplicate(&name, &port.name));
            }
        }
        let number = path.child("containerPort");
        if port.container_port == 0 {
            errors.push(Error::required(&number, ""));
        } else {
            errors.extend(validate_number(port.container_port, &number));
        }
        if port.host_port != 0 {
            errors.extend(validate_number(port.host_port, &path.child("hostPort")));
        }
        errors.extend(one_of(&port.protocol, &PROTOCOLS, &path.child("protocol")));
    }
    errors
}

fn validate_number(port: i32, path: &Path) -> ErrorList {
    is_valid_port_num(i64::from(port))
        .into_iter()
        .map(|message| Error::invalid(path, port, message))
        .collect()
}

/// No two containers may listen on the same port of the node.
fn validate_host_ports(containers: &[Container], path: &Path, seen: &mut BTreeSet<String>) -> ErrorList {
    let mut errors = ErrorList::new();
    for (container, ports) in containers.iter().map(|container| &container.ports).enumerate() {
        let path = path.index(container).child("ports");
        for (index, port) in ports.iter().enumerate().filter(|(_, port)| port.host_port != 0) {
            let key = format!("{}/{}/{}", port.protocol, port.host_ip, port.host_port);
            if seen.contains(&key) {
                errors.push(Error::duplicate(&path.index(index).child("hostPort"), &key));
            }
            seen.insert(key);
        }
    }
    errors
}

fn validate_restart(container: &Container, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (policy, rules) = (
        container.restart_policy.as_deref(),
        &container.restart_policy_rules,
    );
    let at = path.child("restartPolicy");
    match policy {
        None if !rules.is_empty() => {
            errors.push(Error::required(
                &at,
                "must specify restartPolicy when restart rules are used",
            ));
        }
        None => {}
        Some("Always" | "OnFailure" | "Never") => {}
        Some(other) => errors.push(Error::not_supported(
            &at,
            other,
            &["Always", "Never", "OnFailure"],
        )),
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > MAX_RESTART_RULES {
        errors.push(Error::too_many(&path, rules.len(), MAX_RESTART_RULES));
    }
    errors.extend(
        rules
            .iter()
            .enumerate()
            .flat_map(|(index, rule)| validate_restart_rule(rule, &path.index(index))),
    );
    errors
}

fn validate_restart_rule(rule: &ContainerRestartRule, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let actions = ["Restart", "RestartAllContainers"];
    if !actions.contains(&rule.action.as_str()) {
        errors.push(Error::not_supported(
            &path.child("action"),
            &rule.action,
            &actions,
        ));
    }
    let path = path.child("exitCodes");
    let Some(codes) = &rule.exit_codes else {
        errors.push(Error::required(&path, "must be specified"));
        return errors;
    };
    if !matches!(codes.operator.as_str(), "In" | "NotIn") {
        errors.push(Error::not_supported(
            &path.child("operator"),
            &codes.operator,
            &["In", "NotIn"],
        ));
    }
    if codes.values.len() > MAX_EXIT_CODES {
        errors.push(Error::too_many(
            &path.child("values"),
            codes.values.len(),
            MAX_EXIT_CODES,
        ));
    }
    errors
}
