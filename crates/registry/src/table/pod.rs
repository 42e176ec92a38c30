//! Pods: what a container or an init container is up to, said in one word.

use api::core::v1::{Container, ContainerState, ContainerStatus, Pod};
use apimachinery::time::Time;
use jiff::Timestamp;
use serde_json::Value;

use super::{age, or_none, since};

/// The row of a pod.
pub fn row(pod: &Pod, now: Timestamp) -> Vec<Value> {
    let summary = Summary::of(pod);
    let ip = pod.status.pod_ips.first().map_or("", |ip| &ip.ip);
    crate::cells![
        pod.metadata.name.as_str(),
        format!("{}/{}", summary.ready, summary.total),
        summary.reason,
        restarts(summary.restarts, summary.last_restart, now),
        age(&pod.metadata, now),
        or_none(ip),
        or_none(&pod.spec.node_name),
        or_none(&pod.status.nominated_node_name),
        readiness_gates(pod),
    ]
}

/// The row of a pod template.
pub fn template_row(object: &api::core::v1::PodTemplate) -> Vec<Value> {
    let (names, images) = super::containers(&object.template.spec.containers);
    crate::cells![
        object.metadata.name.as_str(),
        names,
        images,
        super::labels(&object.template.metadata.labels)
    ]
}

fn restarts(count: i32, last: Option<Time>, now: Timestamp) -> String {
    match last {
        Some(_) if count != 0 => format!("{count} ({} ago)", since(last, now)),
        _ => count.to_string(),
    }
}

fn readiness_gates(pod: &Pod) -> String {
    if pod.spec.readiness_gates.is_empty() {
        return super::NONE.to_owned();
    }
    let is_true = |type_: &str| {
        let condition = pod
            .status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_);
        condition.is_some_and(|condition| condition.status == "True")
    };
    let met = pod
        .spec
        .readiness_gates
        .iter()
        .filter(|gate| is_true(&gate.condition_type))
        .count();
    format!("{met}/{}", pod.spec.readiness_gates.len())
}

/// What the status of all containers comes to.
struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i32,
    last_restart: Option<Time>,
}

/// Restarts of some containers, and when the last one was.
#[derive(Clone, Copy, Default)]
struct Restarts {
    count: i32,
    last: Option<Time>,
}

impl Restarts {
    fn add(&mut self, status: &ContainerStatus) {
        self.count += status.restart_count;
        let finished = status
            .last_state
            .terminated
            .as_ref()
            .and_then(|terminated| terminated.finished_at);
        self.last = self.last.max(finished);
    }
}

impl Summary {
    fn of(pod: &Pod) -> Summary {
        let sidecars = pod
            .spec
            .init_containers
            .iter()
            .filter(|container| is_sidecar(container))
            .count();
        let mut summary = Summary {
            reason: base_reason(pod),
            ready: 0,
            total: pod.spec.containers.len() + sidecars,
            restarts: 0,
            last_restart: None,
        };
        let initializing = summary.add_init_containers(pod);
        if !initializing || has_true_condition(pod, "Initialized") {
            summary.add_containers(pod);
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if pod.status.reason == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Returns whether an init container is still at work, and takes its state as the reason.
    fn add_init_containers(&mut self, pod: &Pod) -> bool {
        let (mut all, mut of_sidecars) = (Restarts::default(), Restarts::default());
        let mut initializing = false;
        for (index, status) in pod.status.init_container_statuses.iter().enumerate() {
            all.add(status);
            let sidecar = pod
                .spec
                .init_containers
                .iter()
                .any(|own| own.name == status.name && is_sidecar(own));
            if sidecar {
                of_sidecars.add(status);
            }
            match &status.state.terminated {
                Some(terminated) if terminated.exit_code == 0 => continue,
                _ if sidecar && status.started == Some(true) => {
                    self.ready += usize::from(status.ready);
                    continue;
                }
                _ => {}
            }
            let total = pod.spec.init_containers.len();
            self.reason = init_reason(&status.state).unwrap_or_else(|| format!("Init:{index}/{total}"));
            initializing = true;
            break;
        }
        // Restarts of init containers that are done no longer matter, those of sidecars do.
        let counted = if initializing && !has_true_condition(pod, "Initialized") {
            all
        } else {
            of_sidecars
        };
        (self.restarts, self.last_restart) = (counted.count, counted.last);
        initializing
    }

    fn add_containers(&mut self, pod: &Pod) {
        let mut restarts = Restarts {
            count: self.restarts,
            last: self.last_restart,
        };
        let mut running = false;
        let mut failure = None;
        for status in pod.status.container_statuses.iter().rev() {
            restarts.add(status);
            if let Some(waiting) = status
                .state
                .waiting
                .as_ref()
                .filter(|waiting| !waiting.reason.is_empty())
            {
                self.reason.clone_from(&waiting.reason);
            } else if let Some(terminated) = &status.state.terminated {
                self.reason = terminated_reason(&status.state, "");
                if terminated.exit_code != 0 {
                    failure = Some(self.reason.clone());
                }
            } else if status.ready && status.state.running.is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && has_true_condition(pod, "Ready") {
                self.reason = "Running".to_owned();
            } else if let Some(failure) = failure {
                self.reason = failure;
            } else if running {
                self.reason = "NotReady".to_owned();
            }
        }
        (self.restarts, self.last_restart) = (restarts.count, restarts.last);
    }
}

fn base_reason(pod: &Pod) -> String {
    let gated = pod
        .status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "PodScheduled" && condition.reason == "SchedulingGated");
    match pod.status.reason.as_str() {
        _ if gated => "SchedulingGated".to_owned(),
        "" => pod.status.phase.clone(),
        reason => reason.to_owned(),
    }
}

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn has_true_condition(pod: &Pod, type_: &str) -> bool {
    pod.status
        .conditions
        .iter()
        .any(|condition| condition.type_ == type_ && condition.status == "True")
}

fn init_reason(state: &ContainerState) -> Option<String> {
    if state.terminated.is_some() {
        return Some(terminated_reason(state, "Init:"));
    }
    let waiting = state.waiting.as_ref()?;
    let told = !waiting.reason.is_empty() && waiting.reason != "PodInitializing";
    told.then(|| format!("Init:{}", waiting.reason))
}

fn terminated_reason(state: &ContainerState, prefix: &str) -> String {
    match &state.terminated {
        None => String::new(),
        Some(terminated) if !terminated.reason.is_empty() => format!("{prefix}{}", terminated.reason),
        Some(terminated) if terminated.signal != 0 => format!("{prefix}Signal:{}", terminated.signal),
        Some(terminated) => format!("{prefix}ExitCode:{}", terminated.exit_code),
    }
}

#[cfg(test)]
mod tests;
