//! Ends containers and sandboxes. Upstream: `killContainer`, `killPodWithSyncResult`.

use super::{plan::KillReason, termination_order};
use crate::{
    events::Events,
    hooks, pod,
    runtime::state::{ContainerState, ContainerStatus, PodState},
};
use api::core::v1::{Container, Pod, Probe};
use cri_api::{Error, Runtime, v1};
use futures_util::future::join_all;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Even who has no time gets this much, so that a process may see its end coming.
const MINIMUM_GRACE_SECONDS: i64 = 2;

/// What is needed to end containers.
#[derive(Clone)]
pub struct Killer {
    pub runtime: Arc<dyn Runtime>,
    pub events: Events,
}

/// The order in which a pod's containers end: each waits for the stages before its own.
struct Turns {
    stages: Vec<Vec<String>>,
    ended: watch::Sender<Vec<String>>,
}

impl Turns {
    fn new(spec: &Pod, running: &[String]) -> Self {
        Self {
            stages: termination_order::stages(spec, running),
            ended: watch::Sender::new(Vec::new()),
        }
    }

    async fn wait(&self, name: &str, limit: Duration) {
        let before: Vec<&String> = self
            .stages
            .iter()
            .take_while(|stage| !stage.iter().any(|other| other == name))
            .flatten()
            .collect();
        let mut ended = self.ended.subscribe();
        let all = ended.wait_for(|ended| before.iter().all(|name| ended.contains(name)));
        // Out of time, the container ends together with those that it should have outlived.
        let _in_time = tokio::time::timeout(limit, all).await.is_ok();
    }

    fn end(&self, name: &str) {
        self.ended.send_modify(|ended| ended.push(name.to_owned()));
    }
}

/// How long a container has from the signal to its end.
pub fn grace_period(
    spec: Option<&Pod>,
    container: Option<&Container>,
    status: &ContainerStatus,
    reason: KillReason,
) -> i64 {
    let annotations = &status.annotations;
    let (deletion, termination) = match spec {
        Some(spec) => (
            spec.metadata.deletion_grace_period_seconds,
            spec.spec.termination_grace_period_seconds,
        ),
        None => (
            annotations.deletion_grace_period,
            annotations.termination_grace_period,
        ),
    };
    let of_probe = |probe: Option<&Probe>| probe.and_then(|probe| probe.termination_grace_period_seconds);
    let probe = match reason {
        KillReason::StartupProbe => of_probe(container.and_then(|c| c.startup_probe.as_deref())),
        KillReason::LivenessProbe => of_probe(container.and_then(|c| c.liveness_probe.as_deref())),
        _ => None,
    };
    deletion
        .or_else(|| termination.map(|own| probe.unwrap_or(own)))
        .unwrap_or(MINIMUM_GRACE_SECONDS)
}

impl Killer {
    /// Ends one container: hook, signal, and after the grace period the last signal. `spec` is nothing when the pod is
    /// known only from the runtime; what is needed then comes from the container's annotations.
    pub async fn container(
        &self,
        spec: Option<&Pod>,
        pod_ip: &str,
        status: &ContainerStatus,
        message: &str,
        reason: KillReason,
        grace_override: Option<i64>,
    ) -> Result<(), Error> {
        self.container_in_turn(spec, pod_ip, status, (message, reason), grace_override, None)
            .await
    }

    async fn container_in_turn(
        &self,
        spec: Option<&Pod>,
        pod_ip: &str,
        status: &ContainerStatus,
        (message, reason): (&str, KillReason),
        grace_override: Option<i64>,
        turns: Option<&Turns>,
    ) -> Result<(), Error> {
        let container = spec.and_then(|spec| pod::find_container(spec, &status.name));
        let grace = grace_period(spec, container.as_ref(), status, reason);
        let message = if message.is_empty() {
            format!("Stopping container {}", status.name)
        } else {
            message.to_owned()
        };
        if let Some(spec) = spec {
            self.events
                .container_normal(spec, &status.name, "Killing", message);
        }
        let mut grace = grace_override.unwrap_or(grace);
        if grace > 0 {
            grace -= self
                .run_pre_stop(spec, container.as_ref(), pod_ip, status, grace)
                .await;
        }
        if let Some(turns) = turns
            && grace > 0
        {
            let begun = Instant::now();
            turns.wait(&status.name, seconds(grace)).await;
            grace -= i64::try_from(begun.elapsed().as_secs()).unwrap_or(0);
        }
        let timeout = grace.max(MINIMUM_GRACE_SECONDS);
        let request = v1::StopContainerRequest {
            container_id: status.id.clone(),
            timeout,
        };
        let result = self.runtime.stop_container(request).await;
        if let Some(turns) = turns {
            turns.end(&status.name);
        }
        match result {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Runs the hook for at most the grace period, and gives the whole seconds that it took.
    async fn run_pre_stop(
        &self,
        spec: Option<&Pod>,
        container: Option<&Container>,
        pod_ip: &str,
        status: &ContainerStatus,
        grace: i64,
    ) -> i64 {
        let from_spec = container.and_then(|container| container.lifecycle.as_ref()?.pre_stop.as_deref());
        let Some(hook) = from_spec.or(status.annotations.pre_stop.as_ref()) else {
            return 0;
        };
        let restored;
        let (spec, container) = match (spec, container) {
            (Some(spec), Some(container)) => (spec, container),
            _ => {
                restored = (
                    Pod::default(),
                    Container {
                        name: status.name.clone(),
                        ..Container::default()
                    },
                );
                (&restored.0, &restored.1)
            }
        };
        let begun = Instant::now();
        let target = hooks::Target {
            pod: spec,
            container,
            container_id: &status.id,
            pod_ip,
        };
        match tokio::time::timeout(seconds(grace), hooks::run(&self.runtime, hook, &target)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = %status.name, pod = %pod::description(spec), error, "PreStop hook failed");
                // Not in the event: the hook's output may hold secrets.
                self.events
                    .container_warning(spec, &status.name, "FailedPreStopHook", "PreStopHook failed");
            }
            Err(_) => {
                tracing::info!(container = %status.name, grace, "PreStop hook not completed in grace period")
            }
        }
        i64::try_from(begun.elapsed().as_secs()).unwrap_or(grace)
    }

    /// Ends every container of the pod at once, sidecars after the others, and then its sandboxes.
    pub async fn pod(
        &self,
        spec: Option<&Pod>,
        state: &PodState,
        grace_override: Option<i64>,
    ) -> Result<(), Error> {
        let running: Vec<&ContainerStatus> = state
            .containers
            .iter()
            .filter(|status| status.state != ContainerState::Exited)
            .collect();
        let names: Vec<String> = running.iter().map(|status| status.name.clone()).collect();
        let turns = spec.filter(|spec| spec.spec.init_containers.iter().any(pod::is_sidecar));
        let turns = turns.map(|spec| Turns::new(spec, &names));
        let pod_ip = state.ips().first().cloned().unwrap_or_default();
        let ends = running.iter().map(|status| {
            let why = ("", KillReason::Unspecified);
            self.container_in_turn(spec, &pod_ip, status, why, grace_override, turns.as_ref())
        });
        let results = join_all(ends).await;
        results.into_iter().collect::<Result<Vec<()>, Error>>()?;
        self.sandboxes(state).await
    }

    async fn sandboxes(&self, state: &PodState) -> Result<(), Error> {
        for sandbox in &state.sandboxes {
            let request = v1::StopPodSandboxRequest {
                pod_sandbox_id: sandbox.id.clone(),
            };
            match self.runtime.stop_pod_sandbox(request).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_comes_from_the_deletion_the_probe_the_pod_or_the_annotations() {
        let mut spec = Pod::default();
        let mut container = Container::default();
        let mut status = ContainerStatus::default();
        let grace = |spec: Option<&Pod>, c: &Container, s: &ContainerStatus, reason| {
            grace_period(spec, Some(c), s, reason)
        };
        assert_eq!(
            grace(Some(&spec), &container, &status, KillReason::Unspecified),
            2
        );
        spec.spec.termination_grace_period_seconds = Some(30);
        container.liveness_probe = Some(Box::new(Probe {
            termination_grace_period_seconds: Some(5),
            ..Probe::default()
        }));
        assert_eq!(
            grace(Some(&spec), &container, &status, KillReason::Unspecified),
            30
        );
        assert_eq!(
            grace(Some(&spec), &container, &status, KillReason::LivenessProbe),
            5
        );
        spec.metadata.deletion_grace_period_seconds = Some(1);
        assert_eq!(
            grace(Some(&spec), &container, &status, KillReason::LivenessProbe),
            1
        );
        status.annotations.termination_grace_period = Some(9);
        assert_eq!(grace(None, &container, &status, KillReason::Unspecified), 9);
    }

    #[tokio::test]
    async fn turns_come_in_stages() {
        let mut spec = Pod::default();
        spec.spec.init_containers = vec![Container {
            name: "s".into(),
            restart_policy: Some("Always".into()),
            ..Container::default()
        }];
        spec.spec.containers = vec![Container {
            name: "a".into(),
            ..Container::default()
        }];
        let turns = Arc::new(Turns::new(&spec, &["a".into(), "s".into()]));
        turns.wait("a", Duration::from_secs(60)).await;
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.wait("s", Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        turns.end("a");
        waiting.await.unwrap();
    }
}
