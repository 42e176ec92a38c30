//! What a server has acknowledged, to be compared with what it holds after it was killed. Pure.

use std::collections::BTreeMap;

/// An object's value, or that it isn't there.
pub type Content = Option<u64>;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    acknowledged: Content,
    /// A write that was sent and not answered: it may or may not have happened.
    pending: Option<Content>,
}

/// One writer's account of its own objects: nobody else writes them, and one with an unanswered write is left alone.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<String, Entry>,
    acknowledged: Acknowledged,
}

/// How many writes of each kind were acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledged {
    pub creates: usize,
    pub updates: usize,
    pub deletes: usize,
}

impl Ledger {
    /// A write is about to be sent.
    pub fn begin(&mut self, name: &str, content: Content) {
        self.entries.entry(name.to_owned()).or_default().pending = Some(content);
    }

    /// The write that was begun last was answered with success.
    pub fn acknowledge(&mut self, name: &str) {
        let entry = self.entries.entry(name.to_owned()).or_default();
        let Some(content) = entry.pending.take() else {
            return;
        };
        match (entry.acknowledged, content) {
            (None, _) => self.acknowledged.creates += 1,
            (Some(_), Some(_)) => self.acknowledged.updates += 1,
            (Some(_), None) => self.acknowledged.deletes += 1,
        }
        entry.acknowledged = content;
    }

    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged
    }

    /// What doesn't hold what was acknowledged, nor what may have been written since.
    pub fn lost(&self, stored: &BTreeMap<String, u64>) -> Vec<String> {
        let lost = |(name, entry): (&String, &Entry)| {
            let found = stored.get(name).copied();
            let right = found == entry.acknowledged || Some(found) == entry.pending;
            (!right).then(|| format!("{name}: acknowledged {:?}, found {found:?}", entry.acknowledged))
        };
        self.entries.iter().filter_map(lost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes, of which those with a `?` are not answered; then what is stored; then what is lost.
    fn check(writes: &[(&str, Content)], stored: &[(&str, u64)], lost: &[&str]) {
        let mut ledger = Ledger::default();
        for (name, content) in writes {
            let key = name.trim_end_matches('?');
            ledger.begin(key, *content);
            if key == *name {
                ledger.acknowledge(key);
            }
        }
        let stored = stored
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        assert_eq!(ledger.lost(&stored), lost);
    }

    #[test]
    fn every_acknowledged_write_counts() {
        check(&[("a", Some(1)), ("a", Some(2))], &[("a", 2)], &[]);
        check(&[("a", Some(1))], &[], &["a: acknowledged Some(1), found None"]);
        check(
            &[("a", Some(1)), ("a", Some(2))],
            &[("a", 1)],
            &["a: acknowledged Some(2), found Some(1)"],
        );
        check(
            &[("a", Some(1)), ("a", None)],
            &[("a", 1)],
            &["a: acknowledged None, found Some(1)"],
        );
    }

    #[test]
    fn an_unanswered_write_may_have_happened() {
        for stored in [&[("a", 1)][..], &[("a", 2)]] {
            check(&[("a", Some(1)), ("a?", Some(2))], stored, &[]);
        }
        check(
            &[("a", Some(1)), ("a?", None)],
            &[("a", 3)],
            &["a: acknowledged Some(1), found Some(3)"],
        );
    }

    #[test]
    fn writes_are_counted_by_kind() {
        let mut ledger = Ledger::default();
        for content in [Some(1), Some(2), None] {
            ledger.begin("a", content);
            ledger.acknowledge("a");
        }
        ledger.begin("b", Some(1));
        let expected = Acknowledged {
            creates: 1,
            updates: 1,
            deletes: 1,
        };
        assert_eq!(ledger.acknowledged(), expected);
    }
}
