//! Below which amounts something is done. Pure.

use super::signal::{Observation, Signal};
use crate::config::Config;
use apimachinery::quantity::{Format, Quantity};
use component_base::options::parse_duration;
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("unsupported eviction signal {0}")]
    Signal(String),
    #[error("eviction threshold {signal} must be positive: {value}")]
    NotPositive { signal: String, value: String },
    #[error("eviction percentage threshold {signal} must be between 0% and 100%: {value}")]
    Percentage { signal: String, value: String },
    #[error("eviction setting {signal}: {value:?}: {reason}")]
    Value {
        signal: String,
        value: String,
        reason: String,
    },
    #[error("grace period must be specified for the soft eviction threshold {0}")]
    NoGrace(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Amount {
    Absolute(Quantity),
    /// Of the capacity: 0.1 is a tenth.
    Share(f32),
}

impl Amount {
    fn parse(signal: &str, text: &str) -> Result<Self, Error> {
        let failed = |reason: String| Error::Value {
            signal: signal.into(),
            value: text.into(),
            reason,
        };
        let Some(percent) = text.strip_suffix('%') else {
            let quantity = Quantity::parse(text).map_err(|error| failed(error.to_string()))?;
            return Ok(Self::Absolute(quantity));
        };
        let percent: f32 = percent.parse().map_err(|_| failed("not a number".into()))?;
        if (0.0..=100.0).contains(&percent) {
            Ok(Self::Share(percent / 100.0))
        } else {
            Err(Error::Percentage {
                signal: signal.into(),
                value: text.into(),
            })
        }
    }

    pub fn of(&self, capacity: u64) -> Quantity {
        match self {
            Self::Absolute(quantity) => quantity.clone(),
            Self::Share(share) => {
                Quantity::from_i64((capacity as f64 * f64::from(*share)) as i64, Format::BinarySi)
            }
        }
    }

    fn value(&self, capacity: u64) -> u64 {
        u64::try_from(self.of(capacity).value()).unwrap_or(0)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    pub signal: Signal,
    pub amount: Amount,
    /// How long it has to be crossed before pods are ended; zero for a hard one.
    pub grace: Duration,
    /// How much more than the amount has to be there again before the threshold is left.
    pub min_reclaim: Option<Amount>,
}

/// Whether what has to be reclaimed beyond the threshold counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    Ignore,
    Enforce,
}

impl Threshold {
    pub fn is_hard(&self) -> bool {
        self.grace.is_zero()
    }

    pub fn is_met(&self, observed: Observation, reclaim: Reclaim) -> bool {
        let more = match (&self.min_reclaim, reclaim) {
            (Some(amount), Reclaim::Enforce) => amount.value(observed.capacity),
            _ => 0,
        };
        self.amount.value(observed.capacity).saturating_add(more) > observed.available
    }
}

/// The thresholds that the configuration sets, hard ones first.
pub fn all(config: &Config) -> Result<Vec<Threshold>, Error> {
    let mut thresholds = statements(&config.eviction_hard)?;
    for mut soft in statements(&config.eviction_soft)? {
        let name = soft.signal.as_str();
        let text = config
            .eviction_soft_grace_period
            .get(name)
            .ok_or_else(|| Error::NoGrace(name.to_owned()))?;
        soft.grace = parse_duration(text).map_err(|reason| Error::Value {
            signal: name.into(),
            value: text.clone(),
            reason,
        })?;
        thresholds.push(soft);
    }
    for (name, text) in &config.eviction_minimum_reclaim {
        let signal = Signal::parse(name).ok_or_else(|| Error::Signal(name.clone()))?;
        let amount = Amount::parse(name, text)?;
        for threshold in thresholds
            .iter_mut()
            .filter(|threshold| threshold.signal == signal)
        {
            threshold.min_reclaim = Some(amount.clone());
        }
    }
    if config.enforce_node_allocatable.iter().any(|what| what == "pods") {
        let memory =
            |threshold: &&Threshold| threshold.signal == Signal::MemoryAvailable && threshold.is_hard();
        let of_pods: Vec<_> = thresholds.iter().filter(memory).cloned().collect();
        thresholds.extend(of_pods.into_iter().map(|threshold| Threshold {
            signal: Signal::AllocatableMemoryAvailable,
            ..threshold
        }));
    }
    Ok(thresholds)
}

fn statements(statements: &BTreeMap<String, String>) -> Result<Vec<Threshold>, Error> {
    let mut thresholds = Vec::new();
    for (name, text) in statements {
        let signal = Signal::parse(name).ok_or_else(|| Error::Signal(name.clone()))?;
        // These two turn a threshold off.
        if text == "0%" || text == "100%" {
            continue;
        }
        let amount = Amount::parse(name, text)?;
        if let Amount::Absolute(quantity) = &amount
            && quantity.sign() <= 0
        {
            return Err(Error::NotPositive {
                signal: name.clone(),
                value: text.clone(),
            });
        }
        thresholds.push(Threshold {
            signal,
            amount,
            grace: Duration::ZERO,
            min_reclaim: None,
        });
    }
    Ok(thresholds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn hard_soft_and_of_all_pods() {
        let config = Config {
            eviction_hard: pairs(&[("memory.available", "100Mi"), ("nodefs.available", "0%")]),
            eviction_soft: pairs(&[("imagefs.available", "20%")]),
            eviction_soft_grace_period: pairs(&[("imagefs.available", "1m30s")]),
            eviction_minimum_reclaim: pairs(&[("imagefs.available", "10%")]),
            ..Config::default()
        };
        let thresholds = all(&config).unwrap();
        let signals: Vec<_> = thresholds.iter().map(|one| one.signal.as_str()).collect();
        assert_eq!(
            signals,
            [
                "memory.available",
                "imagefs.available",
                "allocatableMemory.available"
            ]
        );
        let soft = &thresholds[1];
        assert_eq!((soft.grace, soft.is_hard()), (Duration::from_secs(90), false));
        let observed = |available| Observation {
            available,
            capacity: 1000,
        };
        assert!(soft.is_met(observed(199), Reclaim::Ignore) && !soft.is_met(observed(201), Reclaim::Ignore));
        assert!(
            soft.is_met(observed(299), Reclaim::Enforce) && !soft.is_met(observed(301), Reclaim::Enforce)
        );
    }

    #[test]
    fn mistakes_are_named() {
        let hard = |name, value| {
            let config = Config {
                eviction_hard: pairs(&[(name, value)]),
                ..Config::default()
            };
            all(&config).unwrap_err().to_string()
        };
        assert_eq!(hard("disk.free", "1"), "unsupported eviction signal disk.free");
        assert_eq!(
            hard("memory.available", "-1"),
            "eviction threshold memory.available must be positive: -1"
        );
        assert!(hard("memory.available", "120%").contains("between 0% and 100%"));
        assert!(hard("memory.available", "x").contains("memory.available"));
        let config = Config {
            eviction_soft: pairs(&[("memory.available", "1Gi")]),
            ..Config::default()
        };
        assert!(
            all(&config)
                .unwrap_err()
                .to_string()
                .contains("grace period must be specified")
        );
    }
}
