//! Packs the values of one kind against each other. Pure.
//!
//! The objects of a kind come in families: the pods of a workload differ in names, times and addresses. A value that
//! is like none before becomes an exemplar, and its family is packed against it. How alike two values are is told by
//! their sketches (`sketch`); `exemplars` finds the most alike.

mod exemplars;
mod sketch;

use std::sync::Arc;

use crate::value::{Packed, Value};
use exemplars::Exemplars;
use sketch::Sketch;

/// Shorter values are not worth it: Leases, which are written again before long.
const MIN_BYTES: usize = 512;
/// Longer values are packed by themselves: LZ4's matches reach back 64 KiB, past an exemplar of theirs.
const MAX_SKETCHED_BYTES: usize = 48 << 10;
/// Part of its sketch that a value shares with an exemplar that it is packed against.
const ALIKE: f32 = 0.8;
/// A larger buffer is not kept for the next value.
const KEPT_SCRATCH_BYTES: usize = 256 << 10;

/// See the module.
#[derive(Default)]
pub(crate) struct Packer {
    exemplars: Exemplars,
    scratch: Vec<u8>,
}

impl Packer {
    /// Packs the value in place, if that saves memory.
    pub fn pack(&mut self, value: &Value) {
        let Some(plain) = value.plain().filter(|plain| plain.len() >= MIN_BYTES) else {
            return;
        };
        let mut exemplar = None;
        if plain.len() <= MAX_SKETCHED_BYTES {
            let sketch = Sketch::of(&plain);
            exemplar = self.exemplars.most_alike(&sketch, ALIKE);
            if exemplar.is_none() {
                self.exemplars.add(plain.clone(), sketch);
            }
        }
        if let Some(packed) = Packed::of(&plain, exemplar.as_ref(), &mut self.scratch) {
            value.replace(packed);
        }
        if self.scratch.len() > KEPT_SCRATCH_BYTES {
            self.scratch = Vec::new();
        }
    }
}

/// An exemplar that is in use.
type Shared = Arc<crate::value::Exemplar>;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// An object of a family: what the family has in common, and what is the object's own.
    fn object(family: u64, n: u64) -> Bytes {
        let mut text = String::new();
        for part in 0..40 {
            let common = (family * 1000 + part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            text.push_str(&format!("the {part}th setting of {family} is {common:x}; "));
            if part % 8 == 0 {
                let own = (n + family * 77 + part).wrapping_mul(0xD6E8_FEB8_6659_FD93);
                text.push_str(&format!("object {n} has {own:x}; "));
            }
        }
        Bytes::from(text)
    }

    /// Packs objects of so many families; returns the plain bytes and those held.
    fn check(families: u64, objects: u64) -> (usize, usize) {
        let mut packer = Packer::default();
        let (mut plain_bytes, mut held_bytes) = (0, 0);
        for n in 0..objects {
            let plain = object(n % families, n);
            let value = Value::from(plain.clone());
            packer.pack(&value);
            assert_eq!(value, plain);
            plain_bytes += plain.len();
            held_bytes += value.held_bytes();
        }
        (plain_bytes, held_bytes)
    }

    #[test]
    fn families_are_packed_against_their_own() {
        let (plain, held) = check(1, 500);
        assert!(held * 8 < plain, "{held} of {plain}");
        let (plain, held) = check(50, 2500);
        assert!(held * 7 < plain, "{held} of {plain}");
    }

    #[test]
    fn a_long_value_is_packed_by_itself() {
        let plain = Bytes::from("what repeats ".repeat(10_000));
        let value = Value::from(plain.clone());
        Packer::default().pack(&value);
        assert!(value.held_bytes() < 2000);
        assert_eq!(value, plain);
    }

    #[test]
    fn short_and_random_values_stay_as_they_are() {
        let mut packer = Packer::default();
        for n in 0..1000u64 {
            let random: Vec<u8> = (0..4000u64)
                .map(|at| ((n * 4000 + at).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8 ^ (at * n) as u8)
                .collect();
            let value = Value::from(Bytes::from(random));
            packer.pack(&value);
            assert!(value.held_bytes() <= value.len());
        }
        let short = Value::from(Bytes::from("a".repeat(MIN_BYTES - 1)));
        packer.pack(&short);
        assert!(!short.is_packed());
    }
}
