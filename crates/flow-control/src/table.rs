//! The configuration in force: levels, and flows in the order in which they are tried.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::borrowing::{self, Division};
use crate::fair_queue::Policy;
use crate::flow::Flow;
use crate::level::{Core, Level};
use crate::rules::{Configuration, LevelRule};
use crate::schema::Digest;

#[derive(Debug, Default)]
pub struct Table {
    pub levels: BTreeMap<String, Arc<Level>>,
    pub flows: Vec<Arc<Flow>>,
}

impl Table {
    /// Puts a configuration in force, in place of the one before: requests that are there stay where they are.
    pub fn build(now: Duration, before: &Table, configuration: Configuration, server_seats: u32) -> Table {
        let shares: Vec<_> = configuration.levels.iter().map(|level| level.shares).collect();
        let limits = borrowing::limits(server_seats, &shares);
        let levels = configuration
            .levels
            .into_iter()
            .zip(limits)
            .map(|(rule, limits)| {
                let core = match before.levels.get(&rule.name) {
                    Some(level) => level.core.clone(),
                    None => Core::new(now, rule.policy, limits.initial()),
                };
                (rule.name.clone(), Arc::new(Level::new(rule, limits, core)))
            });
        let levels: BTreeMap<_, _> = levels.collect();
        let flows = configuration.schemas.into_iter().filter_map(|schema| {
            let level = levels.get(&schema.level)?.clone();
            let known = before
                .flows
                .iter()
                .find(|flow| flow.schema.name == schema.name && flow.schema.level == schema.level);
            let record = known.map(|flow| flow.record.clone()).unwrap_or_default();
            Some(Flow::new(schema, level, record))
        });
        Table {
            flows: flows.collect(),
            levels,
        }
    }

    /// The first flow that matches; who matches none (which no user does) falls to the last.
    pub fn classify(&self, digest: &Digest<'_>) -> Option<&Arc<Flow>> {
        let matching = self.flows.iter().find(|flow| flow.schema.matches(digest));
        matching.or(self.flows.last())
    }

    /// Divides the seats anew by the demand since the last time.
    pub fn divide(&self, now: Duration, server_seats: u32) -> Division {
        let state = |level: &Arc<Level>| {
            let mut state = level.core.at(now);
            borrowing::Level {
                exempt: level.is_exempt(),
                limits: level.limits,
                demand: state.close_period(now),
                current: state.machine.seats(),
            }
        };
        let states: Vec<_> = self.levels.values().map(state).collect();
        let division = borrowing::divide(&states);
        for (level, allotment) in self.levels.values().zip(&division.allotments) {
            let mut state = level.core.at(now);
            state.configure(now, level.rule.policy, *allotment, server_seats);
        }
        division
    }

    /// Levels that have requests: they outlive their objects.
    pub fn busy(&self, now: Duration) -> Vec<LevelRule> {
        let busy = |level: &&Arc<Level>| !level.core.at(now).machine.is_idle();
        let levels = self.levels.values().filter(busy);
        levels.map(|level| level.rule.clone()).collect()
    }

    /// Requests that may wait, and that may run, in all levels.
    pub fn request_limits(&self) -> (u64, u64) {
        let waiting = self
            .levels
            .values()
            .filter(|level| matches!(level.rule.policy, Policy::Queue { .. }))
            .map(|level| level.waiting_limit())
            .sum();
        let executing = self
            .levels
            .values()
            .map(|level| u64::from(level.limits.nominal))
            .sum();
        (waiting, executing)
    }
}
