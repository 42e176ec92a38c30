//! RFC 4648 base32 of SHA-256 digests, as far as chain names need it.

use sha2::{Digest, Sha256};

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The first `chars` characters of the base32 form of `SHA-256(text)`; at most 32.
pub fn sha256_prefix(text: &str, chars: usize) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let bit = |i: usize| (digest[i / 8] >> (7 - i % 8)) & 1;
    (0..chars.min(32))
        .map(|c| (0..5).fold(0u8, |value, b| value << 1 | bit(c * 5 + b)))
        .map(|value| char::from(ALPHABET[usize::from(value)]))
        .collect()
}
