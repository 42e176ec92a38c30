//! Divides the server's seats between priority levels: nominally by their shares, then, time and again, by demand
//! within what each lends and may borrow. Pure.

use crate::demand::Demand;

/// Targets of no demand at all are divided as if there were so much.
const LEAST_TARGET: f64 = 0.001;
/// Sums of limits are compared with that tolerance.
const TOLERANCE: f64 = 1e-7;
/// A request gets no more than this part of its level's seats.
const WIDEST_REQUEST: f64 = 0.15;

/// What a level's configuration says about seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    pub shares: u32,
    pub lendable_percent: u32,
    /// `None`: no bound.
    pub borrowing_limit_percent: Option<u32>,
}

/// The seats that follow from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub nominal: u32,
    /// What it never lends.
    pub lower: u32,
    /// With all that it may borrow.
    pub upper: u32,
}

impl Limits {
    /// Before there is any demand to go by.
    pub fn initial(&self) -> u32 {
        self.nominal - (self.nominal - self.lower) / 2
    }

    /// What one request may have, where flows share queues by hands of this size.
    pub fn widest_request(&self, hand_size: u32) -> u32 {
        let part = (f64::from(self.nominal) * WIDEST_REQUEST).ceil() as u32;
        part.min(self.nominal / hand_size.max(1)).max(1)
    }
}

/// Limits of all levels, in their order. They are rounded up, so that their sum may be a little more than `seats`.
pub fn limits(seats: u32, levels: &[Shares]) -> Vec<Limits> {
    let sum: u64 = levels.iter().map(|level| u64::from(level.shares)).sum();
    let of = |level: &Shares| {
        let nominal = match sum {
            0 => 0,
            sum => (u64::from(seats) * u64::from(level.shares)).div_ceil(sum) as u32,
        };
        let lendable = percent(nominal, level.lendable_percent).min(nominal);
        let borrowable = level
            .borrowing_limit_percent
            .map_or(seats, |limit| percent(nominal, limit));
        Limits {
            nominal,
            lower: nominal - lendable,
            upper: nominal.saturating_add(borrowable),
        }
    };
    levels.iter().map(of).collect()
}

fn percent(seats: u32, percent: u32) -> u32 {
    (f64::from(seats) * f64::from(percent) / 100.0).round() as u32
}

/// A level when its seats are set anew.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    pub exempt: bool,
    pub limits: Limits,
    pub demand: Demand,
    pub current: u32,
}

/// Its seats until the next time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allotment {
    pub current: u32,
    pub target: f64,
}

/// What all levels get, and the fraction of its target that an unbounded level got.
#[derive(Clone, Debug, PartialEq)]
pub struct Division {
    pub allotments: Vec<Allotment>,
    pub fair_fraction: f64,
}

impl Level {
    /// What it had use for is not lent away, up to its nominal seats.
    fn floor(&self) -> u32 {
        let used = if self.exempt {
            self.demand.highest
        } else {
            self.demand.highest.min(self.limits.nominal)
        };
        used.max(self.limits.lower)
    }

    fn target(&self) -> f64 {
        self.demand.smoothed.max(f64::from(self.floor()))
    }
}

/// Exempt levels take what they had use for; the others divide what is left. With too little left for their floors,
/// each gets as much above its lower limit as there is, in proportion.
pub fn divide(levels: &[Level]) -> Division {
    let total: u64 = levels.iter().map(|level| u64::from(level.limits.nominal)).sum();
    let exempt: u64 = levels
        .iter()
        .filter(|level| level.exempt)
        .map(|level| u64::from(level.floor()))
        .sum();
    let left = total.saturating_sub(exempt) as f64;
    let limited: Vec<&Level> = levels.iter().filter(|level| !level.exempt).collect();
    let lowest: f64 = limited.iter().map(|level| f64::from(level.limits.lower)).sum();
    let floors: f64 = limited.iter().map(|level| f64::from(level.floor())).sum();
    let mut fair_fraction = 0.0;
    let seats: Vec<f64> = if left <= lowest {
        limited
            .iter()
            .map(|level| f64::from(level.limits.lower))
            .collect()
    } else if left <= floors {
        let part = (left - lowest) / (floors - lowest);
        let between = |level: &&Level| {
            let lower = f64::from(level.limits.lower);
            lower + (f64::from(level.floor()) - lower) * part
        };
        limited.iter().map(between).collect()
    } else {
        let bounded: Vec<Bounded> = limited.iter().map(|level| Bounded::of(level)).collect();
        fair_fraction = fraction(left, &bounded);
        bounded.iter().map(|item| item.at(fair_fraction)).collect()
    };
    let mut seats = seats.into_iter();
    let allotments = levels.iter().map(|level| Allotment {
        current: if level.exempt {
            level.floor()
        } else {
            seats.next().unwrap_or_default().round() as u32
        },
        target: level.target(),
    });
    Division {
        allotments: allotments.collect(),
        fair_fraction,
    }
}

/// A share that grows with the fraction of its target, within bounds.
struct Bounded {
    target: f64,
    lower: f64,
    upper: f64,
}

impl Bounded {
    fn of(level: &Level) -> Bounded {
        let lower = f64::from(level.floor());
        Bounded {
            target: level.target().max(LEAST_TARGET),
            lower,
            upper: f64::from(level.limits.upper).max(lower),
        }
    }

    fn at(&self, fraction: f64) -> f64 {
        (fraction * self.target).clamp(self.lower, self.upper)
    }
}

/// The fraction at which all shares sum up to `wanted`. The sum grows with the fraction along straight lines, which
/// bend where a bound of an item begins or ends to hold.
fn fraction(wanted: f64, items: &[Bounded]) -> f64 {
    let sum = |fraction: f64| items.iter().map(|item| item.at(fraction)).sum::<f64>();
    let mut bends: Vec<f64> = items
        .iter()
        .flat_map(|item| [item.lower / item.target, item.upper / item.target])
        .collect();
    bends.sort_by(f64::total_cmp);
    let mut before: Option<(f64, f64)> = None;
    for bend in bends {
        let reached = sum(bend);
        if reached >= wanted - TOLERANCE {
            return match before {
                Some((from, least)) if reached > least => {
                    from + (bend - from) * (wanted - least) / (reached - least)
                }
                _ => bend,
            };
        }
        before = Some((bend, reached));
    }
    // All are at their upper bounds, and something is left over.
    before.map_or(0.0, |(fraction, _)| fraction)
}

#[cfg(test)]
mod tests;
