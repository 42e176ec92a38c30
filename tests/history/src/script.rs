//! What a writer of the embedded store does, operation after operation: pure, so that whoever knows how far it came
//! knows every byte that must be there.

use std::collections::BTreeMap;

use crate::random::Random;

pub const WRITERS: usize = 4;
const KEYS: u64 = 8;
/// Some records are larger than a page, and span what a torn write would tear.
const MAX_VALUE_BYTES: u64 = 6000;

/// The objects of one writer after some of its operations. Nobody else writes to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub writer: usize,
    /// How many operations.
    pub made: u64,
    pub objects: BTreeMap<String, Vec<u8>>,
}

/// One operation: each is one revision of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub key: String,
    /// `None`: a deletion, of a key that is there.
    pub value: Option<Vec<u8>>,
}

impl State {
    pub fn new(writer: usize) -> Self {
        Self {
            writer,
            ..Self::default()
        }
    }

    /// Under which its keys stand.
    pub fn prefix(writer: usize) -> String {
        format!("/w/{writer}/")
    }

    /// The next operation.
    pub fn next(&self) -> Step {
        let mut random = Random::new(self.made).fork(self.writer as u64 + 1);
        let key = format!("{}{}", Self::prefix(self.writer), random.below(KEYS));
        let deletes = self.objects.contains_key(&key) && random.one_in(4);
        let value = (!deletes).then(|| {
            let length = random.below(MAX_VALUE_BYTES);
            let mut value = format!("{} ", self.made).into_bytes();
            value.extend((0..length / 8).flat_map(|_| random.number().to_le_bytes()));
            value
        });
        Step { key, value }
    }

    pub fn apply(&mut self, step: Step) {
        match step.value {
            Some(value) => self.objects.insert(step.key, value),
            None => self.objects.remove(&step.key),
        };
        self.made += 1;
    }

    /// The state after one more operation.
    pub fn after_next(&self) -> State {
        let mut after = self.clone();
        after.apply(self.next());
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_puts_and_deletes() {
        let mut state = State::new(1);
        let (mut deletions, mut largest) = (0, 0);
        for _ in 0..500 {
            let step = state.next();
            assert_eq!(step, state.next());
            assert!(step.value.is_some() || state.objects.contains_key(&step.key));
            deletions += usize::from(step.value.is_none());
            largest = largest.max(step.value.as_ref().map_or(0, Vec::len));
            state.apply(step);
        }
        assert!(deletions > 50 && largest > 4096);
        assert_eq!(state.made, 500);
    }
}
