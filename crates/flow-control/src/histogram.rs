//! Histograms that live under the lock of what they measure: counting costs an addition, not an atomic one.

use std::time::Duration;

/// Values by bucket.
#[derive(Clone, Debug)]
pub struct Histogram {
    /// Upper bounds, rising. What is beyond the last is counted as well.
    bounds: &'static [f64],
    counts: Box<[u64]>,
    sum: f64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        Histogram {
            bounds,
            counts: vec![0; bounds.len() + 1].into(),
            sum: 0.0,
        }
    }

    pub fn observe(&mut self, value: f64) {
        self.add(value, 1);
    }

    fn add(&mut self, value: f64, times: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket] += times;
        self.sum += value * times as f64;
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Each bound with the number of values up to it.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut total = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, count)| {
            total += count;
            (*bound, total)
        })
    }
}

/// A quantity as a part of its limit, observed at the end of every nanosecond.
#[derive(Clone, Debug)]
pub struct TimedRatio {
    histogram: Histogram,
    value: f64,
    limit: f64,
    at: Duration,
}

impl TimedRatio {
    pub fn new(bounds: &'static [f64], now: Duration) -> TimedRatio {
        TimedRatio {
            histogram: Histogram::new(bounds),
            value: 0.0,
            limit: 1.0,
            at: now,
        }
    }

    pub fn set(&mut self, now: Duration, value: u32) {
        let value = f64::from(value);
        if value != self.value {
            self.advance(now);
            self.value = value;
        }
    }

    /// `limit` of 0 is taken for 1.
    pub fn set_limit(&mut self, now: Duration, limit: u64) {
        self.advance(now);
        self.limit = limit.max(1) as f64;
    }

    /// The observations up to now.
    pub fn read(&mut self, now: Duration) -> &Histogram {
        self.advance(now);
        &self.histogram
    }

    fn advance(&mut self, now: Duration) {
        let nanos = now.saturating_sub(self.at).as_nanos();
        self.at = self.at.max(now);
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.histogram.add(self.value / self.limit, nanos);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_up_to_their_bound() {
        let mut histogram = Histogram::new(&[0.0, 1.0, 5.0]);
        for value in [0.0, 0.5, 1.0, 5.5] {
            histogram.observe(value);
        }
        assert_eq!(
            histogram.cumulative().collect::<Vec<_>>(),
            [(0.0, 1), (1.0, 3), (5.0, 3)]
        );
        assert_eq!((histogram.count(), histogram.sum()), (4, 7.0));
    }

    #[test]
    fn a_ratio_is_weighted_by_time() {
        let at = Duration::from_nanos;
        let mut ratio = TimedRatio::new(&[0.5, 1.0], at(0));
        ratio.set_limit(at(0), 4);
        ratio.set(at(10), 4);
        ratio.set(at(30), 1);
        let seen = ratio.read(at(100));
        assert_eq!(seen.cumulative().collect::<Vec<_>>(), [(0.5, 80), (1.0, 100)]);
        assert_eq!(seen.sum(), 20.0 + 70.0 * 0.25);
    }
}
