//! Which thresholds are crossed, since when, and what follows. Pure.

use super::{
    pressure::Condition,
    signal::{Observations, Resource},
    threshold::{Reclaim, Threshold},
};
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug)]
pub struct Machine {
    thresholds: Vec<Threshold>,
    /// How long a condition outlasts what caused it.
    transition_period: Duration,
    /// When a threshold that is crossed was first seen to be, by index.
    first_seen: BTreeMap<usize, Duration>,
    /// Those for which something had to be done the last time.
    acted_on: Vec<usize>,
    last_seen: BTreeMap<Condition, Duration>,
}

/// What one look at the node means.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    pub conditions: Vec<Condition>,
    /// Crossed for long enough that something has to be done, what to reclaim first coming first.
    pub starved: Vec<Threshold>,
}

impl Machine {
    pub fn new(thresholds: Vec<Threshold>, transition_period: Duration) -> Self {
        Self {
            thresholds,
            transition_period,
            first_seen: BTreeMap::new(),
            acted_on: Vec::new(),
            last_seen: BTreeMap::new(),
        }
    }

    pub fn observe(&mut self, observations: &Observations, now: Duration) -> Verdict {
        let crossed = self.crossed(observations);
        self.first_seen.retain(|index, _| crossed.contains(index));
        for index in crossed {
            self.first_seen.entry(index).or_insert(now);
            self.last_seen
                .insert(self.thresholds[index].signal.condition(), now);
        }
        self.last_seen
            .retain(|_, seen| now.saturating_sub(*seen) < self.transition_period);
        let long_enough = |(index, since): (&usize, &Duration)| {
            (now.saturating_sub(*since) >= self.thresholds[*index].grace).then_some(*index)
        };
        self.acted_on = self.first_seen.iter().filter_map(long_enough).collect();
        let mut starved: Vec<_> = self
            .acted_on
            .iter()
            .map(|index| self.thresholds[*index].clone())
            .collect();
        starved.sort_by_key(|threshold| threshold.signal.resource() != Resource::Memory);
        Verdict {
            conditions: self.last_seen.keys().copied().collect(),
            starved,
        }
    }

    /// A threshold that was acted on counts as crossed until enough is reclaimed.
    fn crossed(&self, observations: &Observations) -> Vec<usize> {
        let is_crossed = |(index, threshold): (usize, &Threshold)| {
            let observed = *observations.get(&threshold.signal)?;
            let reclaim = if self.acted_on.contains(&index) {
                Reclaim::Enforce
            } else {
                Reclaim::Ignore
            };
            threshold.is_met(observed, reclaim).then_some(index)
        };
        self.thresholds
            .iter()
            .enumerate()
            .filter_map(is_crossed)
            .collect()
    }

    /// Whether nothing is short any more, what has to be reclaimed included.
    pub fn is_relieved(&self, observations: &Observations) -> bool {
        !self.thresholds.iter().any(|threshold| {
            observations
                .get(&threshold.signal)
                .is_some_and(|observed| threshold.is_met(*observed, Reclaim::Enforce))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        eviction::{signal::Observation, signal::Signal, threshold},
    };
    use expect_test::{Expect, expect};

    /// At each second so much memory and disk is left, of a hundred.
    fn check(looks: &[(u64, u64, u64)], expected: Expect) {
        let pair = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let config = Config {
            eviction_hard: pair("memory.available", "10"),
            eviction_soft: pair("nodefs.available", "20"),
            eviction_soft_grace_period: pair("nodefs.available", "30s"),
            eviction_minimum_reclaim: pair("memory.available", "5"),
            enforce_node_allocatable: vec![],
            ..Config::default()
        };
        let mut machine = Machine::new(threshold::all(&config).unwrap(), Duration::from_secs(60));
        let mut told = String::new();
        for (second, memory, disk) in looks {
            let left = |available| Observation {
                available,
                capacity: 100,
            };
            let observations = [
                (Signal::MemoryAvailable, left(*memory)),
                (Signal::NodefsAvailable, left(*disk)),
            ];
            let verdict = machine.observe(&observations.into(), Duration::from_secs(*second));
            let conditions: Vec<_> = verdict.conditions.iter().map(|one| one.as_str()).collect();
            let starved: Vec<_> = verdict.starved.iter().map(|one| one.signal.as_str()).collect();
            told += &format!("{second}: {conditions:?} {starved:?}\n");
        }
        expected.assert_eq(&told);
    }

    #[test]
    fn a_hard_threshold_acts_at_once_until_enough_is_reclaimed() {
        check(
            &[
                (0, 50, 50),
                (10, 9, 50),
                (20, 12, 50),
                (30, 16, 50),
                (40, 12, 50),
                (95, 50, 50),
            ],
            expect![[r#"
                0: [] []
                10: ["MemoryPressure"] ["memory.available"]
                20: ["MemoryPressure"] ["memory.available"]
                30: ["MemoryPressure"] []
                40: ["MemoryPressure"] []
                95: [] []
            "#]],
        );
    }

    #[test]
    fn a_soft_threshold_waits_for_its_grace_period() {
        check(
            &[
                (0, 50, 19),
                (20, 50, 21),
                (30, 50, 19),
                (59, 50, 19),
                (60, 50, 19),
                (61, 9, 19),
            ],
            expect![[r#"
                0: ["DiskPressure"] []
                20: ["DiskPressure"] []
                30: ["DiskPressure"] []
                59: ["DiskPressure"] []
                60: ["DiskPressure"] ["nodefs.available"]
                61: ["MemoryPressure", "DiskPressure"] ["memory.available", "nodefs.available"]
            "#]],
        );
    }
}
