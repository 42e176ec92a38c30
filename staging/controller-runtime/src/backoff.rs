//! Growing, jittered delays between attempts.

use std::time::Duration;

/// Exponential growth up to a limit, as a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exponential {
    pub initial: Duration,
    pub max: Duration,
    pub factor: f64,
}

impl Exponential {
    /// The delay before attempt `failures + 1`, unjittered.
    pub fn delay(&self, failures: u32) -> Duration {
        let growth = self.factor.powi(i32::try_from(failures).unwrap_or(i32::MAX));
        let seconds = self.initial.as_secs_f64() * growth;
        if seconds < self.max.as_secs_f64() {
            Duration::from_secs_f64(seconds)
        } else {
            self.max
        }
    }
}

/// `delay` stretched by up to `factor` of itself; `random` is in [0, 1).
pub fn jitter(delay: Duration, factor: f64, random: f64) -> Duration {
    delay.mul_f64(1.0 + factor * random)
}

/// A small generator for spreading retries over time. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Random(seed | 1)
    }

    /// Seeded by the process's hash keys, which differ each time.
    pub fn from_entropy() -> Self {
        use std::hash::{BuildHasher, Hasher};
        Self::seeded(
            std::collections::hash_map::RandomState::new()
                .build_hasher()
                .finish(),
        )
    }

    /// Uniform in [0, 1).
    pub fn next_unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_even_after_many_failures() {
        let backoff = Exponential {
            initial: Duration::from_millis(5),
            max: Duration::from_secs(1),
            factor: 2.0,
        };
        let delays: Vec<u128> = [0, 1, 2, 8, u32::MAX]
            .map(|n| backoff.delay(n).as_millis())
            .into();
        assert_eq!(delays, [5, 10, 20, 1000, 1000]);
    }

    #[test]
    fn random_units_stay_in_range_and_vary() {
        let mut random = Random::seeded(7);
        let units: Vec<f64> = (0..100).map(|_| random.next_unit()).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert!(units.iter().any(|unit| *unit < 0.3) && units.iter().any(|unit| *unit > 0.7));
    }
}
