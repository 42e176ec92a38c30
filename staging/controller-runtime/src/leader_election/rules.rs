//! Who may take a lease, and what it says then. Pure.

use std::time::Duration;

use api::coordination::v1::LeaseSpec;
use apimachinery::time::MicroTime;
use jiff::Timestamp;

use super::Config;

/// What a lease says about its holder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub holder: String,
    pub duration_seconds: i32,
    pub acquired: Option<MicroTime>,
    pub renewed: Option<MicroTime>,
    pub transitions: i32,
}

/// A record and when, by our own clock, we saw it first: clocks of other machines don't count.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub record: Record,
    pub at: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Another holds the lease.
    Wait,
    /// Write this record.
    Take(Record),
}

impl Record {
    pub fn read(spec: &LeaseSpec) -> Self {
        Record {
            holder: spec.holder_identity.clone().unwrap_or_default(),
            duration_seconds: spec.lease_duration_seconds.unwrap_or_default(),
            acquired: spec.acquire_time,
            renewed: spec.renew_time,
            transitions: spec.lease_transitions.unwrap_or_default(),
        }
    }

    pub fn write(&self, spec: &mut LeaseSpec) {
        spec.holder_identity = Some(self.holder.clone());
        spec.lease_duration_seconds = Some(self.duration_seconds);
        spec.acquire_time = self.acquired;
        spec.renew_time = self.renewed;
        spec.lease_transitions = Some(self.transitions);
    }

    /// The record of a lease that didn't exist.
    pub fn first(config: &Config, now: Timestamp) -> Self {
        let now = Some(MicroTime(now).truncated());
        Record {
            holder: config.identity.clone(),
            duration_seconds: i32::try_from(config.lease_duration.as_secs()).unwrap_or(i32::MAX),
            acquired: now,
            renewed: now,
            transitions: 0,
        }
    }

    /// The record that its holder leaves behind: nobody's, and over in a second.
    pub fn released(&self, now: Timestamp) -> Self {
        let now = Some(MicroTime(now).truncated());
        Record {
            holder: String::new(),
            duration_seconds: 1,
            acquired: now,
            renewed: now,
            transitions: self.transitions,
        }
    }
}

/// How long before we saw it a renewal was made: as the holder's clock says, but not before we `looked` last, and
/// never so long that the holder may still act when we take over, however wrong its clock is.
pub fn seen_late(config: &Config, record: &Record, looked: Duration, now: Timestamp) -> Duration {
    let renewed = record.renewed.map(|renewed| renewed.timestamp());
    let said = renewed.map_or(Duration::ZERO, |renewed| {
        Duration::try_from(now.duration_since(renewed)).unwrap_or_default()
    });
    let holder_acts = config.renew_deadline + config.retry_period;
    said.min(looked)
        .min(config.lease_duration.saturating_sub(holder_acts))
}

/// Whether we may write the lease that was last observed, at the wall clock's `now` and our own clock's `elapsed`.
pub fn decide(config: &Config, observed: Option<&Observed>, now: Timestamp, elapsed: Duration) -> Decision {
    let mut record = Record::first(config, now);
    let Some(observed) = observed else {
        return Decision::Take(record);
    };
    let old = &observed.record;
    if old.holder == config.identity {
        record.acquired = old.acquired;
        record.transitions = old.transitions;
        return Decision::Take(record);
    }
    let valid_until = observed.at + config.lease_duration;
    if !old.holder.is_empty() && elapsed < valid_until {
        return Decision::Wait;
    }
    record.transitions = old.transitions.saturating_add(1);
    Decision::Take(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(holder: &str, seen_for_seconds: u64) -> String {
        let config = Config::new("kube-system", "x", "me");
        let record = Record {
            holder: holder.into(),
            acquired: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            transitions: 4,
            ..Record::default()
        };
        let observed = Observed {
            record,
            at: Duration::from_secs(100),
        };
        let now = Timestamp::from_second(500).expect("valid");
        match decide(
            &config,
            Some(&observed),
            now,
            Duration::from_secs(100 + seen_for_seconds),
        ) {
            Decision::Wait => "wait".into(),
            Decision::Take(record) => {
                let acquired = record.acquired.map(|time| time.timestamp().as_second());
                format!(
                    "{} since {acquired:?}, transition {}",
                    record.holder, record.transitions
                )
            }
        }
    }

    #[test]
    fn renewals_are_dated_within_what_is_safe() {
        let config = Config::new("kube-system", "x", "me");
        let check = |said: f64, looked: f64| {
            let now = Timestamp::from_second(500).expect("valid");
            let renewed = now - jiff::SignedDuration::from_secs_f64(said);
            let record = Record {
                renewed: Some(MicroTime(renewed)),
                ..Record::default()
            };
            seen_late(&config, &record, Duration::from_secs_f64(looked), now).as_secs_f64()
        };
        assert_eq!(check(1.5, 2.0), 1.5);
        assert_eq!(check(60.0, 2.0), 2.0, "a clock that is behind");
        assert_eq!(check(-60.0, 2.0), 0.0, "a clock that is ahead");
        assert_eq!(check(60.0, 60.0), 3.0, "the holder acts for 12 of the 15 seconds");
    }

    #[test]
    fn a_lease_is_renewed_by_its_holder_and_taken_when_it_ran_out_or_is_free() {
        assert_eq!(check("me", 0), "me since Some(0), transition 4");
        assert_eq!(check("other", 14), "wait");
        assert_eq!(check("other", 15), "me since Some(500), transition 5");
        assert_eq!(check("", 0), "me since Some(500), transition 5");
    }
}
