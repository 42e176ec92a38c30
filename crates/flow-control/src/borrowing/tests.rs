use proptest::prelude::*;

use super::*;

const fn shares(shares: u32, lendable_percent: u32, borrowing_limit_percent: Option<u32>) -> Shares {
    Shares {
        shares,
        lendable_percent,
        borrowing_limit_percent,
    }
}

/// The levels of a fresh cluster: catch-all, exempt, global-default, leader-election, node-high, system,
/// workload-high, workload-low.
const FRESH: [Shares; 8] = [
    shares(5, 0, None),
    shares(0, 0, None),
    shares(20, 50, None),
    shares(10, 0, None),
    shares(40, 25, None),
    shares(30, 33, None),
    shares(40, 50, None),
    shares(100, 90, None),
];

fn level(limits: Limits, smoothed: f64, highest: u32) -> Level {
    Level {
        exempt: false,
        limits,
        demand: Demand {
            smoothed,
            highest,
            ..Demand::default()
        },
        current: limits.initial(),
    }
}

fn seats(levels: &[Level]) -> Vec<u32> {
    divide(levels)
        .allotments
        .iter()
        .map(|level| level.current)
        .collect()
}

#[test]
fn a_fresh_cluster_has_upstreams_limits() {
    let limits = limits(600, &FRESH);
    let shown: Vec<_> = limits
        .iter()
        .map(|limits| (limits.nominal, limits.lower, limits.upper))
        .collect();
    assert_eq!(
        shown,
        [
            (13, 13, 613),
            (0, 0, 600),
            (49, 24, 649),
            (25, 25, 625),
            (98, 73, 698),
            (74, 50, 674),
            (98, 49, 698),
            (245, 24, 845),
        ]
    );
    assert_eq!(limits[7].widest_request(6), 37);
    assert_eq!(limits[2].widest_request(6), 8);
    assert_eq!(limits[0].widest_request(6), 2);
}

#[test]
fn idle_levels_lend_to_a_busy_one() {
    let limits = limits(600, &FRESH);
    let mut levels: Vec<Level> = limits.iter().map(|limits| level(*limits, 0.0, 0)).collect();
    levels[7].demand.smoothed = 2000.0;
    levels[7].demand.highest = 2000;
    let seats = seats(&levels);
    // All that the others lend, and not more.
    assert_eq!(seats[2..7], [24, 25, 73, 50, 49]);
    assert_eq!(seats[7], 602 - 13 - 24 - 25 - 73 - 50 - 49);
}

#[test]
fn what_a_level_had_use_for_is_not_lent() {
    let limits = limits(100, &[shares(50, 100, None), shares(50, 100, None)]);
    let busy = level(limits[0], 400.0, 400);
    let modest = level(limits[1], 30.0, 30);
    assert_eq!(seats(&[busy, modest]), [70, 30]);
    // A level that is as busy has its nominal seats for certain.
    assert_eq!(seats(&[busy, level(limits[1], 60.0, 60)]), [50, 50]);
}

#[test]
fn borrowing_is_bounded() {
    let limits = limits(100, &[shares(50, 0, Some(20)), shares(50, 100, None)]);
    assert_eq!(
        seats(&[level(limits[0], 500.0, 500), level(limits[1], 0.0, 0)]),
        [60, 40]
    );
}

#[test]
fn exempt_levels_take_from_the_others_first() {
    let limits = limits(
        100,
        &[shares(0, 0, None), shares(50, 50, None), shares(50, 0, None)],
    );
    let mut exempt = level(limits[0], 30.0, 30);
    exempt.exempt = true;
    let levels = [exempt, level(limits[1], 50.0, 50), level(limits[2], 50.0, 50)];
    // 70 are left, less than the two never lend: both are at their lower limits.
    assert_eq!(seats(&levels), [30, 25, 50]);
    assert_eq!(divide(&levels).fair_fraction, 0.0);
}

proptest! {
    #[test]
    fn limits_hold_and_no_seat_is_lost(
        server in 1u32..3000,
        configured in prop::collection::vec((1u32..200, 0u32..=100, prop::option::of(0u32..300), 0f64..3000.0, 0u32..3000), 1..12),
    ) {
        let all: Vec<Shares> = configured.iter().map(|row| shares(row.0, row.1, row.2)).collect();
        let limits = limits(server, &all);
        let nominal: u32 = limits.iter().map(|limits| limits.nominal).sum();
        prop_assert!(nominal >= server && nominal <= server + all.len() as u32);
        let levels: Vec<Level> = limits.iter().zip(&configured).map(|(limits, row)| level(*limits, row.3, row.4)).collect();
        let seats = seats(&levels);
        for (seats, level) in seats.iter().zip(&levels) {
            prop_assert!(*seats >= level.floor() && *seats <= level.limits.upper.max(level.floor()));
        }
        // Rounding may add or take half a seat a level.
        let total: u32 = seats.iter().sum();
        prop_assert!(total.abs_diff(nominal) <= all.len() as u32, "{total} of {nominal}");
    }
}
