//! How many seats a level could use, over time: what borrowing goes by.

use std::time::Duration;

/// Of the smoothing, per adjustment period of ten seconds: its half-life is five minutes.
const SMOOTHING: f64 = 0.977;

/// Moments of a value over time, since it was last reset.
#[derive(Clone, Copy, Debug)]
pub struct Integrator {
    value: f64,
    at: Duration,
    seconds: f64,
    sum: f64,
    sum_of_squares: f64,
    highest: f64,
}

/// What an [`Integrator`] saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    pub seconds: f64,
    pub average: f64,
    pub deviation: f64,
    pub highest: f64,
}

impl Integrator {
    pub fn new(now: Duration) -> Integrator {
        Integrator {
            value: 0.0,
            at: now,
            seconds: 0.0,
            sum: 0.0,
            sum_of_squares: 0.0,
            highest: 0.0,
        }
    }

    pub fn set(&mut self, now: Duration, value: f64) {
        self.advance(now);
        self.value = value;
        self.highest = self.highest.max(value);
    }

    /// The moments up to now; those that follow start here.
    pub fn reset(&mut self, now: Duration) -> Observed {
        self.advance(now);
        let average = if self.seconds > 0.0 {
            self.sum / self.seconds
        } else {
            0.0
        };
        let variance = if self.seconds > 0.0 {
            self.sum_of_squares / self.seconds - average * average
        } else {
            0.0
        };
        let observed = Observed {
            seconds: self.seconds,
            average,
            deviation: variance.max(0.0).sqrt(),
            highest: self.highest,
        };
        *self = Integrator {
            value: self.value,
            highest: self.value,
            ..Integrator::new(self.at)
        };
        observed
    }

    fn advance(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.seconds += elapsed;
        self.sum += self.value * elapsed;
        self.sum_of_squares += self.value * self.value * elapsed;
    }
}

/// The demand of past periods.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// In the last period.
    pub average: f64,
    pub deviation: f64,
    pub highest: u32,
    /// Follows a rise at once, a fall slowly.
    pub smoothed: f64,
}

impl Demand {
    pub fn note(&mut self, observed: Observed) {
        self.highest = observed.highest.round() as u32;
        if observed.seconds <= 0.0 {
            return;
        }
        self.average = observed.average;
        self.deviation = observed.deviation;
        let envelope = observed.average + observed.deviation;
        self.smoothed = envelope.max(SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * envelope);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn moments_are_weighted_by_time() {
        let mut integrator = Integrator::new(s(10));
        integrator.set(s(10), 4.0);
        integrator.set(s(13), 8.0);
        let observed = integrator.reset(s(14));
        assert_eq!(observed.average, 5.0);
        assert_eq!(observed.deviation, 3f64.sqrt());
        assert_eq!((observed.seconds, observed.highest), (4.0, 8.0));
        let next = integrator.reset(s(16));
        assert_eq!((next.average, next.deviation, next.highest), (8.0, 0.0, 8.0));
    }

    #[test]
    fn demand_rises_at_once_and_falls_slowly() {
        let period = |average| Observed {
            seconds: 10.0,
            average,
            deviation: 0.0,
            highest: average,
        };
        let mut demand = Demand::default();
        demand.note(period(100.0));
        assert_eq!(demand.smoothed, 100.0);
        for _ in 0..30 {
            demand.note(period(0.0));
        }
        assert!((demand.smoothed - 50.0).abs() < 1.0, "{}", demand.smoothed);
    }
}
