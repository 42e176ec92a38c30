//! What a value is like, in some hundred numbers: a sample of the hashes of all its substrings of a fixed length,
//! chosen by the hashes themselves, so that equal parts are sampled alike wherever they stand.

/// Length of a substring.
const WINDOW: usize = 8;
/// About so many hashes are taken, or up to twice as many.
const SAMPLE: usize = 64;
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// See the module.
pub(super) struct Sketch {
    /// Hashes up to this one are taken, if the value has them.
    threshold: u32,
    /// In order, each once.
    hashes: Box<[u32]>,
}

impl Sketch {
    pub fn of(value: &[u8]) -> Self {
        let windows = value.len().saturating_sub(WINDOW - 1).max(1);
        // A power of two: values of about the same length have the same.
        let threshold = u32::MAX >> (windows / SAMPLE).max(1).ilog2();
        let mut hashes: Vec<u32> = Vec::with_capacity(3 * SAMPLE);
        for window in value.windows(WINDOW) {
            let window = window.first_chunk().copied().unwrap_or_default();
            let hash = (u64::from_le_bytes(window).wrapping_mul(MULTIPLIER) >> 32) as u32;
            if hash <= threshold {
                hashes.push(hash);
            }
        }
        hashes.sort_unstable();
        hashes.dedup();
        Self {
            threshold,
            hashes: hashes.into_boxed_slice(),
        }
    }

    pub fn hashes(&self) -> &[u32] {
        &self.hashes
    }

    /// How much of this value the other one has, from 0 to 1.
    pub fn part_in(&self, other: &Self) -> f32 {
        // Where one value is much longer, only what both would take can be compared.
        let common = self.threshold.min(other.threshold);
        let upto = |hashes: &[u32]| hashes.partition_point(|hash| *hash <= common);
        let own = &self.hashes[..upto(&self.hashes)];
        let mut others = other.hashes[..upto(&other.hashes)].iter().peekable();
        let mut shared = 0usize;
        for hash in own {
            while others.next_if(|other| *other < hash).is_some() {}
            shared += usize::from(others.peek() == Some(&hash));
        }
        shared as f32 / own.len().max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_much_is_shared() {
        let half = |seed: u64| -> Vec<u8> {
            (0..4000u64)
                .flat_map(|at| (at + seed).wrapping_mul(MULTIPLIER).to_le_bytes())
                .collect()
        };
        let (a, b) = (half(0), half(1 << 40));
        let both = Sketch::of(&[&a[..], &b[..]].concat());
        let (a, b) = (Sketch::of(&a), Sketch::of(&b));
        assert!(a.part_in(&a) == 1.0 && a.part_in(&b) < 0.1);
        assert!(a.part_in(&both) > 0.95 && b.part_in(&both) > 0.95);
        assert!((0.3..0.7).contains(&both.part_in(&a)), "{}", both.part_in(&a));
        assert!(Sketch::of(b"").part_in(&a) == 0.0);
    }
}
