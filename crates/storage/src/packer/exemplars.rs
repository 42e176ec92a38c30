//! The exemplars of a packer, and which of them a value is like.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;

use super::Shared;
use super::sketch::Sketch;
use crate::value::Exemplar;

/// All exemplars together; what is packed against one that had to go keeps it.
const MAX_BYTES: usize = 4 << 20;
const MAX_EXEMPLARS: usize = 1024;
/// A hash that more exemplars have tells none of them from the others.
const MAX_OWNERS: usize = 6;
/// After so many uses, each exemplar's count is halved: families come and go.
const USES_UNTIL_HALVED: usize = 4096;
/// A value so much like the exemplar that was used last is not compared with others.
const SAME_FAMILY: f32 = 0.93;

/// See the module.
#[derive(Default)]
pub(super) struct Exemplars {
    slots: Vec<Option<Slot>>,
    bytes: usize,
    /// Which exemplars have a hash in their sketches.
    owners: HashMap<u32, Owners, BuildHasherDefault<AsItIs>>,
    last: usize,
    uses: usize,
    votes: Vec<u16>,
}

struct Slot {
    exemplar: Shared,
    sketch: Sketch,
    uses: usize,
}

/// The exemplars that have a hash, unless they are too many to tell.
#[derive(Default)]
struct Owners {
    count: u32,
    known: [Option<std::num::NonZeroU16>; MAX_OWNERS],
}

/// The keys are hashes.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes
            .iter()
            .for_each(|byte| self.0 = self.0 << 8 | u64::from(*byte));
    }
    fn write_u32(&mut self, hash: u32) {
        // The sample has small ones only: spread over all bits.
        self.0 = u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Exemplars {
    /// The exemplar that has most of the value, if that is at least the part `alike`.
    pub fn most_alike(&mut self, sketch: &Sketch, alike: f32) -> Option<Shared> {
        let part = |slots: &[Option<Slot>], at: usize| {
            let slot = slots.get(at).and_then(Option::as_ref);
            slot.map_or(0.0, |slot| sketch.part_in(&slot.sketch))
        };
        if part(&self.slots, self.last) < SAME_FAMILY {
            let candidate = self.elect(sketch).unwrap_or(self.last);
            if part(&self.slots, candidate) < alike {
                return None;
            }
            self.last = candidate;
        }
        self.uses += 1;
        if self.uses.is_multiple_of(USES_UNTIL_HALVED) {
            self.slots.iter_mut().flatten().for_each(|slot| slot.uses /= 2);
        }
        let slot = self.slots.get_mut(self.last).and_then(Option::as_mut)?;
        slot.uses += 1;
        Some(slot.exemplar.clone())
    }

    /// The exemplar that shares most of those hashes of the sketch that tell exemplars apart.
    fn elect(&mut self, sketch: &Sketch) -> Option<usize> {
        self.votes.clear();
        self.votes.resize(self.slots.len(), 0);
        for hash in sketch.hashes() {
            for at in self.owners.get(hash).into_iter().flat_map(Owners::known) {
                self.votes[at] += 1;
            }
        }
        let (at, votes) = self.votes.iter().enumerate().max_by_key(|(_, votes)| **votes)?;
        (*votes > 0).then_some(at)
    }

    /// Adds a value that is like none of them.
    pub fn add(&mut self, value: Bytes, sketch: Sketch) {
        while self.bytes + value.len() > MAX_BYTES && self.remove_least_used().is_some() {}
        let free = match self.slots.iter().position(Option::is_none) {
            None if self.slots.len() == MAX_EXEMPLARS => self.remove_least_used(),
            free => free,
        };
        let at = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        for hash in sketch.hashes() {
            self.owners.entry(*hash).or_default().add(at);
        }
        self.bytes += value.len();
        self.slots[at] = Some(Slot {
            exemplar: Exemplar::new(value),
            sketch,
            uses: 0,
        });
        self.last = at;
    }

    fn remove_least_used(&mut self) -> Option<usize> {
        let used = self.slots.iter().enumerate();
        let uses = used.filter_map(|(at, slot)| Some((at, slot.as_ref()?.uses)));
        let (at, _) = uses.min_by_key(|(_, uses)| *uses)?;
        let slot = self.slots[at].take()?;
        self.bytes -= slot.exemplar.bytes().len();
        for hash in slot.sketch.hashes() {
            if let Some(owners) = self.owners.get_mut(hash) {
                owners.remove(at);
                if owners.count == 0 {
                    self.owners.remove(hash);
                }
            }
        }
        Some(at)
    }
}

impl Owners {
    fn known(&self) -> impl Iterator<Item = usize> {
        let known = if self.count as usize <= MAX_OWNERS {
            &self.known[..]
        } else {
            &[]
        };
        known.iter().flatten().map(|at| usize::from(at.get()) - 1)
    }

    fn add(&mut self, at: usize) {
        self.count += 1;
        if let Some(free) = self.known.iter_mut().find(|known| known.is_none()) {
            *free = owner(at);
        }
    }

    fn remove(&mut self, at: usize) {
        self.count -= 1;
        if let Some(known) = self.known.iter_mut().find(|known| **known == owner(at)) {
            *known = None;
        }
    }
}

/// [`MAX_EXEMPLARS`] fit.
fn owner(at: usize) -> Option<std::num::NonZeroU16> {
    u16::try_from(at + 1).ok().and_then(std::num::NonZeroU16::new)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn value(n: u64) -> Bytes {
        let words = (0..500u64).map(|at| (n << 32 | at).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Bytes::from(words.flat_map(u64::to_le_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn those_that_are_used_stay() {
        let mut exemplars = Exemplars::default();
        for n in 0..10_000 {
            let sketch = Sketch::of(&value(n));
            assert!(exemplars.most_alike(&sketch, 0.8).is_none(), "{n}");
            exemplars.add(value(n), sketch);
            let used = exemplars.most_alike(&Sketch::of(&value(3)), 0.8);
            assert_eq!(used.is_some(), n >= 3, "{n}");
        }
        assert!(exemplars.bytes <= MAX_BYTES && exemplars.slots.len() <= MAX_EXEMPLARS);
        let held: usize = exemplars
            .slots
            .iter()
            .flatten()
            .map(|slot| slot.sketch.hashes().len())
            .sum();
        assert!(exemplars.owners.len() <= held, "hashes go with their exemplars");
    }

    #[test]
    fn the_most_alike_is_found_among_many() {
        let mut exemplars = Exemplars::default();
        for n in 0..200 {
            exemplars.add(value(n), Sketch::of(&value(n)));
        }
        for n in 0..200 {
            let found = exemplars.most_alike(&Sketch::of(&value(n)), 0.8).unwrap();
            assert_eq!(found.bytes(), &value(n));
        }
    }

    /// What all have in common says nothing; what is left decides.
    #[test]
    fn boilerplate_does_not_vote() {
        let mut exemplars = Exemplars::default();
        let common = value(0);
        let with = |n: u64| Bytes::from([&common[..], &value(n)[..2000]].concat());
        for n in 1..50 {
            exemplars.add(with(n), Sketch::of(&with(n)));
        }
        for n in 1..50 {
            let found = exemplars.most_alike(&Sketch::of(&with(n)), 0.8).unwrap();
            assert_eq!(found.bytes(), &with(n));
        }
    }

    #[test]
    fn exemplars_are_kept_by_their_users() {
        let mut exemplars = Exemplars::default();
        exemplars.add(value(0), Sketch::of(&value(0)));
        let used = exemplars.most_alike(&Sketch::of(&value(0)), 0.8).unwrap();
        assert_eq!(Arc::strong_count(&used), 2);
        assert_eq!(exemplars.remove_least_used(), Some(0));
        assert_eq!((Arc::strong_count(&used), exemplars.bytes), (1, 0));
        assert!(exemplars.owners.is_empty());
    }
}
