//! How wide and how long a request will be: seats while it is served, and seats that its aftermath takes.

use std::time::Duration;

use crate::seat_seconds::SeatSeconds;

/// Bytes of objects in memory that fill a seat.
const BYTES_PER_SEAT: u64 = 100_000;
/// A list is written as it is read, so that no more of it than that is in memory at once.
const STREAMED_BYTES: u64 = 1_000_000;
/// What an object of unknown size is taken for: the most that a store accepts.
const LARGEST_OBJECT_BYTES: u64 = 1_500_000;
const MOST_LIST_SEATS: u32 = 100;
const MOST_MUTATION_SEATS: u32 = 10;
/// Watchers that fill a seat while they are sent an event.
const WATCHERS_PER_SEAT: u64 = 10;
/// How long sending an event to them takes.
const EVENT_TIME: Duration = Duration::from_millis(5);

/// What a request is expected to take. The time for which it has its first seats is not known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkEstimate {
    /// Taken while the request is served.
    pub initial_seats: u32,
    /// Taken after that, for `additional_latency`: the answer does not wait for it.
    pub final_seats: u32,
    pub additional_latency: Duration,
}

impl WorkEstimate {
    /// One seat while it is served.
    pub const SINGLE: WorkEstimate = WorkEstimate::seats(1);

    pub const fn seats(seats: u32) -> WorkEstimate {
        WorkEstimate {
            initial_seats: seats,
            final_seats: 0,
            additional_latency: Duration::ZERO,
        }
    }

    /// What is reserved for it in both phases.
    pub fn max_seats(&self) -> u32 {
        self.initial_seats.max(self.final_seats)
    }

    /// Of the second phase.
    pub fn final_work(&self) -> SeatSeconds {
        SeatSeconds::of(self.final_seats, self.additional_latency)
    }

    /// No wider than `seats` after its answer; as much work as before.
    #[must_use]
    pub fn narrowed_to(self, seats: u32) -> WorkEstimate {
        if self.final_seats <= seats {
            return self;
        }
        WorkEstimate {
            final_seats: seats,
            additional_latency: self.final_work().on(seats),
            ..self
        }
    }
}

/// What is stored of a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub objects: u64,
    /// 0 if unknown.
    pub average_bytes: u64,
}

/// How much of it a list reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    All,
    /// A page, or the whole if that is smaller.
    Page(u64),
    /// The selector names one object.
    One,
}

/// A list, or the initial state of a watch. Both are read from memory here, never from the store.
/// `most`: what the priority level lets one request have; `None` where it sets no bound.
pub fn of_list(stored: Stored, extent: Extent, most: Option<u32>) -> WorkEstimate {
    let objects = match extent {
        Extent::All => stored.objects,
        Extent::Page(limit) => limit.min(stored.objects),
        Extent::One => 1,
    };
    let bytes_each = match stored.average_bytes {
        0 if stored.objects > 0 => LARGEST_OBJECT_BYTES,
        bytes => bytes,
    };
    let bytes = objects.saturating_mul(bytes_each).min(STREAMED_BYTES);
    let seats = u32::try_from(bytes.div_ceil(BYTES_PER_SEAT)).unwrap_or(u32::MAX);
    WorkEstimate::seats(seats.clamp(1, bound(most, MOST_LIST_SEATS)))
}

/// A change whose event so many watchers are sent.
pub fn of_mutation(watchers: u64, most: Option<u32>) -> WorkEstimate {
    if watchers < WATCHERS_PER_SEAT {
        return WorkEstimate::SINGLE;
    }
    let seats = u32::try_from(watchers.div_ceil(WATCHERS_PER_SEAT)).unwrap_or(u32::MAX);
    let wide = WorkEstimate {
        initial_seats: 1,
        final_seats: seats,
        additional_latency: EVENT_TIME,
    };
    // Narrow and long keeps fewer seats empty while the request waits for enough of them.
    wide.narrowed_to(bound(most, MOST_MUTATION_SEATS))
}

fn bound(most: Option<u32>, limit: u32) -> u32 {
    most.map_or(limit, |most| most.min(limit)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_as_wide_as_what_they_hold_in_memory() {
        let pods = Stored {
            objects: 5_000,
            average_bytes: 5_000,
        };
        let check = |extent, most, seats| assert_eq!(of_list(pods, extent, most).initial_seats, seats);
        check(Extent::All, None, 10);
        check(Extent::All, Some(4), 4);
        check(Extent::Page(50), None, 3);
        check(Extent::Page(1_000_000), None, 10);
        check(Extent::One, None, 1);
        assert_eq!(
            of_list(Stored::default(), Extent::All, None),
            WorkEstimate::SINGLE
        );
        let unknown = Stored {
            objects: 3,
            average_bytes: 0,
        };
        assert_eq!(of_list(unknown, Extent::All, None).initial_seats, 10);
    }

    #[test]
    fn changes_pay_for_their_watchers_after_the_answer() {
        assert_eq!(of_mutation(9, None), WorkEstimate::SINGLE);
        let some = of_mutation(25, None);
        assert_eq!((some.initial_seats, some.final_seats), (1, 3));
        assert_eq!(some.additional_latency, EVENT_TIME);
        let many = of_mutation(5_000, None);
        assert_eq!(many.final_seats, 10);
        assert_eq!(many.additional_latency, Duration::from_millis(250));
        assert_eq!(of_mutation(5_000, Some(1)).max_seats(), 1);
    }
}
