//! A pod as the checks see it, and the words that they share.

use std::collections::BTreeSet;

use api::core::v1::{ContainerPort, Lifecycle, PodSecurityContext, PodSpec, Probe, SecurityContext};
use api::meta::v1::ObjectMeta;

use super::policy::Standard;

/// A container of any of the three sorts.
pub(super) struct ContainerView<'a> {
    pub(super) name: &'a str,
    pub(super) context: Option<&'a SecurityContext>,
    pub(super) ports: &'a [ContainerPort],
    pub(super) probes: [Option<&'a Probe>; 3],
    pub(super) lifecycle: Option<&'a Lifecycle>,
}

pub(super) struct View<'a> {
    pub(super) metadata: &'a ObjectMeta,
    pub(super) spec: &'a PodSpec,
    pub(super) context: Option<&'a PodSecurityContext>,
    pub(super) containers: Vec<ContainerView<'a>>,
    pub(super) standard: Standard,
}

/// A broken rule.
pub(super) struct Violation {
    pub(super) reason: String,
    pub(super) detail: String,
}

macro_rules! container {
    ($container:expr) => {
        ContainerView {
            name: &$container.name,
            context: $container.security_context.as_deref(),
            ports: &$container.ports,
            probes: [
                $container.liveness_probe.as_deref(),
                $container.readiness_probe.as_deref(),
                $container.startup_probe.as_deref(),
            ],
            lifecycle: $container.lifecycle.as_deref(),
        }
    };
}

impl<'a> View<'a> {
    pub(super) fn new(metadata: &'a ObjectMeta, spec: &'a PodSpec, standard: Standard) -> Self {
        let mut containers = Vec::new();
        containers.extend(spec.init_containers.iter().map(|container| container!(container)));
        containers.extend(spec.containers.iter().map(|container| container!(container)));
        containers.extend(
            spec.ephemeral_containers
                .iter()
                .map(|container| container!(container.ephemeral_container_common)),
        );
        Self {
            metadata,
            spec,
            context: spec.security_context.as_deref(),
            containers,
            standard,
        }
    }

    /// Linux rules say nothing about a Windows pod.
    pub(super) fn is_windows(&self) -> bool {
        self.spec.os.as_ref().is_some_and(|os| os.name == "windows")
    }

    /// Root in a user namespace of its own is not the host's.
    pub(super) fn has_user_namespace(&self) -> bool {
        self.spec.host_users == Some(false)
    }

    /// The names of the containers for which something holds.
    pub(super) fn containers_where(&self, holds: impl Fn(&ContainerView<'_>) -> bool) -> Vec<&'a str> {
        self.containers
            .iter()
            .filter(|container| holds(container))
            .map(|container| container.name)
            .collect()
    }
}

pub(super) fn violation(reason: &str, detail: String) -> Option<Violation> {
    Some(Violation {
        reason: reason.to_owned(),
        detail,
    })
}

/// `container "a"`, `containers "a", "b"`
pub(super) fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names))
}

pub(super) fn plural(word: &str, count: usize) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

/// The verb for so many subjects.
pub(super) fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

pub(super) fn quoted<T: AsRef<str>>(items: &[T]) -> String {
    items
        .iter()
        .map(|item| format!("\"{}\"", item.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn quoted_set(items: &BTreeSet<&str>) -> String {
    quoted(&items.iter().collect::<Vec<_>>())
}

/// `pod and container "a"`: whoever sets something explicitly.
pub(super) fn setters(pod: bool, names: &[&str]) -> Option<String> {
    let mut setters = Vec::new();
    if pod {
        setters.push("pod".to_owned());
    }
    if !names.is_empty() {
        setters.push(containers(names));
    }
    (!setters.is_empty()).then(|| setters.join(" and "))
}
