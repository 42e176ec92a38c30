//! Time as a dependency, so that tests decide what time it is.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::oneshot;

/// A wall clock, a monotonic clock and a way to wait.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock, for stamps that leave the process.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary origin; never goes back. For deadlines and measurements.
    fn monotonic(&self) -> Duration;
    /// Completes once `duration` has passed on the monotonic clock.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct FakeClock {
    state: Mutex<FakeState>,
}

#[derive(Debug)]
struct FakeState {
    start: Timestamp,
    elapsed: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl FakeClock {
    pub fn new(start: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(FakeState {
                start,
                elapsed: Duration::ZERO,
                sleepers: Vec::new(),
            }),
        })
    }

    /// Moves both clocks forward and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.elapsed += by;
        let elapsed = state.elapsed;
        for (_, wake) in state
            .sleepers
            .extract_if(.., |(deadline, _)| *deadline <= elapsed)
        {
            // A sleeper that was dropped no longer listens; that is its way to cancel.
            let _ = wake.send(());
        }
    }

    /// How many sleepers wait: a test advances only once the code under test has gone to sleep.
    pub fn sleepers(&self) -> usize {
        let mut state = self.lock();
        state.sleepers.retain(|(_, wake)| !wake.is_closed());
        state.sleepers.len()
    }

    fn lock(&self) -> MutexGuard<'_, FakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        let state = self.lock();
        state
            .start
            .saturating_add(state.elapsed)
            .unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.lock().elapsed
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let (wake, woken) = oneshot::channel();
        let mut state = self.lock();
        let deadline = state.elapsed + duration;
        state.sleepers.push((deadline, wake));
        drop(state);
        Box::pin(async move {
            if woken.await.is_err() {
                // The clock is gone: nobody can move time any more, so the sleep never ends.
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_in_their_own_time() {
        let clock = FakeClock::new(Timestamp::UNIX_EPOCH);
        let short = tokio::spawn(clock.sleep(Duration::from_secs(1)));
        let long = tokio::spawn(clock.sleep(Duration::from_secs(5)));
        clock.advance(Duration::from_secs(2));
        short.await.unwrap();
        assert!(!long.is_finished());
        assert_eq!(clock.sleepers(), 1);
        clock.advance(Duration::from_secs(3));
        long.await.unwrap();
        assert_eq!(clock.now().as_second(), 5);
        assert_eq!(clock.monotonic(), Duration::from_secs(5));
    }
}
