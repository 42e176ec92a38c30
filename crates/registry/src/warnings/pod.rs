//! Pods and the templates of workloads.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::{
    Affinity, AppArmorProfile, Container, EnvVar, Pod, PodAffinityTerm, PodSpec, PodTemplateSpec,
    ResourceRequirements, WeightedPodAffinityTerm,
};
use api::meta::v1::ObjectMeta;
use apimachinery::field::Path;
use apimachinery::quote::quote;

use super::{deprecated_node_label, fractional, node_selector_term, ports, volumes};

const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const ANNOTATIONS: [(&str, &str); 3] = [
    (
        "scheduler.alpha.kubernetes.io/critical-pod",
        r#"non-functional in v1.16+; use the "priorityClassName" field instead"#,
    ),
    (
        "security.alpha.kubernetes.io/sysctls",
        r#"non-functional in v1.11+; use the "sysctls" field instead"#,
    ),
    (
        "security.alpha.kubernetes.io/unsafe-sysctls",
        r#"non-functional in v1.11+; use the "sysctls" field instead"#,
    ),
];

/// A new pod.
pub(crate) fn pod(pod: &Pod) -> Vec<String> {
    let mut warnings: Vec<String> = super::pod_name(&pod.metadata.name, "the Pod's hostname")
        .into_iter()
        .collect();
    warnings.extend(spec(&pod.spec, &pod.metadata.annotations, &Path::nil(), false));
    warnings
}

/// The template of a workload.
pub(crate) fn template(template: &PodTemplateSpec, path: &Path) -> Vec<String> {
    spec(&template.spec, &template.metadata.annotations, path, true)
}

/// The template of a workload, and with `names` its name: when it is new, and when it changed.
pub(crate) fn workload(
    metadata: &ObjectMeta,
    old: Option<&ObjectMeta>,
    own: &PodTemplateSpec,
    names: bool,
) -> Vec<String> {
    let path = Path::new("spec").child("template");
    match old {
        Some(old) if old.generation == metadata.generation => Vec::new(),
        Some(_) => template(own, &path),
        None => {
            let name = names.then(|| super::workload_name(&metadata.name)).flatten();
            name.into_iter().chain(template(own, &path)).collect()
        }
    }
}

type Annotations = BTreeMap<String, String>;

fn spec(spec: &PodSpec, annotations: &Annotations, root: &Path, is_template: bool) -> Vec<String> {
    let (path, annotations_path) = (root.child("spec"), root.child("metadata").child("annotations"));
    let mut warnings = scheduling(spec, &path);
    for (key, why) in ANNOTATIONS {
        if annotations.contains_key(key) {
            warnings.push(format!("{}: {why}", annotations_path.key(key)));
        }
    }
    warnings.extend(volumes::plugins(&spec.volumes, &path.child("volumes")));
    warnings.extend(volumes::overlapping_paths(&spec.volumes));
    warnings.extend(names(spec, &path));
    let overhead = path.child("overhead");
    warnings.extend(fractional(&spec.overhead, "memory", &overhead));
    warnings.extend(fractional(&spec.overhead, "ephemeral-storage", &overhead));
    let security = spec.security_context.as_deref();
    if security.is_none_or(|own| own.seccomp_profile.is_none()) && annotations.contains_key(SECCOMP_POD) {
        warnings.push(no_seccomp(&annotations_path.key(SECCOMP_POD)));
    }
    let app_armor = security.and_then(|own| own.app_armor_profile.as_deref());
    let containers = containers(spec, &path);
    for (one, at) in &containers {
        warnings.extend(profiles(one, annotations, &annotations_path));
        if is_template {
            warnings.extend(app_armor_annotation(
                one,
                app_armor,
                annotations,
                &annotations_path,
            ));
        }
        warnings.extend(amounts(&one.resources, &at.child("resources")));
        warnings.extend(variables(&one.env, &at.child("env")));
    }
    warnings.extend(ports::warnings(&containers));
    if spec
        .termination_grace_period_seconds
        .is_some_and(|period| period < 0)
    {
        warnings.push(format!(
            "{}: must be >= 0; negative values are invalid and will be treated as 1",
            path.child("terminationGracePeriodSeconds")
        ));
    }
    if let Some(affinity) = spec.affinity.as_deref() {
        warnings.extend(pod_affinity(affinity, &path.child("affinity")));
    }
    warnings.extend(addresses(spec, &path));
    warnings
}

/// All containers, as plain ones, with their paths.
fn containers<'s>(spec: &'s PodSpec, path: &Path) -> Vec<(Cow<'s, Container>, Path)> {
    let at = |list: &'static str, index: usize| path.child(list).index(index);
    let mut all = Vec::new();
    for (list, containers) in [
        ("initContainers", &spec.init_containers),
        ("containers", &spec.containers),
    ] {
        all.extend(
            containers
                .iter()
                .enumerate()
                .map(|(i, own)| (Cow::Borrowed(own), at(list, i))),
        );
    }
    for (index, ephemeral) in spec.ephemeral_containers.iter().enumerate() {
        let own = &ephemeral.ephemeral_container_common;
        let plain = Container {
            name: own.name.clone(),
            env: own.env.clone(),
            ports: own.ports.clone(),
            resources: own.resources.clone(),
            security_context: own.security_context.clone(),
            ..Container::default()
        };
        all.push((Cow::Owned(plain), at("ephemeralContainers", index)));
    }
    all
}

fn scheduling(spec: &PodSpec, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    for key in spec.node_selector.keys() {
        if let Some(why) = deprecated_node_label(key) {
            warnings.push(format!("{}: {why}", path.child("nodeSelector").key(key)));
        }
    }
    let affinity = spec
        .affinity
        .as_deref()
        .and_then(|own| own.node_affinity.as_deref());
    if let Some(nodes) = affinity {
        let path = path.child("affinity").child("nodeAffinity");
        if let Some(required) = &nodes.required_during_scheduling_ignored_during_execution {
            let path = path.child(REQUIRED).child("nodeSelectorTerms");
            for (index, term) in required.node_selector_terms.iter().enumerate() {
                warnings.extend(node_selector_term(term, false, &path.index(index)));
            }
        }
        let preferred = &nodes.preferred_during_scheduling_ignored_during_execution;
        for (index, term) in preferred.iter().enumerate() {
            let path = path.child(PREFERRED).index(index).child("preference");
            warnings.extend(node_selector_term(&term.preference, true, &path));
        }
    }
    for (index, constraint) in spec.topology_spread_constraints.iter().enumerate() {
        let path = path.child("topologySpreadConstraints").index(index);
        let key = &constraint.topology_key;
        if let Some(why) = deprecated_node_label(key) {
            warnings.push(format!("{}: {key} is {why}", path.child("topologyKey")));
        }
        if constraint.label_selector.is_none() {
            warnings.push(matches_nothing(&path));
        }
    }
    warnings
}

fn matches_nothing(path: &Path) -> String {
    format!(
        "{}: a null labelSelector results in matching no pod",
        path.child("labelSelector")
    )
}

fn pod_affinity(affinity: &Affinity, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(own) = affinity.pod_affinity.as_deref() {
        let path = path.child("podAffinity");
        warnings.extend(terms(
            &own.required_during_scheduling_ignored_during_execution,
            &path,
        ));
        warnings.extend(weighted(
            &own.preferred_during_scheduling_ignored_during_execution,
            &path,
        ));
    }
    if let Some(own) = affinity.pod_anti_affinity.as_deref() {
        let path = path.child("podAntiAffinity");
        warnings.extend(terms(
            &own.required_during_scheduling_ignored_during_execution,
            &path,
        ));
        warnings.extend(weighted(
            &own.preferred_during_scheduling_ignored_during_execution,
            &path,
        ));
    }
    warnings
}

fn terms(terms: &[PodAffinityTerm], path: &Path) -> Vec<String> {
    let path = path.child(REQUIRED);
    let terms = terms.iter().enumerate();
    terms
        .filter(|(_, term)| term.label_selector.is_none())
        .map(|(index, _)| matches_nothing(&path.index(index)))
        .collect()
}

fn weighted(terms: &[WeightedPodAffinityTerm], path: &Path) -> Vec<String> {
    let path = path.child(PREFERRED);
    let terms = terms.iter().enumerate();
    terms
        .filter(|(_, term)| term.pod_affinity_term.label_selector.is_none())
        .map(|(index, _)| matches_nothing(&path.index(index).child("podAffinityTerm")))
        .collect()
}

/// Names that are there twice, or not at all.
fn names(spec: &PodSpec, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, alias) in spec.host_aliases.iter().enumerate() {
        if !seen.insert(&alias.ip) {
            let path = path.child("hostAliases").index(index).child("ip");
            warnings.push(format!("{path}: duplicate ip {}", quote(&alias.ip)));
        }
    }
    let at = |index| path.child("imagePullSecrets").index(index).child("name");
    let mut seen = BTreeSet::new();
    for (index, secret) in spec.image_pull_secrets.iter().enumerate() {
        if !seen.insert(&secret.name) {
            warnings.push(format!("{}: duplicate name {}", at(index), quote(&secret.name)));
        }
    }
    for (index, secret) in spec.image_pull_secrets.iter().enumerate() {
        if secret.name.is_empty() {
            warnings.push(format!("{}: invalid empty name \"\"", at(index)));
        }
    }
    warnings
}

fn no_seccomp(path: &Path) -> String {
    format!(r#"{path}: non-functional in v1.27+; use the "seccompProfile" field instead"#)
}

/// Annotations of a container that once were what its security context is.
fn profiles(container: &Container, annotations: &Annotations, path: &Path) -> Option<String> {
    let security = container.security_context.as_deref();
    let key = format!("{SECCOMP_CONTAINER}{}", container.name);
    let unset = security.is_none_or(|own| own.seccomp_profile.is_none());
    (unset && annotations.contains_key(&key)).then(|| no_seccomp(&path.key(key)))
}

fn app_armor_annotation(
    container: &Container,
    of_pod: Option<&AppArmorProfile>,
    annotations: &Annotations,
    path: &Path,
) -> Option<String> {
    let security = container.security_context.as_deref();
    if security.is_some_and(|own| own.app_armor_profile.is_some()) {
        return None;
    }
    let key = format!("{APP_ARMOR}{}", container.name);
    let annotation = annotations.get(&key)?;
    if of_pod.is_some() && of_pod == app_armor_profile(annotation).as_ref() {
        return None;
    }
    Some(app_armor_deprecated(&path.key(key)))
}

fn app_armor_deprecated(path: &Path) -> String {
    format!(r#"{path}: deprecated since v1.30; use the "appArmorProfile" field instead"#)
}

/// The profile that the annotation of old means.
fn app_armor_profile(annotation: &str) -> Option<AppArmorProfile> {
    let (type_, local) = match annotation {
        "unconfined" => ("Unconfined", None),
        "runtime/default" => ("RuntimeDefault", None),
        other => ("Localhost", Some(other.strip_prefix("localhost/")?.to_owned())),
    };
    Some(AppArmorProfile {
        type_: type_.to_owned(),
        localhost_profile: local.filter(|name| !name.is_empty()),
    })
}

fn amounts(resources: &ResourceRequirements, path: &Path) -> Vec<String> {
    let (limits, requests) = (path.child("limits"), path.child("requests"));
    let mut warnings = Vec::new();
    for name in ["memory", "ephemeral-storage"] {
        warnings.extend(fractional(&resources.limits, name, &limits));
        warnings.extend(fractional(&resources.requests, name, &requests));
    }
    warnings
}

/// Variables that are there twice, unless the later one builds on the earlier.
fn variables(env: &[EnvVar], path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, variable) in env.iter().enumerate() {
        if seen.insert(&variable.name) {
            continue;
        }
        let reference = format!("$({})", variable.name);
        let extends = variable.value.contains(&reference) && variable.value != reference;
        if variable.value_from.is_some() || !extends {
            warnings.push(format!(
                "{}: hides previous definition of {}, which may be dropped when using apply",
                path.index(index),
                quote(&variable.name)
            ));
        }
    }
    warnings
}

fn addresses(spec: &PodSpec, path: &Path) -> Vec<String> {
    let mut warnings = Vec::new();
    let servers = spec.dns_config.as_deref().map(|own| own.nameservers.as_slice());
    for (index, server) in servers.unwrap_or_default().iter().enumerate() {
        let path = path.child("dnsConfig").child("nameservers").index(index);
        warnings.extend(super::address(server, &path));
    }
    for (index, alias) in spec.host_aliases.iter().enumerate() {
        let path = path.child("hostAliases").index(index).child("ip");
        warnings.extend(super::address(&alias.ip, &path));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::rules::tests::parse;

    #[track_caller]
    fn check(of: &Value, expected: &[&str]) {
        let own: PodTemplateSpec = parse(of);
        assert_eq!(template(&own, &Path::new("template")), expected);
    }

    #[test]
    fn says_what_is_deprecated() {
        check(
            &json!({
                "metadata": {"annotations": {
                    "scheduler.alpha.kubernetes.io/critical-pod": "",
                    "seccomp.security.alpha.kubernetes.io/pod": "x",
                    "container.apparmor.security.beta.kubernetes.io/c": "unconfined",
                }},
                "spec": {
                    "nodeSelector": {"beta.kubernetes.io/os": "linux"},
                    "volumes": [{"name": "v", "gitRepo": {"repository": "r"}}],
                    "containers": [{"name": "c"}],
                },
            }),
            &[
                r#"template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead"#,
                r#"template.metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead"#,
                "template.spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+",
                r#"template.metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead"#,
                r#"template.metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: deprecated since v1.30; use the "appArmorProfile" field instead"#,
            ],
        );
    }

    #[test]
    fn says_what_is_there_twice() {
        check(
            &json!({"spec": {
                "terminationGracePeriodSeconds": -1,
                "imagePullSecrets": [{"name": "a"}, {"name": "a"}, {}],
                "containers": [{"name": "c", "resources": {"limits": {"memory": "100m"}}, "env": [
                    {"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}, {"name": "A", "value": "3"},
                ]}],
            }}),
            &[
                r#"template.spec.imagePullSecrets[1].name: duplicate name "a""#,
                r#"template.spec.imagePullSecrets[2].name: invalid empty name """#,
                r#"template.spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer"#,
                r#"template.spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply"#,
                "template.spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1",
            ],
        );
    }
}
