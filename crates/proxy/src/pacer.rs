//! When to sync: soon after a change, but not too often; again after a failure; and now and then regardless.
//! A machine without a clock: inputs take `now`, and the next deadline is polled.
//!
//! Upstream: pkg/proxy/runner

use std::time::Duration;

/// Times are durations since any fixed origin.
#[derive(Clone, Debug)]
pub struct Pacer {
    settings: Settings,
    last_run: Option<Duration>,
    requested: bool,
    retry_at: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least time between two runs, so that a burst of changes becomes one sync.
    pub min: Duration,
    /// Pause after a failed run.
    pub retry: Duration,
    /// Most time between two runs.
    pub max: Duration,
}

impl Pacer {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            last_run: None,
            requested: false,
            retry_at: None,
        }
    }

    /// Something changed.
    pub fn request(&mut self) {
        self.requested = true;
    }

    /// When to run next; `None` until the first request.
    pub fn deadline(&self) -> Option<Duration> {
        let last = match self.last_run {
            Some(last) => last,
            None => return self.requested.then_some(Duration::ZERO),
        };
        let change = self.requested.then_some(last + self.settings.min);
        [change, self.retry_at, Some(last + self.settings.max)]
            .into_iter()
            .flatten()
            .min()
    }

    /// A run begins: changes from now on ask for another.
    pub fn started(&mut self, now: Duration) {
        self.last_run = Some(now);
        self.requested = false;
        self.retry_at = None;
    }

    pub fn failed(&mut self, now: Duration) {
        self.retry_at = Some(now + self.settings.retry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pacer() -> Pacer {
        Pacer::new(Settings {
            min: SECOND,
            retry: 30 * SECOND,
            max: 3600 * SECOND,
        })
    }

    #[test]
    fn the_first_change_is_served_at_once_and_a_burst_together() {
        let mut pacer = pacer();
        assert_eq!(pacer.deadline(), None);
        pacer.request();
        assert_eq!(pacer.deadline(), Some(Duration::ZERO));
        pacer.started(10 * SECOND);
        pacer.request();
        pacer.request();
        assert_eq!(pacer.deadline(), Some(11 * SECOND));
        pacer.started(11 * SECOND);
        assert_eq!(
            pacer.deadline(),
            Some(3611 * SECOND),
            "nothing to do but the regular run"
        );
    }

    #[test]
    fn a_failure_is_retried_unless_a_change_comes_first() {
        let mut pacer = pacer();
        pacer.request();
        pacer.started(SECOND);
        pacer.failed(2 * SECOND);
        assert_eq!(pacer.deadline(), Some(32 * SECOND));
        pacer.request();
        assert_eq!(pacer.deadline(), Some(2 * SECOND));
        pacer.started(2 * SECOND);
        assert_eq!(pacer.deadline(), Some(3602 * SECOND));
    }
}
