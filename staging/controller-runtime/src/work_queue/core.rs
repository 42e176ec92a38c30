//! The state of a work queue. Pure: every call bears the time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::backoff::Exponential;

/// Retries of all items together: ten a second after a burst of a hundred, as upstream's default.
const RETRY_RATE: f64 = 10.0;
const RETRY_BURST: f64 = 100.0;

#[derive(Debug)]
pub struct Core<T> {
    /// Items ready to be taken, in order.
    ready: VecDeque<T>,
    /// Items that need work, with the time since when: those ready, and those to be queued again when done.
    dirty: HashMap<T, Instant>,
    /// Items being worked on, with the time since when.
    processing: HashMap<T, Instant>,
    delayed: Delayed<T>,
    failures: HashMap<T, u32>,
    backoff: Exponential,
    bucket: RetryBucket,
    shut_down: bool,
}

impl<T: Clone + Eq + Hash> Core<T> {
    pub fn new(backoff: Exponential, now: Instant) -> Self {
        Core {
            ready: VecDeque::new(),
            dirty: HashMap::new(),
            processing: HashMap::new(),
            delayed: Delayed::default(),
            failures: HashMap::new(),
            backoff,
            bucket: RetryBucket {
                tokens: RETRY_BURST,
                last: now,
            },
            shut_down: false,
        }
    }

    /// Whether the item is new to the queue.
    pub fn add(&mut self, item: T, now: Instant) -> bool {
        if self.shut_down || self.dirty.contains_key(&item) {
            return false;
        }
        self.dirty.insert(item.clone(), now);
        if !self.processing.contains_key(&item) {
            self.ready.push_back(item);
        }
        true
    }

    pub fn add_at(&mut self, item: T, at: Instant) {
        if !self.shut_down {
            self.delayed.insert(item, at);
        }
    }

    /// Moves items whose time has come; gives how many were new.
    pub fn promote(&mut self, now: Instant) -> usize {
        let mut promoted = 0;
        while let Some(item) = self.delayed.pop(now) {
            promoted += usize::from(self.add(item, now));
        }
        promoted
    }

    /// The next item and how long it waited.
    pub fn take(&mut self, now: Instant) -> Option<(T, Duration)> {
        let item = self.ready.pop_front()?;
        let since = self.dirty.remove(&item).unwrap_or(now);
        self.processing.insert(item.clone(), now);
        Some((item, now.saturating_duration_since(since)))
    }

    /// How long the work took, and whether the item is queued again because it was added meanwhile.
    pub fn done(&mut self, item: &T, now: Instant) -> (Duration, bool) {
        let since = self.processing.remove(item).unwrap_or(now);
        let again = self.dirty.contains_key(item);
        if again {
            self.ready.push_back(item.clone());
        }
        (now.saturating_duration_since(since), again)
    }

    /// Counts a failure and gives the delay: the longer of the item's own and the one all retries share.
    pub fn failed(&mut self, item: &T, now: Instant) -> Duration {
        let failures = self.failures.entry(item.clone()).or_default();
        let own = self.backoff.delay(*failures);
        *failures = failures.saturating_add(1);
        own.max(self.bucket.reserve(now))
    }

    pub fn forget(&mut self, item: &T) {
        self.failures.remove(item);
    }

    pub fn failures(&self, item: &T) -> u32 {
        self.failures.get(item).copied().unwrap_or_default()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.delayed.next()
    }

    pub fn len(&self) -> usize {
        self.ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub fn shut_down(&mut self) {
        self.shut_down = true;
        self.delayed = Delayed::default();
    }

    pub fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// How long all items in work have taken so far, and the longest one.
    pub fn unfinished(&self, now: Instant) -> (Duration, Duration) {
        let taken = self
            .processing
            .values()
            .map(|since| now.saturating_duration_since(*since));
        taken.fold((Duration::ZERO, Duration::ZERO), |(sum, longest), took| {
            (sum + took, longest.max(took))
        })
    }
}

/// Items by the time at which they become ready; each once, at its earliest time.
#[derive(Debug)]
struct Delayed<T> {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    items: HashMap<u64, T>,
    times: HashMap<T, (Instant, u64)>,
    sequence: u64,
}

impl<T> Default for Delayed<T> {
    fn default() -> Self {
        Delayed {
            heap: BinaryHeap::new(),
            items: HashMap::new(),
            times: HashMap::new(),
            sequence: 0,
        }
    }
}

impl<T: Clone + Eq + Hash> Delayed<T> {
    fn insert(&mut self, item: T, at: Instant) {
        if let Some((earlier, ticket)) = self.times.get(&item) {
            if *earlier <= at {
                return;
            }
            self.items.remove(ticket);
        }
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence)));
        self.items.insert(self.sequence, item.clone());
        self.times.insert(item, (at, self.sequence));
        self.drop_stale();
    }

    /// An item moved to an earlier time leaves a ticket behind; those must not pile up.
    fn drop_stale(&mut self) {
        if self.heap.len() > 2 * self.items.len() + 16 {
            let live: HashSet<u64> = self.items.keys().copied().collect();
            self.heap.retain(|Reverse((_, ticket))| live.contains(ticket));
        }
    }

    fn pop(&mut self, now: Instant) -> Option<T> {
        while let Some(Reverse((at, ticket))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if let Some(item) = self.items.remove(&ticket) {
                self.times.remove(&item);
                return Some(item);
            }
        }
        None
    }

    fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }
}

/// What all retries of a queue share.
#[derive(Debug)]
struct RetryBucket {
    tokens: f64,
    last: Instant,
}

impl RetryBucket {
    fn reserve(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.tokens = (self.tokens + elapsed * RETRY_RATE).min(RETRY_BURST) - 1.0;
        if self.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-self.tokens / RETRY_RATE)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work_queue::DEFAULT_BACKOFF;

    #[test]
    fn an_item_waits_once_and_is_worked_on_once_at_a_time() {
        let now = Instant::now();
        let mut core = Core::new(DEFAULT_BACKOFF, now);
        assert!(core.add("a", now));
        assert!(!core.add("a", now));
        assert_eq!(core.take(now), Some(("a", Duration::ZERO)));
        // Added while in work: not handed out until done.
        assert!(core.add("a", now));
        assert_eq!(core.take(now), None);
        assert_eq!(
            core.done(&"a", now + Duration::from_secs(3)),
            (Duration::from_secs(3), true)
        );
        assert_eq!(
            core.take(now + Duration::from_secs(4)),
            Some(("a", Duration::from_secs(4)))
        );
    }

    #[test]
    fn a_delayed_item_keeps_its_earliest_time() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut core = Core::new(DEFAULT_BACKOFF, now);
        core.add_at("a", at(5));
        core.add_at("a", at(2));
        core.add_at("a", at(9));
        assert_eq!(core.promote(at(1)), 0);
        assert_eq!(core.promote(at(2)), 1);
        assert_eq!(core.promote(at(20)), 0, "the later times are forgotten");
    }

    #[test]
    fn moving_items_forward_leaves_no_garbage() {
        let now = Instant::now();
        let mut delayed = Delayed::default();
        for step in (1..10_000).rev() {
            delayed.insert("a", now + Duration::from_secs(step));
        }
        assert!(delayed.heap.len() < 64);
        assert_eq!(delayed.pop(now + Duration::from_secs(1)), Some("a"));
    }

    #[test]
    fn retries_of_all_items_share_a_rate() {
        let now = Instant::now();
        let mut core = Core::new(DEFAULT_BACKOFF, now);
        let delays: Vec<u128> = (0..120).map(|item| core.failed(&item, now).as_millis()).collect();
        assert_eq!(delays[0], 5);
        assert_eq!(delays[99], 5);
        assert_eq!(delays[100], 100);
        assert_eq!(delays[119], 2000);
    }
}
