//! How long a job waits before it replaces failed pods: longer with every failure since the last success. Pure.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use apimachinery::time::Time;

use super::pods::{all_failures, ended_at};

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(10 * 60);

/// Failures since the last success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    last: Option<Time>,
}

impl Backoff {
    /// With pods that have ended since.
    #[must_use]
    pub fn with(self, succeeded: &[&Arc<Pod>], failed: &[&Arc<Pod>]) -> Backoff {
        let last_success = succeeded.iter().filter_map(|pod| ended_at(pod)).max();
        let before = if succeeded.is_empty() {
            self
        } else {
            Backoff::default()
        };
        let after = failed
            .iter()
            .filter_map(|pod| ended_at(pod))
            .filter(|failure| last_success.is_none_or(|success| *failure > success));
        after.fold(before, |backoff, failure| Backoff {
            failures: backoff.failures + 1,
            last: backoff.last.max(Some(failure)),
        })
    }

    /// How long to wait still.
    pub fn remaining(&self, now: Time) -> Duration {
        self.last
            .map_or(Duration::ZERO, |last| remaining(self.failures, last, now))
    }
}

/// The same within an index, after its last failed pod.
pub fn remaining_of_index(last: &Pod, now: Time) -> Duration {
    let failures = u32::try_from(all_failures(last)).unwrap_or(0) + 1;
    ended_at(last).map_or(Duration::ZERO, |ended| remaining(failures, ended, now))
}

fn remaining(failures: u32, last: Time, now: Time) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let wait = FIRST
        .saturating_mul(2u32.saturating_pow(failures - 1))
        .min(LONGEST);
    let elapsed = now.timestamp().duration_since(last.timestamp());
    // A failure that is still to come by our clock has just been.
    wait.saturating_sub(Duration::try_from(elapsed).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(second: i64) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.creation_timestamp = Time::from_unix(second, 0);
        Arc::new(pod)
    }

    #[test]
    fn waits_double_until_a_success() {
        let at = |second| Time::from_unix(second, 0).expect("a time");
        let (a, b, c) = (ended(100), ended(105), ended(110));
        let one = Backoff::default().with(&[], &[&a]);
        assert_eq!(one.remaining(at(103)), Duration::from_secs(7));
        assert_eq!(one.remaining(at(200)), Duration::ZERO);
        let three = one.with(&[], &[&c, &b]);
        assert_eq!(three.remaining(at(110)), Duration::from_secs(40));
        // Only the failure after the success counts.
        let after = three.with(&[&b], &[&a, &c]);
        assert_eq!(after.remaining(at(110)), Duration::from_secs(10));
        assert_eq!(three.with(&[&c], &[]), Backoff::default());
        let many = Backoff {
            failures: 40,
            last: Some(at(100)),
        };
        assert_eq!(many.remaining(at(100)), LONGEST);
    }
}
