//! Durations as Go prints them. Pure.

use std::time::Duration;

/// To the millisecond.
pub fn go_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let mut seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    seconds.truncate(seconds.trim_end_matches('0').trim_end_matches('.').len());
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_go_s() {
        let print = |millis| go_duration(Duration::from_millis(millis));
        assert_eq!(
            [0, 7, 1500, 2000, 10_000, 61_020, 300_000, 14_400_000].map(print),
            ["0s", "7ms", "1.5s", "2s", "10s", "1m1.02s", "5m0s", "4h0m0s"]
        );
    }
}
