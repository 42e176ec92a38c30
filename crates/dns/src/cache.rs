//! Answers of other servers, for as long as they allow. A machine without a clock.

use std::collections::HashMap;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{LowerName, RData, RecordType};

use crate::message::Sections;

/// Entries at most; a full cache makes room by forgetting the entry that expires first.
const MAX_ENTRIES: usize = 1000;
/// Seconds that an answer is kept at most, whatever it says.
const MAX_TTL: u32 = 30;
/// Seconds that a negative answer without a start of authority is kept.
const NEGATIVE_TTL: u32 = 5;

/// What tells answers apart: signatures are only sent to those who ask for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub name: LowerName,
    pub kind: RecordType,
    pub dnssec: bool,
}

/// Answers by question. Times are durations since any fixed origin.
#[derive(Debug, Default)]
pub struct Cache {
    entries: HashMap<Key, Entry>,
}

#[derive(Debug)]
struct Entry {
    sections: Sections,
    stored: Duration,
    expires: Duration,
}

impl Cache {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The answer, with what is left of each record's time.
    pub fn get(&mut self, key: &Key, now: Duration) -> Option<Sections> {
        let entry = self.entries.get(key)?;
        if now >= entry.expires {
            self.entries.remove(key);
            return None;
        }
        let age = u32::try_from(now.saturating_sub(entry.stored).as_secs()).unwrap_or(u32::MAX);
        let mut sections = entry.sections.clone();
        let Sections {
            answers,
            authorities,
            additionals,
            ..
        } = &mut sections;
        for record in answers.iter_mut().chain(authorities).chain(additionals) {
            record.decrement_ttl(age);
        }
        Some(sections)
    }

    /// Keeps an answer, if it is of a kind that may be kept.
    pub fn insert(&mut self, key: Key, sections: &Sections, now: Duration) {
        let Some(seconds) = lifetime(sections).filter(|seconds| *seconds > 0) else {
            return;
        };
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        let expires = now + Duration::from_secs(seconds.into());
        self.entries.insert(
            key,
            Entry {
                sections: sections.clone(),
                stored: now,
                expires,
            },
        );
    }

    fn make_room(&mut self, now: Duration) {
        self.entries.retain(|_, entry| entry.expires > now);
        if self.entries.len() >= MAX_ENTRIES {
            let first = self
                .entries
                .iter()
                .min_by_key(|(_, entry)| entry.expires)
                .map(|(key, _)| key.clone());
            if let Some(first) = first {
                self.entries.remove(&first);
            }
        }
    }
}

/// Seconds that an answer may be kept; `None` for failures.
fn lifetime(sections: &Sections) -> Option<u32> {
    let shortest = sections.answers.iter().map(|record| record.ttl).min();
    match (sections.code, shortest) {
        (ResponseCode::NoError, Some(ttl)) => Some(ttl.min(MAX_TTL)),
        (ResponseCode::NoError | ResponseCode::NXDomain, _) => {
            // RFC 2308: the lesser of the record's own time and its last field.
            let authority = sections.authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
                _ => None,
            });
            Some(authority.unwrap_or(NEGATIVE_TTL).min(MAX_TTL))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, SOA};
    use hickory_proto::rr::{Name, Record};

    use super::*;

    fn key(name: &str) -> Key {
        let name = LowerName::new(&Name::from_ascii(name).unwrap());
        Key {
            name,
            kind: RecordType::A,
            dnssec: false,
        }
    }

    fn positive(ttl: u32) -> Sections {
        let record = Record::from_rdata(Name::root(), ttl, RData::A(A::new(192, 0, 2, 1)));
        Sections {
            answers: vec![record],
            ..Sections::default()
        }
    }

    const START: Duration = Duration::from_secs(1000);

    fn later(seconds: u64) -> Duration {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn answers_grow_old() {
        let mut cache = Cache::default();
        cache.insert(key("a."), &positive(20), START);
        assert_eq!(cache.get(&key("A."), later(15)).unwrap().answers[0].ttl, 5);
        assert_eq!(cache.get(&key("a."), later(20)), None);
        cache.insert(key("b."), &positive(86_400), START);
        assert!(cache.get(&key("b."), later(29)).is_some());
        assert_eq!(cache.get(&key("b."), later(30)), None, "nothing is kept for long");
        cache.insert(key("c."), &positive(0), START);
        assert!(cache.is_empty(), "what expires at once is not kept");
    }

    #[test]
    fn denials_are_kept_as_long_as_they_say_and_failures_not_at_all() {
        let mut cache = Cache::default();
        let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, 10);
        let mut denial = Sections::failure(ResponseCode::NXDomain);
        denial.authorities = vec![Record::from_rdata(Name::root(), 3600, RData::SOA(soa))];
        cache.insert(key("a."), &denial, START);
        assert!(cache.get(&key("a."), later(9)).is_some());
        assert_eq!(cache.get(&key("a."), later(10)), None);
        cache.insert(key("b."), &Sections::failure(ResponseCode::ServFail), START);
        assert_eq!(cache.get(&key("b."), START), None);
    }

    #[test]
    fn it_stays_small() {
        let mut cache = Cache::default();
        for i in 0..2 * MAX_ENTRIES {
            cache.insert(key(&format!("n{i}.")), &positive(10 + (i % 7) as u32), START);
        }
        assert_eq!(cache.len(), MAX_ENTRIES);
        cache.insert(key("late."), &positive(30), later(20));
        assert_eq!(cache.len(), 1, "expired entries make room first");
    }
}
