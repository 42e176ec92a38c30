//! The stages of a server's end, and what is still under way in each.
//!
//! `initiated` (not ready any more, everything is served) -> `not_accepting` (new requests are refused, watches end)
//! -> `drained` (the last request is through). Who drives them decides when; here stands what they mean.
//!
//! Upstream: `k8s.io/apiserver/pkg/server/lifecycle_signals.go`, `pkg/util/waitgroup`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use component_base::shutdown::Shutdown;
use tokio::sync::Notify;

/// Watches that end within a second at least, when their ends are spread over a grace period.
const MIN_WATCHES_PER_SECOND: f64 = 200.0;

/// The signals, and the requests that are under way. Clones share both.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    /// The server was told to end.
    pub initiated: Shutdown,
    /// New requests are refused; watches end.
    pub not_accepting: Shutdown,
    /// All requests are through: what is left, tunnels to kubelets, ends.
    pub drained: Shutdown,
    requests: Arc<Group>,
    watches: Arc<Group>,
    /// Watches that were told to end.
    dismissed: Arc<AtomicUsize>,
    /// The time that watches are given; zero: none, and nobody waits for them.
    watch_grace: Duration,
}

/// Counts what is under way.
#[derive(Debug, Default)]
struct Group {
    members: AtomicUsize,
    empty: Notify,
}

/// Keeps its request or watch counted as under way.
#[derive(Debug)]
pub struct UnderWay(Arc<Group>);

impl UnderWay {
    fn new(group: &Arc<Group>) -> UnderWay {
        group.members.fetch_add(1, Ordering::SeqCst);
        UnderWay(group.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.members.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

impl Group {
    async fn emptied(&self) {
        loop {
            let empty = self.empty.notified();
            if self.members.load(Ordering::SeqCst) == 0 {
                return;
            }
            empty.await;
        }
    }
}

impl Lifecycle {
    /// Watches end spread over this time; zero: all at once.
    pub fn with_watch_grace(watch_grace: Duration) -> Lifecycle {
        Lifecycle {
            watch_grace,
            ..Lifecycle::default()
        }
    }

    /// Counts a short request as under way; `None` when none may begin any more.
    pub fn begin(&self) -> Option<UnderWay> {
        // Counted before the look at the signal: whoever waits for the rest after the signal misses nobody.
        let under_way = UnderWay::new(&self.requests);
        (!self.not_accepting.is_triggered()).then_some(under_way)
    }

    /// How many short requests are under way.
    pub fn requests(&self) -> usize {
        self.requests.members.load(Ordering::SeqCst)
    }

    /// Counts a watch as under way, and says when it is to end.
    pub fn begin_watch(&self) -> (UnderWay, impl Future<Output = ()> + Send + use<>) {
        let lifecycle = self.clone();
        let end = async move {
            lifecycle.not_accepting.wait().await;
            let place = lifecycle.dismissed.fetch_add(1, Ordering::SeqCst);
            if !lifecycle.watch_grace.is_zero() {
                let all = place + lifecycle.watches.members.load(Ordering::SeqCst);
                tokio::time::sleep(turn(place, all, lifecycle.watch_grace)).await;
            }
        };
        (UnderWay::new(&self.watches), end)
    }

    /// Waits for what is under way: short requests, which have a deadline each, and watches for as long as they are
    /// given.
    pub async fn drain(&self) {
        let watches = async {
            if !self.watch_grace.is_zero() {
                // Those that overrun their time are cut off with their connections.
                tokio::time::timeout(self.watch_grace, self.watches.emptied())
                    .await
                    .ok();
            }
        };
        tokio::join!(self.requests.emptied(), watches);
    }
}

/// When the watch at this place of `all` ends, so that clients do not come back all at once.
fn turn(place: usize, all: usize, grace: Duration) -> Duration {
    let rate = (all as f64 / grace.as_secs_f64()).max(MIN_WATCHES_PER_SECOND);
    Duration::from_secs_f64(place as f64 / rate)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_began_before_the_signal_is_waited_for() {
        let lifecycle = Lifecycle::default();
        let request = lifecycle.begin().expect("served");
        lifecycle.not_accepting.trigger();
        assert!(lifecycle.begin().is_none());
        assert!(lifecycle.drain().now_or_never().is_none());
        drop(request);
        assert!(lifecycle.drain().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn watches_end_spread_over_their_grace() {
        let lifecycle = Lifecycle::with_watch_grace(Duration::from_secs(10));
        let (watch, end) = lifecycle.begin_watch();
        lifecycle.not_accepting.trigger();
        let ending = tokio::spawn(async move {
            end.await;
            drop(watch);
        });
        lifecycle.drain().await;
        ending.await.expect("ended");
        let grace = Duration::from_secs(10);
        assert_eq!(turn(100, 500, grace), Duration::from_millis(500));
        assert_eq!(turn(10_000, 20_000, grace), Duration::from_secs(5));
    }
}
