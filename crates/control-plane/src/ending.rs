//! The server's end, stage by stage.
//!
//! ```text
//! told -> initiated ->  the delay passes   \
//!                   ->  pre-shutdown hooks -> not accepting -> requests and watches are through -> drained
//!                                                 |-> the port closes ...          or only now <-|
//! ```
//!
//! Upstream: `GenericAPIServer.RunWithContext`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use apiserver::lifecycle::Lifecycle;
use apiserver::stack::Refusal;
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use tokio::time::timeout;

/// What an HTTP client has to react to a GOAWAY when all requests are through already.
const LAST_GOODBYE: Duration = Duration::from_secs(2);

/// How the server ends.
pub struct Ending {
    pub lifecycle: Lifecycle,
    /// The server goes on as before for this long, except that it is not ready any more.
    pub delay: Duration,
    pub refusal: Refusal,
    /// Every request is through after that long.
    pub request_timeout: Duration,
    pub clock: Arc<dyn Clock>,
}

impl Ending {
    /// How long connections may go on once the port is closed.
    pub fn drain_timeout(&self) -> Duration {
        match self.refusal {
            Refusal::Unavailable => self.request_timeout,
            Refusal::RetryAfter => LAST_GOODBYE,
        }
    }

    /// Waits until the server is told to end, and takes it through the stages. `close_port` is triggered when no
    /// connection may be accepted any more.
    pub async fn run(self, told: Shutdown, hooks: impl Future<Output = ()>, close_port: Shutdown) {
        told.wait().await;
        enter("ShutdownInitiated");
        self.lifecycle.initiated.trigger();
        let delay = async {
            self.clock.sleep(self.delay).await;
            enter("AfterShutdownDelayDuration");
        };
        let hooks = async {
            hooks.await;
            enter("PreShutdownHooksStopped");
        };
        tokio::join!(delay, hooks);
        enter("NotAcceptingNewRequest");
        self.lifecycle.not_accepting.trigger();
        if self.refusal == Refusal::Unavailable {
            close_port.trigger();
        }
        if timeout(self.request_timeout, self.lifecycle.drain())
            .await
            .is_err()
        {
            tracing::warn!(
                requests = self.lifecycle.requests(),
                "requests did not end in their time"
            );
        }
        enter("InFlightRequestsDrained");
        self.lifecycle.drained.trigger();
        close_port.trigger();
    }
}

/// Upstream's words, which people look for in logs.
fn enter(stage: &'static str) {
    tracing::info!(name = stage, "[graceful-termination] shutdown event");
}

#[cfg(test)]
mod tests {
    use component_base::clock::FakeClock;
    use futures_util::FutureExt;
    use jiff::Timestamp;
    use tokio::sync::oneshot;

    use super::*;

    /// Lets spawned work go on until it waits for something.
    async fn settle() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    async fn check(refusal: Refusal, port_while_draining: &str) {
        let clock = FakeClock::new(Timestamp::UNIX_EPOCH);
        let lifecycle = Lifecycle::default();
        let (told, close_port) = (Shutdown::new(), Shutdown::new());
        let (finish_hooks, hooks) = oneshot::channel::<()>();
        let ending = Ending {
            lifecycle: lifecycle.clone(),
            delay: Duration::from_secs(5),
            refusal,
            request_timeout: Duration::from_secs(60),
            clock: clock.clone(),
        };
        let state = || {
            let stages = [&lifecycle.initiated, &lifecycle.not_accepting, &lifecycle.drained];
            let reached = stages.iter().filter(|stage| stage.is_triggered()).count();
            format!(
                "{reached} {}",
                if close_port.is_triggered() {
                    "closed"
                } else {
                    "open"
                }
            )
        };
        let hooks = hooks.map(drop);
        let run = tokio::spawn(ending.run(told.clone(), hooks, close_port.clone()));
        let request = lifecycle.begin().expect("served");
        settle().await;
        assert_eq!(state(), "0 open");
        told.trigger();
        settle().await;
        assert_eq!(state(), "1 open");
        clock.advance(Duration::from_secs(5));
        settle().await;
        assert_eq!(state(), "1 open", "the hooks still use the server");
        finish_hooks.send(()).expect("waited for");
        settle().await;
        assert_eq!(state(), format!("2 {port_while_draining}"));
        drop(request);
        run.await.expect("ends");
        assert_eq!(state(), "3 closed");
    }

    #[tokio::test]
    async fn the_port_closes_before_the_last_request_is_through() {
        check(Refusal::Unavailable, "closed").await;
    }

    #[tokio::test]
    async fn the_port_stays_open_for_those_who_are_to_be_told() {
        check(Refusal::RetryAfter, "open").await;
    }
}
