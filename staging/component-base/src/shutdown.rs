//! One token that says "stop", handed to every task of a daemon.

use std::io;

use tokio::signal::unix::{SignalKind, signal as unix_signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A cloneable stop request. Once triggered it stays triggered.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that this one triggers, but which can be triggered alone.
    pub fn child(&self) -> Self {
        Self {
            token: self.token.child_token(),
        }
    }

    pub fn trigger(&self) {
        self.token.cancel();
    }

    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Completes when the stop was requested.
    pub async fn wait(&self) {
        self.token.cancelled().await;
    }

    /// As [`Shutdown::wait`], owning what it waits on.
    pub fn wait_owned(&self) -> impl Future<Output = ()> + Send + 'static {
        self.token.clone().cancelled_owned()
    }

    /// Runs `future` until it ends or the stop is requested, which gives `None`.
    pub async fn guard<F: Future>(&self, future: F) -> Option<F::Output> {
        self.token.run_until_cancelled(future).await
    }
}

/// A shutdown triggered by SIGTERM or SIGINT; a second signal ends the process at once, as upstream's
/// daemons do, so that a drain that hangs can be cut short.
///
/// Must be called within a tokio runtime.
pub fn signal() -> io::Result<Shutdown> {
    let mut terminate = unix_signal(SignalKind::terminate())?;
    let mut interrupt = unix_signal(SignalKind::interrupt())?;
    let shutdown = Shutdown::new();
    let trigger = shutdown.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        info!(signal, "shutting down");
        trigger.trigger();
        let signal = next().await;
        warn!(signal, "second signal, exiting at once");
        std::process::exit(1);
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_parent_stops_its_children_and_not_the_other_way() {
        let parent = Shutdown::new();
        let child = parent.child();
        child.trigger();
        assert!(child.is_triggered() && !parent.is_triggered());
        let other = parent.child();
        parent.trigger();
        other.wait().await;
        assert_eq!(other.guard(std::future::pending::<()>()).await, None);
    }
}
