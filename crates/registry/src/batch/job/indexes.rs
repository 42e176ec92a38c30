//! Sets of indexes of an indexed job, as text: `1,3-5,7`.

use apimachinery::quote::quote;

/// How many indexes a text has; or what is wrong with it. All must be below `completions`, in order.
pub(super) fn count(text: &str, completions: i32) -> Result<i32, String> {
    let mut last: Option<i64> = None;
    let mut total = 0;
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = parse(interval, completions)?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(not_increasing(last, first));
        }
        total += end - first + 1;
        last = Some(end);
    }
    Ok(i32::try_from(total).unwrap_or(i32::MAX))
}

/// What is wrong with two sets that share an index. What can't be read is passed over.
pub(super) fn overlap(completed: &str, failed: &str, completions: i32) -> Option<String> {
    let intervals = |text: &str| -> Vec<(i64, i64)> {
        let intervals = text.split(',').filter(|_| !text.is_empty());
        intervals
            .filter_map(|interval| parse(interval, completions).ok())
            .collect()
    };
    let (completed, failed) = (intervals(completed), intervals(failed));
    let (mut one, mut other) = (completed.iter().peekable(), failed.iter().peekable());
    while let (Some(done), Some(lost)) = (one.peek(), other.peek()) {
        if done.0 <= lost.1 && lost.0 <= done.1 {
            let at = done.0.max(lost.0);
            return Some(format!(
                "failedIndexes and completedIndexes overlap at index: {at}"
            ));
        }
        if done.0 <= lost.0 {
            one.next();
        } else {
            other.next();
        }
    }
    None
}

fn parse(interval: &str, completions: i32) -> Result<(i64, i64), String> {
    let limits: Vec<&str> = interval.split('-').collect();
    let index = |text: &str| {
        let index: i64 = text
            .parse()
            .map_err(|_| format!("cannot convert string to integer for index: {}", quote(text)))?;
        if index >= i64::from(completions) {
            return Err(format!("too large index: {}", quote(text)));
        }
        Ok(index)
    };
    match limits.as_slice() {
        [only] => index(only).map(|only| (only, only)),
        [first, end] => match (index(first)?, index(end)?) {
            (first, end) if first >= end => Err(not_increasing(first, end)),
            limits => Ok(limits),
        },
        _ => Err(format!(
            "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
            quote(interval)
        )),
    }
}

fn not_increasing(previous: i64, current: i64) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sets() {
        for (text, expected) in [
            ("", Ok(0)),
            ("0", Ok(1)),
            ("0,2-4", Ok(4)),
            ("9", Err("too large index: \"9\"")),
            ("x", Err("cannot convert string to integer for index: \"x\"")),
            ("2,1", Err("non-increasing order, previous: 2, current: 1")),
            ("3-2", Err("non-increasing order, previous: 3, current: 2")),
            (
                "1-2-3",
                Err(
                    "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
                ),
            ),
        ] {
            assert_eq!(count(text, 9), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn finds_shared_indexes() {
        assert_eq!(overlap("0-2,5", "3-4", 9), None);
        assert_eq!(
            overlap("0-2,5", "3,5-6", 9).as_deref(),
            Some("failedIndexes and completedIndexes overlap at index: 5")
        );
    }
}
