//! Divides a range into equal parts and hands them out, in turn. Pure.
//!
//! Upstream: pkg/controller/nodeipam/ipam/cidrset

use super::cidr::{Cidr, width};

/// Most parts of one range: a bitmap of 8 KiB.
const MAX_BITS: u8 = 16;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("node mask size {mask} is shorter than that of {range}")]
    MaskTooShort { range: Cidr, mask: u8 },
    #[error("CIDR {range} has too many parts of mask size {mask}: at most 2^{MAX_BITS}")]
    TooMany { range: Cidr, mask: u8 },
}

/// The parts of one range, by a bit each.
#[derive(Clone, Debug)]
pub struct Allocator {
    range: Cidr,
    mask: u8,
    taken: Vec<u64>,
    parts: usize,
    /// Where the next search begins: a part that was released isn't handed out at once.
    next: usize,
}

impl Allocator {
    pub fn new(range: Cidr, mask: u8) -> Result<Self, Error> {
        if mask < range.prefix() || mask > width(range.is_ipv6()) {
            return Err(Error::MaskTooShort { range, mask });
        }
        let bits = mask - range.prefix();
        if bits > MAX_BITS {
            return Err(Error::TooMany { range, mask });
        }
        let parts = 1usize << bits;
        Ok(Allocator {
            range,
            mask,
            taken: vec![0; parts.div_ceil(64)],
            parts,
            next: 0,
        })
    }

    /// The next part that is free.
    pub fn take(&mut self) -> Option<Cidr> {
        let index = (0..self.parts)
            .map(|offset| (self.next + offset) % self.parts)
            .find(|index| !self.is_taken(*index))?;
        self.mark(index, true);
        self.next = (index + 1) % self.parts;
        let address = self.range.first() + ((index as u128) << self.host_bits());
        Some(Cidr::new(address, self.mask, self.range.is_ipv6()))
    }

    /// Takes every part that overlaps `other`; one outside of the range takes none.
    pub fn occupy(&mut self, other: &Cidr) {
        self.mark_overlap(other, true);
    }

    pub fn release(&mut self, other: &Cidr) {
        self.mark_overlap(other, false);
    }

    fn mark_overlap(&mut self, other: &Cidr, taken: bool) {
        if other.is_ipv6() != self.range.is_ipv6() {
            return;
        }
        let first = other.first().max(self.range.first());
        let last = other.last().min(self.range.last());
        if first > last {
            return;
        }
        let index = |address: u128| ((address - self.range.first()) >> self.host_bits()) as usize;
        for index in index(first)..=index(last) {
            self.mark(index, taken);
        }
    }

    fn host_bits(&self) -> u8 {
        width(self.range.is_ipv6()) - self.mask
    }

    fn is_taken(&self, index: usize) -> bool {
        self.taken[index / 64] & (1 << (index % 64)) != 0
    }

    fn mark(&mut self, index: usize, taken: bool) {
        let bit = 1 << (index % 64);
        if taken {
            self.taken[index / 64] |= bit
        } else {
            self.taken[index / 64] &= !bit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocator(range: &str, mask: u8) -> Allocator {
        Allocator::new(range.parse().expect("range"), mask).expect("divisible")
    }

    fn take(allocator: &mut Allocator) -> String {
        allocator.take().map_or("none".into(), |cidr| cidr.to_string())
    }

    #[test]
    fn parts_are_handed_out_in_turn_around_what_is_taken() {
        let mut allocator = allocator("10.244.0.0/22", 24);
        allocator.occupy(&"10.244.1.0/24".parse().expect("range"));
        assert_eq!(take(&mut allocator), "10.244.0.0/24");
        assert_eq!(take(&mut allocator), "10.244.2.0/24");
        allocator.release(&"10.244.0.0/24".parse().expect("range"));
        assert_eq!(take(&mut allocator), "10.244.3.0/24", "a released part rests");
        assert_eq!(take(&mut allocator), "10.244.0.0/24");
        assert_eq!(take(&mut allocator), "none");
    }

    #[test]
    fn overlapping_ranges_take_every_part_that_they_touch() {
        let mut allocator = allocator("10.0.0.0/22", 24);
        allocator.occupy(&"10.0.0.0/23".parse().expect("range"));
        allocator.occupy(&"10.0.2.128/25".parse().expect("range"));
        allocator.occupy(&"192.168.0.0/16".parse().expect("range"));
        allocator.occupy(&"fd00::/8".parse().expect("range"));
        assert_eq!(take(&mut allocator), "10.0.3.0/24");
        assert_eq!(take(&mut allocator), "none");
    }

    #[test]
    fn ipv6_and_impossible_masks() {
        assert_eq!(take(&mut allocator("fd00:10::/48", 64)), "fd00:10::/64");
        let range: Cidr = "10.0.0.0/16".parse().expect("range");
        assert!(matches!(
            Allocator::new(range, 8),
            Err(Error::MaskTooShort { .. })
        ));
        let range: Cidr = "fd00::/40".parse().expect("range");
        assert!(matches!(Allocator::new(range, 64), Err(Error::TooMany { .. })));
    }
}
