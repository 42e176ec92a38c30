//! Drives one pod's machine.

use super::{
    inbox::Inbox,
    machine::{Effect, Kill, Machine, Stage},
    pass::{Memory, Passes},
};
use component_base::shutdown::Shutdown;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long a worker rests after a pass that failed.
const RETRY: Duration = Duration::from_secs(10);
/// Who has nothing to do rests until told something; this only keeps the timer within its range.
const LONGEST_REST: Duration = Duration::from_secs(86_400);

pub(super) struct Task {
    pub uid: String,
    pub machine: Machine,
    pub inbox: Arc<Inbox>,
    pub passes: Arc<Passes>,
    pub stage: watch::Sender<Stage>,
    pub shutdown: Shutdown,
}

impl Task {
    /// Runs until the pod is finished and gone from its source, or the kubelet stops; containers run on then.
    pub async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            self.inbox.deliver(&mut self.machine);
            self.stage.send_replace(self.machine.stage());
            if self.machine.stage() == Stage::Finished && self.machine.is_removed() {
                return;
            }
            let Some(rest) = self.work(&mut memory).await else {
                return;
            };
            if !self.rest(rest).await {
                return;
            }
        }
    }

    /// Does what the stage asks for, and says how long to rest after it. Nothing at shutdown.
    async fn work(&mut self, memory: &mut Memory) -> Option<Duration> {
        let Self {
            uid,
            machine,
            inbox,
            passes,
            shutdown,
            ..
        } = self;
        let (passes, uid) = (passes.clone(), uid.clone());
        let pod = machine.pod().cloned();
        let (grace, failed) = (machine.grace(), machine.failed().cloned());
        match (machine.stage(), pod) {
            (Stage::Sync, Some(pod)) => {
                let pass = passes.sync(&pod, memory);
                let (result, told) = until(pass, inbox, machine, shutdown).await?;
                let Some(result) = result else {
                    return Some(Duration::ZERO);
                };
                if let Some(failed) = result.failed {
                    machine.kill(Kill {
                        grace_seconds: None,
                        failed: Some(failed),
                    });
                }
                machine.synced(result.complete);
                let at_once = told || machine.stage() != Stage::Sync;
                Some(if at_once {
                    Duration::ZERO
                } else {
                    result.again_after
                })
            }
            (Stage::Terminating, pod) => {
                let pass = passes.terminate(&uid, pod.as_ref(), grace, failed.as_ref(), memory);
                match until(pass, inbox, machine, shutdown).await?.0 {
                    None => Some(Duration::ZERO),
                    Some(Ok(())) => {
                        machine.stopped();
                        Some(Duration::ZERO)
                    }
                    Some(Err(error)) => {
                        tracing::warn!(uid, error, "cannot terminate pod, trying again");
                        Some(RETRY)
                    }
                }
            }
            (Stage::Terminated, Some(pod)) => match passes.clean_up(&pod, memory).await {
                Ok(()) => {
                    machine.cleaned();
                    self.stage.send_replace(self.machine.stage());
                    self.passes.finished(&pod);
                    Some(Duration::ZERO)
                }
                Err(error) => {
                    tracing::warn!(uid, error, "cannot clean up after pod, trying again");
                    Some(RETRY)
                }
            },
            (_, pod) => {
                if let Some(pod) = pod {
                    self.passes.finished(&pod);
                }
                Some(Duration::MAX)
            }
        }
    }

    /// Rests until the time is over or something comes in. Returns whether to go on.
    async fn rest(&mut self, rest: Duration) -> bool {
        if rest.is_zero() {
            return true;
        }
        tokio::select! {
            () = self.inbox.wait() => true,
            () = tokio::time::sleep(rest.min(LONGEST_REST)) => true,
            () = self.shutdown.wait() => false,
        }
    }
}

/// Runs a pass until it ends, or until something comes in that makes it pointless: then there is no result. Also says
/// whether something came in that the pass may not have seen. Nothing at shutdown; what was begun is taken up by the
/// next kubelet.
async fn until<T>(
    pass: impl Future<Output = T>,
    inbox: &Inbox,
    machine: &mut Machine,
    shutdown: &Shutdown,
) -> Option<(Option<T>, bool)> {
    tokio::pin!(pass);
    let mut told = false;
    loop {
        tokio::select! {
            result = &mut pass => return Some((Some(result), told)),
            () = shutdown.wait() => return None,
            () = inbox.wait() => {
                let (any, effect) = inbox.deliver(machine);
                if effect == Effect::Interrupt {
                    return Some((None, true));
                }
                told |= any;
            }
        }
    }
}
