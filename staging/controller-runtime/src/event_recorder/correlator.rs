//! What becomes of an event: sent as new, added to the count of an earlier one, combined with similar ones, or
//! held back because its source says too much. Pure.
//!
//! Upstream: client-go/tools/record/events_cache.go

use std::collections::BTreeSet;
use std::time::Duration;

use api::core::v1::Event;
use apimachinery::time::Time;
use jiff::Timestamp;

use crate::generations::Generations;

/// Entries of each of the correlator's caches.
const CACHE_ENTRIES: usize = 4096;
/// So many events that differ only by message, within the interval, are combined.
const AGGREGATE_AT: usize = 10;
const AGGREGATE_INTERVAL: Duration = Duration::from_secs(600);
/// A source may send a burst of events about an object, then one every five minutes.
const SPAM_BURST: f64 = 25.0;
const SPAM_RATE: f64 = 1.0 / 300.0;

/// What to do with an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    Create(Box<Event>),
    /// Raise the count of the event of this name, which exists; create it if it has gone meanwhile.
    Count(Box<Event>),
    Discard,
}

/// Identity of events for one of the purposes below.
type Key = String;

#[derive(Debug)]
pub struct Correlator {
    spam: Generations<Key, Bucket>,
    aggregates: Generations<Key, Aggregate>,
    seen: Generations<Key, Seen>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    last: Timestamp,
}

#[derive(Debug, Default)]
struct Aggregate {
    messages: BTreeSet<String>,
    last: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Seen {
    count: i32,
    name: String,
    first: Option<Time>,
}

impl Default for Correlator {
    fn default() -> Self {
        Correlator {
            spam: Generations::new(CACHE_ENTRIES),
            aggregates: Generations::new(CACHE_ENTRIES),
            seen: Generations::new(CACHE_ENTRIES),
        }
    }
}

impl Correlator {
    pub fn correlate(&mut self, event: Event, now: Timestamp) -> Fate {
        let (event, key) = self.aggregate(event, now);
        let fate = self.count(event, key);
        match &fate {
            Fate::Create(event) | Fate::Count(event) if self.is_spam(event, now) => Fate::Discard,
            _ => fate,
        }
    }

    /// The server no longer knows the event: the next one like it is new.
    pub fn forget(&mut self, event: &Event) {
        self.seen.remove(&event_key(event));
    }

    fn aggregate(&mut self, event: Event, now: Timestamp) -> (Event, Key) {
        let key = aggregate_key(&event);
        let aggregate = self.aggregates.entry(key.clone(), Aggregate::default);
        let recent = aggregate
            .last
            .is_some_and(|last| elapsed(last, now) <= AGGREGATE_INTERVAL.as_secs_f64());
        if !recent {
            aggregate.messages.clear();
        }
        aggregate.messages.insert(event.message.clone());
        aggregate.last = Some(now);
        if aggregate.messages.len() < AGGREGATE_AT {
            let key = event_key(&event);
            return (event, key);
        }
        aggregate.messages.pop_first();
        (combined(event, now), key)
    }

    fn count(&mut self, mut event: Event, key: Key) -> Fate {
        let seen = self.seen.entry(key, Seen::default);
        if seen.count == 0 {
            *seen = Seen {
                count: event.count,
                name: event.metadata.name.clone(),
                first: event.first_timestamp,
            };
            return Fate::Create(Box::new(event));
        }
        seen.count = seen.count.saturating_add(1);
        event.metadata.name = seen.name.clone();
        event.first_timestamp = seen.first;
        event.count = seen.count;
        Fate::Count(Box::new(event))
    }

    fn is_spam(&mut self, event: &Event, now: Timestamp) -> bool {
        let bucket = self.spam.entry(spam_key(event), || Bucket {
            tokens: SPAM_BURST,
            last: now,
        });
        bucket.tokens = (bucket.tokens + elapsed(bucket.last, now) * SPAM_RATE).min(SPAM_BURST);
        bucket.last = now;
        if bucket.tokens < 1.0 {
            return true;
        }
        bucket.tokens -= 1.0;
        false
    }
}

/// The name of a new event: unique enough, and telling which object it is about.
pub fn event_name(object: &str, now: Timestamp) -> String {
    format!("{object}.{:x}", now.as_nanosecond())
}

fn elapsed(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn combined(event: Event, now: Timestamp) -> Event {
    let mut combined = event;
    combined.metadata.name = event_name(&combined.involved_object.name, now);
    combined.message = format!("(combined from similar events): {}", combined.message);
    combined.count = 1;
    combined.first_timestamp = Some(Time(now).truncated());
    combined.last_timestamp = combined.first_timestamp;
    combined
}

/// Unequal lists of parts give unequal keys: the separator occurs in none of them.
fn join(parts: &[&str]) -> Key {
    parts.join("\u{1f}")
}

fn spam_key(event: &Event) -> Key {
    let object = &event.involved_object;
    let source = &event.source;
    join(&[
        &source.component,
        &source.host,
        &object.kind,
        &object.namespace,
        &object.name,
        &object.uid,
        &object.api_version,
        &event.type_,
    ])
}

fn aggregate_key(event: &Event) -> Key {
    join(&[
        &spam_key(event),
        &event.reason,
        &event.reporting_component,
        &event.reporting_instance,
    ])
}

fn event_key(event: &Event) -> Key {
    join(&[
        &spam_key(event),
        &event.involved_object.field_path,
        &event.reason,
        &event.message,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str, at: i64) -> Event {
        let mut event = Event::default();
        event.metadata.name = format!("pod.{at}");
        event.involved_object.name = "pod".into();
        event.reason = "Failed".into();
        event.message = message.into();
        event.count = 1;
        event
    }

    fn check(correlator: &mut Correlator, message: &str, at: i64) -> String {
        let now = Timestamp::from_second(at).expect("valid");
        match correlator.correlate(event(message, at), now) {
            Fate::Create(event) => format!("create {} {:?}", event.metadata.name, event.message),
            Fate::Count(event) => format!("count {} {}", event.metadata.name, event.count),
            Fate::Discard => "discard".into(),
        }
    }

    #[test]
    fn the_same_event_is_counted_until_forgotten() {
        let mut correlator = Correlator::default();
        assert_eq!(check(&mut correlator, "a", 1), "create pod.1 \"a\"");
        assert_eq!(check(&mut correlator, "a", 2), "count pod.1 2");
        assert_eq!(check(&mut correlator, "b", 3), "create pod.3 \"b\"");
        assert_eq!(check(&mut correlator, "a", 4), "count pod.1 3");
        correlator.forget(&event("a", 0));
        assert_eq!(check(&mut correlator, "a", 5), "create pod.5 \"a\"");
    }

    #[test]
    fn the_tenth_similar_message_starts_a_combined_event() {
        let mut correlator = Correlator::default();
        for message in 0..9 {
            assert!(check(&mut correlator, &message.to_string(), 1).starts_with("create"));
        }
        assert_eq!(
            check(&mut correlator, "9", 2),
            "create pod.77359400 \"(combined from similar events): 9\""
        );
        assert_eq!(check(&mut correlator, "10", 3), "count pod.77359400 2");
        // After a quiet interval messages stand alone again.
        assert_eq!(check(&mut correlator, "11", 700), "create pod.700 \"11\"");
    }

    #[test]
    fn a_source_that_says_too_much_is_held_back() {
        let mut correlator = Correlator::default();
        let fates: Vec<String> = (0..27).map(|_| check(&mut correlator, "a", 1)).collect();
        assert!(fates[..25].iter().all(|fate| fate != "discard"));
        assert_eq!(fates[25..], ["discard", "discard"]);
        assert_eq!(check(&mut correlator, "a", 302), "count pod.1 28");
        assert_eq!(check(&mut correlator, "a", 303), "discard");
    }
}
