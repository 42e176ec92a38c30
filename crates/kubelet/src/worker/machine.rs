//! A pod's way through the kubelet as a state machine.

use crate::{pod, status::generate::Failure};
use api::core::v1::Pod;
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Containers are brought up and kept up.
    Sync,
    /// Containers are being ended.
    Terminating,
    /// Nothing runs; what the pod held on the node is being released.
    Terminated,
    /// Nothing is left to do.
    Finished,
}

impl Stage {
    /// As metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Terminating => "terminating",
            Self::Terminated | Self::Finished => "terminated",
        }
    }
}

/// An order to end a pod that doesn't come with the pod's own specification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kill {
    pub grace_seconds: Option<i64>,
    /// The pod has failed.
    pub failed: Option<Failure>,
}

#[derive(Debug)]
pub struct Machine {
    stage: Stage,
    /// Nothing for a pod that is known only from the runtime.
    pod: Option<Arc<Pod>>,
    /// Gone from its source: nobody wants its status any more.
    removed: bool,
    /// Whole seconds, and never zero once set.
    grace: Option<i64>,
    failed: Option<Failure>,
}

/// What an input means for work that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It may go on.
    Continue,
    /// It must be dropped and the next work begun.
    Interrupt,
}

impl Machine {
    pub fn new(pod: Arc<Pod>) -> Self {
        let mut machine = Self {
            stage: Stage::Sync,
            pod: None,
            removed: false,
            grace: None,
            failed: None,
        };
        machine.update(pod);
        machine
    }

    /// For containers whose pod nobody knows: they are ended.
    pub fn orphan(grace_seconds: i64) -> Self {
        Self {
            stage: Stage::Terminating,
            pod: None,
            removed: true,
            grace: Some(grace_seconds.max(1)),
            failed: None,
        }
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn pod(&self) -> Option<&Arc<Pod>> {
        self.pod.as_ref()
    }

    pub fn is_removed(&self) -> bool {
        self.removed
    }

    /// The grace period that containers are ended with. Nothing leaves it to the pod's specification.
    pub fn grace(&self) -> Option<i64> {
        self.grace
    }

    pub fn failed(&self) -> Option<&Failure> {
        self.failed.as_ref()
    }

    /// The pod changed in its source.
    pub fn update(&mut self, pod: Arc<Pod>) -> Effect {
        let ends = pod.metadata.deletion_timestamp.is_some() || pod::is_terminal(&pod.status.phase);
        let deletion_grace = pod
            .metadata
            .deletion_grace_period_seconds
            .filter(|_| pod.metadata.deletion_timestamp.is_some());
        self.pod = Some(pod);
        if ends {
            self.end(deletion_grace)
        } else {
            Effect::Continue
        }
    }

    /// The pod is gone from its source.
    pub fn remove(&mut self) -> Effect {
        self.removed = true;
        self.end(None)
    }

    pub fn kill(&mut self, kill: Kill) -> Effect {
        if self.failed.is_none() {
            self.failed = kill.failed;
        }
        self.end(kill.grace_seconds)
    }

    /// Grace periods only ever get shorter.
    fn end(&mut self, grace: Option<i64>) -> Effect {
        let specified = self
            .pod
            .as_ref()
            .and_then(|pod| pod.spec.termination_grace_period_seconds);
        let before = self.grace;
        let wanted = [before, grace]
            .into_iter()
            .flatten()
            .min()
            .or(specified)
            .unwrap_or(1)
            .max(1);
        self.grace = Some(wanted);
        match self.stage {
            Stage::Sync => {
                self.stage = Stage::Terminating;
                Effect::Interrupt
            }
            Stage::Terminating if before.is_some_and(|before| wanted < before) => Effect::Interrupt,
            _ => Effect::Continue,
        }
    }

    /// A sync pass ended; `complete` says that all has run its course.
    pub fn synced(&mut self, complete: bool) {
        if complete && self.stage == Stage::Sync {
            self.end(None);
        }
    }

    /// Nothing of the pod runs any more.
    pub fn stopped(&mut self) {
        if self.stage == Stage::Terminating {
            self.stage = if self.pod.is_some() {
                Stage::Terminated
            } else {
                Stage::Finished
            };
        }
    }

    /// Everything on the node was released.
    pub fn cleaned(&mut self) {
        if self.stage == Stage::Terminated {
            self.stage = Stage::Finished;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::time::Time;

    fn pod(grace: Option<i64>, deletion: Option<i64>) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.spec.termination_grace_period_seconds = grace;
        pod.metadata.deletion_grace_period_seconds = deletion;
        pod.metadata.deletion_timestamp = deletion.map(|_| Time::default());
        Arc::new(pod)
    }

    #[test]
    fn runs_and_is_deleted() {
        let mut machine = Machine::new(pod(Some(30), None));
        assert_eq!(machine.update(pod(Some(30), None)), Effect::Continue);
        assert_eq!(machine.stage(), Stage::Sync);
        assert_eq!(machine.update(pod(Some(30), Some(20))), Effect::Interrupt);
        assert_eq!((machine.stage(), machine.grace()), (Stage::Terminating, Some(20)));
        assert_eq!(
            machine.update(pod(Some(30), Some(25))),
            Effect::Continue,
            "no more time than before"
        );
        assert_eq!(machine.update(pod(Some(30), Some(0))), Effect::Interrupt);
        assert_eq!(machine.grace(), Some(1));
        machine.synced(true);
        machine.stopped();
        assert_eq!(machine.stage(), Stage::Terminated);
        assert_eq!(machine.remove(), Effect::Continue);
        machine.cleaned();
        assert_eq!(machine.stage(), Stage::Finished);
    }

    #[test]
    fn ends_by_itself() {
        let mut machine = Machine::new(pod(None, None));
        machine.synced(false);
        assert_eq!(machine.stage(), Stage::Sync);
        machine.synced(true);
        assert_eq!((machine.stage(), machine.grace()), (Stage::Terminating, Some(1)));
        let mut ended = Pod::default();
        ended.status.phase = "Succeeded".into();
        assert_eq!(Machine::new(Arc::new(ended)).stage(), Stage::Terminating);
    }

    #[test]
    fn is_failed_once() {
        let mut machine = Machine::new(pod(Some(30), None));
        let kill = |reason: &str| Kill {
            grace_seconds: Some(5),
            failed: Some(Failure::new(reason, "")),
        };
        assert_eq!(machine.kill(kill("Evicted")), Effect::Interrupt);
        assert_eq!(machine.kill(kill("Other")), Effect::Continue);
        assert_eq!(
            machine.failed().map(|failure| failure.reason.as_str()),
            Some("Evicted")
        );
    }

    #[test]
    fn orphans_are_only_ended() {
        let mut machine = Machine::orphan(1);
        assert_eq!((machine.stage(), machine.grace()), (Stage::Terminating, Some(1)));
        machine.stopped();
        assert_eq!(machine.stage(), Stage::Finished);
    }
}
