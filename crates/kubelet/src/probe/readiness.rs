//! Puts the probes' verdicts into a pod's container statuses. Upstream: `prober.Manager.UpdatePodStatus`.

use super::{Kind, Verdict, Verdicts};
use crate::{pod, status::containers::bare_id};
use api::core::v1::{Container, ContainerStatus, Pod, PodStatus};

/// Sets `started` and `ready` of every container.
pub fn apply(spec: &Pod, status: &mut PodStatus, verdicts: &Verdicts) {
    for current in &mut status.container_statuses {
        if let Some(container) = spec.spec.containers.iter().find(|c| c.name == current.name) {
            apply_one(container, current, verdicts);
        }
    }
    for current in &mut status.init_container_statuses {
        let Some(container) = spec.spec.init_containers.iter().find(|c| c.name == current.name) else {
            continue;
        };
        if pod::is_sidecar(container) {
            apply_one(container, current, verdicts);
        } else {
            current.started = Some(current.state.running.is_some());
            current.ready = current
                .state
                .terminated
                .as_ref()
                .is_some_and(|ended| ended.exit_code == 0);
        }
    }
}

fn apply_one(container: &Container, status: &mut ContainerStatus, verdicts: &Verdicts) {
    let running = status.state.running.is_some();
    let id = bare_id(&status.container_id);
    let passed =
        |kind: Kind| kind.of(container).is_none() || verdicts.get(id, kind) == Some(Verdict::Success);
    let started = running && passed(Kind::Startup);
    status.started = Some(started);
    status.ready = started && passed(Kind::Readiness);
}
