//! How long crashing containers wait before they start again. Upstream: `flowcontrol.Backoff`.

use std::{collections::HashMap, time::Duration};

/// Doubling delays for many keys. Time is passed in, as an offset from any fixed instant.
#[derive(Debug)]
pub struct BackOff {
    initial: Duration,
    max: Duration,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    updated: Duration,
}

impl BackOff {
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max,
            entries: HashMap::new(),
        }
    }

    /// The delay that applies since `event` (a container's end), if it hasn't passed at `now`.
    pub fn remaining(&self, key: &str, event: Duration, now: Duration) -> Option<Duration> {
        let entry = self.entries.get(key)?;
        if self.expired(event, entry.updated) {
            return None;
        }
        (event + entry.delay)
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }

    /// The delay that applies since it was last extended, if it hasn't passed at `now`.
    pub fn remaining_since_update(&self, key: &str, now: Duration) -> Option<Duration> {
        let updated = self.entries.get(key)?.updated;
        self.remaining(key, updated, now)
    }

    pub fn delay(&self, key: &str) -> Duration {
        self.entries.get(key).map_or(Duration::ZERO, |entry| entry.delay)
    }

    /// Doubles the delay of `key`, or begins anew after it has been well for long enough.
    pub fn next(&mut self, key: &str, now: Duration) {
        let delay = match self.entries.get(key) {
            Some(entry) if !self.expired(now, entry.updated) => (entry.delay * 2).min(self.max),
            _ => self.initial,
        };
        self.entries.insert(key.to_owned(), Entry { delay, updated: now });
    }

    pub fn reset(&mut self, key: &str) {
        self.entries.remove(key);
    }

    /// Forgets keys that have been quiet for twice the longest delay; what bounds the table.
    pub fn collect(&mut self, now: Duration) {
        let horizon = self.max * 2;
        self.entries
            .retain(|_, entry| now.saturating_sub(entry.updated) <= horizon);
    }

    fn expired(&self, event: Duration, updated: Duration) -> bool {
        event.saturating_sub(updated) > self.max * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn doubles_to_the_limit_and_resets_after_ten_quiet_minutes() {
        let mut back_off = BackOff::new(secs(10), secs(300));
        let mut seen = Vec::new();
        let mut now = secs(0);
        for _ in 0..7 {
            back_off.next("c", now);
            seen.push(back_off.delay("c").as_secs());
            now += back_off.delay("c");
        }
        assert_eq!(seen, [10, 20, 40, 80, 160, 300, 300]);
        now += secs(901);
        assert_eq!(back_off.remaining("c", now, now), None, "long past: no waiting");
        back_off.next("c", now);
        assert_eq!(back_off.delay("c"), secs(10));
    }

    #[test]
    fn waits_from_the_container_s_end() {
        let mut back_off = BackOff::new(secs(10), secs(300));
        assert_eq!(
            back_off.remaining("c", secs(100), secs(100)),
            None,
            "the first restart is at once"
        );
        back_off.next("c", secs(100));
        assert_eq!(back_off.remaining("c", secs(102), secs(103)), Some(secs(9)));
        assert_eq!(back_off.remaining("c", secs(102), secs(112)), None);
    }

    #[test]
    fn collects_what_is_quiet() {
        let mut back_off = BackOff::new(secs(10), secs(300));
        back_off.next("c", secs(0));
        back_off.collect(secs(600));
        assert_eq!(back_off.entries.len(), 1);
        back_off.collect(secs(601));
        assert!(back_off.entries.is_empty());
    }
}
