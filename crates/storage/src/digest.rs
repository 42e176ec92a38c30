//! A digest of keys and values: equal for equal contents, in whatever kind of store they stand.

use std::fmt;

use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

/// SHA-256 over each key and value in order, each with its length before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    pub fn of<'a>(items: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut digester = Digester::default();
        items.for_each(|(key, value)| digester.add(key, value));
        digester.finish()
    }
}

/// A digest in the making.
pub struct Digester(Context);

impl Default for Digester {
    fn default() -> Self {
        Self(Context::new(&SHA256))
    }
}

impl Digester {
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    pub fn finish(self) -> Digest {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
