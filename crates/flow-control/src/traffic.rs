//! Reads and writes that wait and run, over all levels.

use std::time::Duration;

use crate::histogram::{Histogram, TimedRatio};

const BOUNDS: &[f64] = &[
    0.0, 0.001, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ReadOnly,
    Mutating,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    Executing,
}

/// How many there are of each, and how that was over time.
#[derive(Debug)]
pub struct Traffic {
    /// By stage, then by kind.
    counts: [[(u32, TimedRatio); 2]; 2],
}

impl Traffic {
    pub fn new(now: Duration) -> Traffic {
        let one = || (0, TimedRatio::new(BOUNDS, now));
        let stage = || [one(), one()];
        Traffic {
            counts: [stage(), stage()],
        }
    }

    fn of(&mut self, stage: Stage, kind: Kind) -> &mut (u32, TimedRatio) {
        &mut self.counts[stage as usize][kind as usize]
    }

    pub fn enter(&mut self, now: Duration, stage: Stage, kind: Kind) {
        let (count, ratio) = self.of(stage, kind);
        *count += 1;
        ratio.set(now, *count);
    }

    pub fn leave(&mut self, now: Duration, stage: Stage, kind: Kind) {
        let (count, ratio) = self.of(stage, kind);
        *count = count.saturating_sub(1);
        ratio.set(now, *count);
    }

    pub fn set_limit(&mut self, now: Duration, stage: Stage, limit: u64) {
        for (_, ratio) in &mut self.counts[stage as usize] {
            ratio.set_limit(now, limit);
        }
    }

    pub fn count(&mut self, stage: Stage, kind: Kind) -> u32 {
        self.of(stage, kind).0
    }

    pub fn read(&mut self, now: Duration, stage: Stage, kind: Kind) -> &Histogram {
        self.of(stage, kind).1.read(now)
    }
}
