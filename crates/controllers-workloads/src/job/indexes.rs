//! Sets of completion indexes, as a job's status writes them: `0,2-5,7`. Pure.

use std::fmt;

/// Disjoint intervals, rising, with a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexes(Vec<(i32, i32)>);

impl Indexes {
    /// Reads a text, up to (and without) `completions`. What can't be read is left out.
    pub fn parse(text: &str, completions: i32) -> Indexes {
        let interval = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: i32 = first.parse().ok()?;
            let last = last.parse::<i32>().ok()?.min(completions - 1);
            (first >= 0 && first <= last).then_some((first, last))
        };
        let intervals = text.split(',').filter_map(interval);
        Indexes::of(intervals.collect())
    }

    pub fn from_each(indexes: impl IntoIterator<Item = i32>) -> Indexes {
        Indexes::of(indexes.into_iter().map(|index| (index, index)).collect())
    }

    fn of(mut intervals: Vec<(i32, i32)>) -> Indexes {
        intervals.sort_unstable();
        let mut merged: Vec<(i32, i32)> = Vec::with_capacity(intervals.len());
        for (first, last) in intervals {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Indexes(merged)
    }

    #[must_use]
    pub fn union(&self, other: &Indexes) -> Indexes {
        Indexes::of(self.0.iter().chain(&other.0).copied().collect())
    }

    pub fn total(&self) -> i32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, index: i32) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// How many of these are in the other as well.
    pub fn common(&self, other: &Indexes) -> i32 {
        let overlap = |a: &(i32, i32), b: &(i32, i32)| (a.1.min(b.1) - a.0.max(b.0) + 1).max(0);
        let pairs = self
            .0
            .iter()
            .flat_map(|a| other.0.iter().map(move |b| overlap(a, b)));
        pairs.sum()
    }

    /// The first so many below `completions` that are not among these.
    pub fn first_missing(&self, count: usize, completions: i32) -> Vec<i32> {
        let mut missing = Vec::new();
        let mut next = 0;
        let end = (completions, completions);
        for (first, last) in self.0.iter().chain([&end]) {
            missing.extend((next..(*first).min(completions)).take(count - missing.len()));
            if missing.len() == count {
                break;
            }
            next = next.max(last.saturating_add(1));
        }
        missing
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_read_and_written() {
        let check = |text: &str, shown: &str| assert_eq!(Indexes::parse(text, 10).to_string(), shown);
        check("", "");
        check("1,2", "1,2");
        check("1-3,5,7-20", "1-3,5,7-9");
        check("4,5,6", "4-6");
        check("x,3,12", "3");
        assert_eq!(Indexes::parse("0,2-4", 10).total(), 4);
    }

    #[test]
    fn what_is_missing_comes_in_order() {
        let some = Indexes::parse("0,2-4,7", 10);
        assert_eq!(some.first_missing(3, 10), [1, 5, 6]);
        assert_eq!(some.first_missing(99, 10), [1, 5, 6, 8, 9]);
        assert_eq!(some.first_missing(99, 3), [1]);
        assert_eq!(Indexes::default().first_missing(2, 10), [0, 1]);
        assert!(some.contains(3) && !some.contains(5) && !some.contains(9));
    }

    #[test]
    fn unions_and_common_parts() {
        let (a, b) = (Indexes::parse("0-4,8", 10), Indexes::parse("3-6,9", 10));
        assert_eq!(a.union(&b).to_string(), "0-6,8,9");
        assert_eq!(a.common(&b), 2);
        assert_eq!(a.union(&Indexes::from_each([7, 5])).to_string(), "0-5,7,8");
    }
}
