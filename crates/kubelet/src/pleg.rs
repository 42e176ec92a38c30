//! Notices that something changed in the runtime: from its events where it has them, by listing otherwise.
//! Upstream: `pkg/kubelet/pleg`.

use crate::{
    metrics::Metrics,
    runtime::{labels, state::ContainerState},
};
use component_base::{clock::Clock, shutdown::Shutdown};
use cri_api::{Error, EventStream, Runtime, v1};
use futures_util::StreamExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often everything is listed where there are no events, and where there are.
const RELIST: Duration = Duration::from_secs(1);
const RELIST_WITH_EVENTS: Duration = Duration::from_secs(300);
/// How long a relist may be ago before the node is no longer ready.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the runtime holds, roughly: by pod uid, each object's id and state.
type View = BTreeMap<String, BTreeMap<String, (i32, bool)>>;

/// Told of a pod, by uid, in which something changed.
pub type Listener = Box<dyn Fn(&str) + Send + Sync>;

pub struct Pleg {
    runtime: Arc<dyn Runtime>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    listener: Listener,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    view: View,
    last_relist: Option<Duration>,
}

impl Pleg {
    pub fn new(
        runtime: Arc<dyn Runtime>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        listener: Listener,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime,
            clock,
            metrics,
            listener,
            state: Mutex::default(),
        })
    }

    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let mut events = self.subscribe().await;
        while !shutdown.is_triggered() {
            if let Err(error) = self.relist().await {
                tracing::warn!(%error, "cannot list containers");
            }
            let Some(stream) = &mut events else {
                shutdown.guard(self.clock.sleep(RELIST)).await;
                continue;
            };
            tokio::select! {
                () = self.follow(stream) => {
                    tracing::info!("the runtime's events ended");
                    self.clock.sleep(RELIST).await;
                    events = self.subscribe().await;
                }
                () = self.clock.sleep(RELIST_WITH_EVENTS) => {}
                () = shutdown.wait() => {}
            }
        }
    }

    /// The runtime's events, if it has them.
    async fn subscribe(&self) -> Option<EventStream> {
        match self.runtime.container_events().await {
            Ok(events) => Some(events),
            Err(error) => {
                tracing::info!(%error, "no events from the runtime, listing instead");
                None
            }
        }
    }

    /// Passes events on until they end.
    async fn follow(&self, events: &mut EventStream) {
        while let Some(Ok(event)) = events.next().await {
            self.handle(&event);
        }
    }

    fn handle(&self, event: &v1::ContainerEventResponse) {
        let uid = event
            .pod_sandbox_status
            .as_ref()
            .and_then(|status| status.metadata.as_ref())
            .map(|meta| &meta.uid);
        if let Some(uid) = uid {
            (self.listener)(uid);
        }
    }

    /// Lists everything and tells of the pods that are not as they were.
    pub async fn relist(&self) -> Result<(), Error> {
        let begun = self.clock.monotonic();
        let sandboxes = self
            .runtime
            .list_pod_sandbox(v1::ListPodSandboxRequest::default());
        let containers = self.runtime.list_containers(v1::ListContainersRequest::default());
        let (sandboxes, containers) = futures_util::try_join!(sandboxes, containers)?;
        self.count(&sandboxes.items, &containers.containers);
        let view = view(&sandboxes.items, &containers.containers);
        let now = self.clock.monotonic();
        let (changed, interval) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let changed = differences(&state.view, &view);
            let interval = state
                .last_relist
                .map_or(Duration::ZERO, |last| begun.saturating_sub(last));
            state.view = view;
            state.last_relist = Some(now);
            (changed, interval)
        };
        self.metrics.relisted(now.saturating_sub(begun), interval);
        changed.iter().for_each(|uid| (self.listener)(uid));
        Ok(())
    }

    fn count(&self, sandboxes: &[v1::PodSandbox], containers: &[v1::Container]) {
        let ready = i32::from(v1::PodSandboxState::SandboxReady);
        let pods: BTreeSet<_> = sandboxes
            .iter()
            .filter(|sandbox| sandbox.state == ready)
            .filter_map(|sandbox| labels::pod_identity(&sandbox.labels))
            .collect();
        let mut by_state = BTreeMap::<&str, usize>::new();
        for container in containers {
            *by_state
                .entry(ContainerState::from_cri(container.state).as_str())
                .or_default() += 1;
        }
        self.metrics
            .set_running(pods.len(), &by_state.into_iter().collect::<Vec<_>>());
    }

    /// Uids of pods of which something is in the runtime.
    pub fn pods(&self) -> Vec<String> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .view
            .keys()
            .cloned()
            .collect()
    }

    /// Uids of pods of which something runs.
    pub fn running_pods(&self) -> Vec<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = |objects: &BTreeMap<String, (i32, bool)>| objects.values().any(|(_, runs)| *runs);
        state
            .view
            .iter()
            .filter(|(_, objects)| runs(objects))
            .map(|(uid, _)| uid.clone())
            .collect()
    }

    /// Why the runtime's state is not known.
    pub fn problem(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = state.last_relist else {
            return Some("PLEG is not healthy: pleg has yet to be successful".to_owned());
        };
        let ago = self.clock.monotonic().saturating_sub(last);
        let limit = PATIENCE + RELIST_WITH_EVENTS;
        (ago > limit).then(|| {
            format!(
                "PLEG is not healthy: pleg was last seen active {}s ago; threshold is {}s",
                ago.as_secs(),
                limit.as_secs()
            )
        })
    }
}

fn view(sandboxes: &[v1::PodSandbox], containers: &[v1::Container]) -> View {
    let mut view = View::new();
    for sandbox in sandboxes {
        if let Some((uid, ..)) = labels::pod_identity(&sandbox.labels) {
            let runs = sandbox.state == i32::from(v1::PodSandboxState::SandboxReady);
            view.entry(uid)
                .or_default()
                .insert(sandbox.id.clone(), (sandbox.state, runs));
        }
    }
    for container in containers {
        if let Some((uid, ..)) = labels::pod_identity(&container.labels) {
            let runs = container.state == i32::from(v1::ContainerState::ContainerRunning);
            view.entry(uid)
                .or_default()
                .insert(container.id.clone(), (container.state, runs));
        }
    }
    view
}

fn differences(old: &View, new: &View) -> BTreeSet<String> {
    let keys = old.keys().chain(new.keys());
    keys.filter(|uid| old.get(*uid) != new.get(*uid))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_differs() {
        let of = |pods: &[(&str, i32)]| -> View {
            pods.iter()
                .map(|(uid, state)| ((*uid).to_owned(), [("c".to_owned(), (*state, true))].into()))
                .collect()
        };
        let changed = differences(
            &of(&[("a", 1), ("b", 1), ("c", 1)]),
            &of(&[("a", 1), ("b", 2), ("d", 1)]),
        );
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["b", "c", "d"]);
    }
}
