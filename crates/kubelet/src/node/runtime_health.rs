//! Whether the runtime answers and has a network for pods. Upstream: `kubelet/runtime.go`.

use component_base::{clock::Clock, shutdown::Shutdown};
use cri_api::{Runtime, v1};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How often the runtime is asked.
const PERIOD: Duration = Duration::from_secs(5);
/// How long it may be silent before the node is no longer ready.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    last_good: Option<Duration>,
    runtime_problem: Option<String>,
    network_problem: Option<String>,
}

/// What was last heard of the runtime.
#[derive(Debug)]
pub struct RuntimeHealth {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl RuntimeHealth {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let network_problem = Some("container runtime status check may not have completed yet".to_owned());
        Arc::new(Self {
            clock,
            state: Mutex::new(State {
                network_problem,
                ..State::default()
            }),
        })
    }

    /// Asks the runtime.
    pub async fn check(&self, runtime: &dyn Runtime) {
        let result = runtime.status(v1::StatusRequest { verbose: false }).await;
        let now = self.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(response) => {
                let conditions = response
                    .status
                    .map(|status| status.conditions)
                    .unwrap_or_default();
                state.network_problem = problem(&conditions, "NetworkReady");
                state.runtime_problem = problem(&conditions, "RuntimeReady");
                if state.runtime_problem.is_none() {
                    state.last_good = Some(now);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "container runtime status check failed");
                state.runtime_problem = Some(error.to_string());
            }
        }
    }

    pub async fn run(self: Arc<Self>, runtime: Arc<dyn Runtime>, shutdown: Shutdown) {
        while !shutdown.is_triggered() {
            self.check(&*runtime).await;
            shutdown.guard(self.clock.sleep(PERIOD)).await;
        }
    }

    pub fn network_problem(&self) -> Option<String> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .network_problem
            .clone()
    }

    /// Why the runtime can't be relied on.
    pub fn runtime_problem(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = state
            .last_good
            .is_none_or(|good| self.clock.monotonic().saturating_sub(good) > PATIENCE);
        match (&state.runtime_problem, silent) {
            (Some(problem), true) => Some(format!("container runtime is down: {problem}")),
            (None, true) => Some("container runtime status check may not have completed yet".to_owned()),
            _ => None,
        }
    }
}

fn problem(conditions: &[v1::RuntimeCondition], kind: &str) -> Option<String> {
    let condition = conditions.iter().find(|condition| condition.r#type == kind)?;
    let text = || {
        format!(
            "container runtime network not ready: {kind}={} reason:{} message:{}",
            condition.status, condition.reason, condition.message
        )
    };
    (!condition.status).then(text)
}
