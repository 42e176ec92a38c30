//! How a worker is told things. What comes in is merged: a worker that is behind sees only how things are now.

use super::machine::{Effect, Kill, Machine};
use api::core::v1::Pod;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Pending {
    pod: Option<Arc<Pod>>,
    kill: Option<Kill>,
    removed: bool,
    poked: bool,
}

#[derive(Debug, Default)]
pub struct Inbox {
    pending: Mutex<Pending>,
    notify: Notify,
}

impl Inbox {
    fn tell(&self, change: impl FnOnce(&mut Pending)) {
        change(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.notify.notify_one();
    }

    pub fn update(&self, pod: Arc<Pod>) {
        self.tell(|pending| pending.pod = Some(pod));
    }

    pub fn kill(&self, kill: Kill) {
        self.tell(|pending| pending.kill = Some(kill));
    }

    pub fn remove(&self) {
        self.tell(|pending| pending.removed = true);
    }

    /// Something about the pod may have changed.
    pub fn poke(&self) {
        self.tell(|pending| pending.poked = true);
    }

    /// Waits until there is something.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    /// Hands everything over to the machine. Says whether there was anything, and what it means for work under way.
    pub fn deliver(&self, machine: &mut Machine) -> (bool, Effect) {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let any = pending.poked || pending.pod.is_some() || pending.kill.is_some() || pending.removed;
        let effects = [
            pending.pod.map(|pod| machine.update(pod)),
            pending.kill.map(|kill| machine.kill(kill)),
            pending.removed.then(|| machine.remove()),
        ];
        let interrupt = effects
            .into_iter()
            .flatten()
            .any(|effect| effect == Effect::Interrupt);
        (
            any,
            if interrupt {
                Effect::Interrupt
            } else {
                Effect::Continue
            },
        )
    }
}
