//! Work: seats multiplied by the time for which they are taken.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::time::Duration;

/// Seat-nanoseconds. Wide enough that a meter of it never has to be wound back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeatSeconds(i128);

/// Nanoseconds in the last digit that is shown.
const SHOWN_DIGIT: i128 = 10;
const SHOWN_DIGITS_PER_SECOND: i128 = 100_000_000;

impl SeatSeconds {
    pub const ZERO: SeatSeconds = SeatSeconds(0);

    /// So many seats for so long.
    pub fn of(seats: u32, time: Duration) -> SeatSeconds {
        SeatSeconds(i128::from(seats) * nanos(time))
    }

    /// What each of `parts` gets of so many seats for so long.
    pub fn share(seats: u64, time: Duration, parts: u64) -> SeatSeconds {
        SeatSeconds(i128::from(seats) * nanos(time) / i128::from(parts.max(1)))
    }

    /// For how long so many seats are taken by this work.
    pub fn on(self, seats: u32) -> Duration {
        let nanos = self.0 / i128::from(seats.max(1));
        Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }

    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

impl Add for SeatSeconds {
    type Output = SeatSeconds;
    fn add(self, other: SeatSeconds) -> SeatSeconds {
        SeatSeconds(self.0 + other.0)
    }
}

impl Sub for SeatSeconds {
    type Output = SeatSeconds;
    fn sub(self, other: SeatSeconds) -> SeatSeconds {
        SeatSeconds(self.0 - other.0)
    }
}

impl AddAssign for SeatSeconds {
    fn add_assign(&mut self, other: SeatSeconds) {
        self.0 += other.0;
    }
}

impl SubAssign for SeatSeconds {
    fn sub_assign(&mut self, other: SeatSeconds) {
        self.0 -= other.0;
    }
}

/// Upstream's form: `12.00000003ss`.
impl fmt::Display for SeatSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let digits = self.0.abs() / SHOWN_DIGIT;
        let (seconds, rest) = (digits / SHOWN_DIGITS_PER_SECOND, digits % SHOWN_DIGITS_PER_SECOND);
        write!(f, "{sign}{seconds}.{rest:08}ss")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_shown_and_divided() {
        let work = SeatSeconds::of(4, Duration::from_millis(2500));
        assert_eq!(work.to_string(), "10.00000000ss");
        assert_eq!(work.on(5), Duration::from_secs(2));
        assert_eq!((SeatSeconds::ZERO - work).to_string(), "-10.00000000ss");
        assert_eq!((SeatSeconds::ZERO - work).on(1), Duration::ZERO);
        assert_eq!(
            SeatSeconds::share(600, Duration::from_secs(1), 7).as_f64(),
            85.714285714
        );
    }
}
