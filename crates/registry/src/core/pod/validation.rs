//! What pods and pod templates may say.
//!
//! [`containers`] with [`env`], [`mounts`], [`probes`], [`requirements`]; [`volumes`]; [`scheduling`]; [`security`];
//! [`network`]; then changes: [`update`], [`status`], [`resize`].

mod containers;
mod env;
mod mounts;
mod network;
mod probes;
pub(crate) mod requirements;
pub(crate) mod resize;
pub(crate) mod scheduling;
mod security;
pub(crate) mod status;
pub(crate) mod update;
pub(crate) mod volume_sources;
mod volumes;

#[cfg(test)]
mod tests;

use api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use api::meta::v1::ObjectMeta;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{inclusive_range_error, is_dns1123_label, name_is_dns_subdomain};

use crate::metadata::{messages, validate_annotations, validate_labels};

/// Errors of a new pod, besides those of its metadata.
pub fn create(pod: &Pod) -> ErrorList {
    let mut errors = whole(pod);
    let path = Path::new("spec");
    if !pod.spec.ephemeral_containers.is_empty() {
        errors.push(Error::forbidden(
            &path.child("ephemeralContainers"),
            "cannot be set on create",
        ));
    }
    if !pod.spec.node_name.is_empty() && !pod.spec.scheduling_gates.is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), detail));
    }
    errors
}

/// Errors of a pod as it stands.
fn whole(pod: &Pod) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = spec(&pod.spec, Some(&pod.metadata), &path);
    if pod.spec.service_account_name.is_empty() {
        errors.extend(tokens_without_account(&pod.spec, &path));
    }
    for (name, containers) in [
        ("containers", &pod.spec.containers),
        ("initContainers", &pod.spec.init_containers),
    ] {
        for (index, container) in containers.iter().enumerate() {
            errors.extend(containers::validate_image_spaces(
                &container.image,
                &path.child(name).index(index),
            ));
        }
    }
    errors
}

fn tokens_without_account(spec: &PodSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (volume, projected) in spec
        .volumes
        .iter()
        .enumerate()
        .filter_map(|(i, volume)| Some((i, volume.volume_source.projected.as_ref()?)))
    {
        let path = path
            .child("volumes")
            .index(volume)
            .child("projected")
            .child("sources");
        for (source, _) in projected
            .sources
            .iter()
            .enumerate()
            .filter(|(_, s)| s.service_account_token.is_some())
        {
            let path = path.index(source).child("serviceAccountToken");
            errors.push(Error::forbidden(
                &path,
                "must not be specified when serviceAccountName is not set",
            ));
        }
    }
    errors
}

/// Errors of the template of a workload.
pub fn template(template: &PodTemplateSpec, path: &Path) -> ErrorList {
    let mut errors = validate_labels(&template.metadata.labels, &path.child("labels"));
    errors.extend(validate_annotations(
        &template.metadata.annotations,
        &path.child("annotations"),
    ));
    let spec_path = path.child("spec");
    errors.extend(spec(&template.spec, None, &spec_path));
    if !template.spec.ephemeral_containers.is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&spec_path.child("ephemeralContainers"), detail));
    }
    errors
}

/// Errors of a spec. Without `metadata` it is that of a template.
fn spec(spec: &PodSpec, metadata: Option<&ObjectMeta>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if spec.termination_grace_period_seconds.is_none() {
        errors.push(Error::required(&path.child("terminationGracePeriodSeconds"), ""));
    }
    let (volumes, wrong) = volumes::validate(&spec.volumes, metadata, &path.child("volumes"));
    errors.extend(wrong);
    errors.extend(requirements::validate_claims(spec, path));
    errors.extend(containers::validate(spec, &volumes, path));
    errors.extend(requirements::validate_pod(spec, path));
    errors.extend(network::validate_host_ports(spec, metadata.is_some(), path));
    errors.extend(one_of(
        &spec.restart_policy,
        &["Always", "OnFailure", "Never"],
        &path.child("restartPolicy"),
    ));
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    errors.extend(one_of(&spec.dns_policy, &policies, &path.child("dnsPolicy")));
    errors.extend(validate_labels(&spec.node_selector, &path.child("nodeSelector")));
    errors.extend(security::validate_pod(spec, &path.child("securityContext")));
    errors.extend(scheduling::validate_affinity(
        spec.affinity.as_deref(),
        &path.child("affinity"),
    ));
    errors.extend(network::validate_dns(spec, &path.child("dnsConfig")));
    errors.extend(scheduling::validate_gates(spec, path));
    let spread = path.child("topologySpreadConstraints");
    errors.extend(scheduling::validate_spread(
        &spec.topology_spread_constraints,
        &spread,
    ));
    errors.extend(security::validate_host_users(spec, path));
    errors.extend(network::validate_host_name(spec, path));
    errors.extend(names(spec, path));
    errors.extend(scheduling::validate_tolerations(
        &spec.tolerations,
        &path.child("tolerations"),
    ));
    errors.extend(network::validate_host_aliases(
        &spec.host_aliases,
        &path.child("hostAliases"),
    ));
    errors.extend(class_names(spec, path));
    errors.extend(requirements::validate_overhead(
        &spec.overhead,
        &path.child("overhead").child("limits"),
    ));
    if let Some(os) = &spec.os {
        let path = path.child("os");
        match os.name.as_str() {
            "" => errors.push(Error::required(&path.child("name"), "")),
            "linux" | "windows" => {}
            other => errors.push(Error::not_supported(&path, other, &["linux", "windows"])),
        }
    }
    errors
}

fn names(spec: &PodSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (field, name) in [
        ("serviceAccountName", &spec.service_account_name),
        ("nodeName", &spec.node_name),
    ] {
        if !name.is_empty() {
            errors.extend(messages(
                &path.child(field),
                name,
                name_is_dns_subdomain(name, false),
            ));
        }
    }
    if let Some(seconds) = spec
        .active_deadline_seconds
        .filter(|seconds| !(1..=i64::from(i32::MAX)).contains(seconds))
    {
        let detail = inclusive_range_error(1, i64::from(i32::MAX));
        errors.push(Error::invalid(
            &path.child("activeDeadlineSeconds"),
            seconds,
            detail,
        ));
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if !name.is_empty() {
            errors.extend(messages(&path.child(field), name, is_dns1123_label(name)));
        }
    }
    errors
}

fn class_names(spec: &PodSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if !spec.priority_class_name.is_empty() {
        let name = &spec.priority_class_name;
        errors.extend(messages(
            &path.child("priorityClassName"),
            name,
            name_is_dns_subdomain(name, false),
        ));
    }
    if let Some(name) = &spec.runtime_class_name {
        errors.extend(messages(
            &path.child("runtimeClassName"),
            name,
            name_is_dns_subdomain(name, false),
        ));
    }
    if let Some(policy) = &spec.preemption_policy {
        let policies = ["PreemptLowerPriority", "Never"];
        errors.extend(one_of(policy, &policies, &path.child("preemptionPolicy")));
    }
    errors
}

/// An error if a word is missing or none of these.
pub(crate) fn one_of(value: &str, supported: &[&str], path: &Path) -> Option<Error> {
    match value {
        "" => Some(Error::required(path, "")),
        value if supported.contains(&value) => None,
        value => Some(Error::not_supported(path, value, supported)),
    }
}
