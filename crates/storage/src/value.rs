//! A value at rest: plain bytes, or packed into what tells it from another value that is much like it.
//!
//! **A value never changes, its form may**, for all that share it at once: stores, their histories, caches and
//! backups hold the same [`crate::KeyValue`] and need not know. Readers get plain bytes; unpacking takes about a
//! microsecond, so that no plain copy is kept for them.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

/// See the module.
pub struct Value(RwLock<Form>);

/// How the bytes are held.
#[derive(Clone)]
pub(crate) enum Form {
    Plain(Bytes),
    Packed(Packed),
}

/// A value that others were packed against: it lives as long as one of them does.
pub(crate) struct Exemplar(Bytes);

/// A value as an LZ4 block, whose matches may reach back into an exemplar.
#[derive(Clone)]
pub(crate) struct Packed {
    exemplar: Option<Arc<Exemplar>>,
    /// The plain length as u32, little endian, then the block: one allocation.
    block: Box<[u8]>,
}

const LEN_BYTES: usize = size_of::<u32>();
/// A byte of an LZ4 block stands for that many at most.
const MAX_RATIO: usize = 256;

impl Value {
    /// The plain bytes: shared, or unpacked for this call.
    pub fn bytes(&self) -> Bytes {
        match &*self.0.read() {
            Form::Plain(bytes) => bytes.clone(),
            Form::Packed(packed) => packed.unpack(),
        }
    }

    /// Length of the plain bytes.
    pub fn len(&self) -> usize {
        match &*self.0.read() {
            Form::Plain(bytes) => bytes.len(),
            Form::Packed(packed) => packed.plain_len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the value itself takes on the heap.
    pub fn held_bytes(&self) -> usize {
        match &*self.0.read() {
            Form::Plain(bytes) => bytes.len(),
            Form::Packed(packed) => packed.block.len(),
        }
    }

    pub fn is_packed(&self) -> bool {
        matches!(&*self.0.read(), Form::Packed(_))
    }

    /// The plain bytes, if they are not packed.
    pub(crate) fn plain(&self) -> Option<Bytes> {
        match &*self.0.read() {
            Form::Plain(bytes) => Some(bytes.clone()),
            Form::Packed(_) => None,
        }
    }

    /// Looks at the form; it does not change meanwhile.
    pub(crate) fn with_form<T>(&self, look: impl FnOnce(&Form) -> T) -> T {
        look(&self.0.read())
    }

    /// Takes the packed form of the same bytes.
    pub(crate) fn replace(&self, packed: Packed) {
        debug_assert!(self.bytes() == packed.unpack(), "a value never changes");
        let plain = std::mem::replace(&mut *self.0.write(), Form::Packed(packed));
        // Freed outside of the lock.
        drop(plain);
    }
}

/// The bytes are shared; what becomes of the form later is not.
impl Clone for Value {
    fn clone(&self) -> Self {
        Self(RwLock::new(self.0.read().clone()))
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self(RwLock::new(Form::Plain(bytes)))
    }
}

impl From<Packed> for Value {
    fn from(packed: Packed) -> Self {
        Self(RwLock::new(Form::Packed(packed)))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || *self == other.bytes()
    }
}

impl Eq for Value {}

impl PartialEq<Bytes> for Value {
    fn eq(&self, other: &Bytes) -> bool {
        self.len() == other.len() && self.bytes() == *other
    }
}

impl PartialEq<Value> for Bytes {
    fn eq(&self, other: &Value) -> bool {
        other == self
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.bytes().fmt(f)
    }
}

impl Exemplar {
    pub fn new(bytes: Bytes) -> Arc<Self> {
        Arc::new(Self(bytes))
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

impl Packed {
    /// Packs a value; `None` when that does not save at least a quarter of it. `scratch` may be used again.
    pub fn of(plain: &[u8], exemplar: Option<&Arc<Exemplar>>, scratch: &mut Vec<u8>) -> Option<Self> {
        let len = u32::try_from(plain.len()).ok()?;
        let room = LEN_BYTES + lz4_flex::block::get_maximum_output_size(plain.len());
        scratch.resize(scratch.len().max(room), 0);
        scratch[..LEN_BYTES].copy_from_slice(&len.to_le_bytes());
        let output = &mut scratch[LEN_BYTES..];
        let written = match exemplar {
            Some(exemplar) => lz4_flex::block::compress_into_with_dict(plain, output, &exemplar.0),
            None => lz4_flex::block::compress_into(plain, output),
        };
        let end = LEN_BYTES + written.ok()?;
        (end <= plain.len() / 4 * 3).then(|| Self {
            exemplar: exemplar.cloned(),
            block: Box::from(&scratch[..end]),
        })
    }

    /// What [`Packed::block`] was of a value packed against the exemplar; `None` if it can't have been.
    pub fn from_block(block: &[u8], exemplar: Option<Arc<Exemplar>>) -> Option<Self> {
        let packed = Self {
            exemplar,
            block: Box::from(block),
        };
        let is_plausible =
            block.len() >= LEN_BYTES && packed.plain_len().div_ceil(MAX_RATIO) <= packed.block.len();
        (is_plausible && packed.try_unpack().is_some()).then_some(packed)
    }

    pub fn block(&self) -> &[u8] {
        &self.block
    }

    pub fn exemplar(&self) -> Option<&Arc<Exemplar>> {
        self.exemplar.as_ref()
    }

    fn plain_len(&self) -> usize {
        let len = self.block.first_chunk().copied();
        u32::from_le_bytes(len.unwrap_or_default()) as usize
    }

    fn unpack(&self) -> Bytes {
        self.try_unpack()
            .expect("invariant: packed here, or checked when it was read")
    }

    fn try_unpack(&self) -> Option<Bytes> {
        let (mut plain, block) = (vec![0; self.plain_len()], &self.block[LEN_BYTES..]);
        let len = match &self.exemplar {
            Some(exemplar) => lz4_flex::block::decompress_into_with_dict(block, &mut plain, &exemplar.0),
            None => lz4_flex::block::decompress_into(block, &mut plain),
        };
        len.is_ok_and(|len| len == plain.len())
            .then(|| Bytes::from(plain))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_form_takes_no_more_than_bytes_do() {
        assert_eq!(size_of::<Form>(), size_of::<Bytes>());
    }

    #[test]
    fn what_does_not_shrink_stays_plain() {
        let mut scratch = Vec::new();
        let noise: Vec<u8> = (0u32..4000)
            .map(|n| (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 21) as u8)
            .collect();
        assert!(Packed::of(&noise, None, &mut scratch).is_none());
        assert!(Packed::of(b"", None, &mut scratch).is_none());
        let exemplar = Exemplar::new(Bytes::from(noise.clone()));
        let packed = Packed::of(&noise, Some(&exemplar), &mut scratch).unwrap();
        assert!(packed.block.len() < 64, "{}", packed.block.len());
        assert_eq!(packed.unpack(), noise);
    }

    /// The form changes under a reader that holds on to what it read before.
    #[test]
    fn the_bytes_stay_the_same() {
        let plain = Bytes::from("abc".repeat(100));
        let value = Value::from(plain.clone());
        let before = value.bytes();
        value.replace(Packed::of(&plain, None, &mut Vec::new()).unwrap());
        assert!(value.is_packed() && value.held_bytes() < 30);
        assert_eq!((value.len(), value.bytes()), (300, before));
        assert_eq!(value, Value::from(plain));
        assert_ne!(value, Value::from(Bytes::from("abd".repeat(100))));
    }

    proptest! {
        #[test]
        fn packs_and_unpacks(
            exemplar in prop::collection::vec(0u8..4, 0..300),
            plain in prop::collection::vec(0u8..4, 0..300),
        ) {
            let exemplar = Exemplar::new(Bytes::from(exemplar));
            let mut scratch = Vec::new();
            for exemplar in [None, Some(&exemplar)] {
                if let Some(packed) = Packed::of(&plain, exemplar, &mut scratch) {
                    prop_assert_eq!(&packed.unpack()[..], &plain[..]);
                    let again = Packed::from_block(packed.block(), exemplar.cloned()).unwrap();
                    prop_assert_eq!(&again.unpack()[..], &plain[..]);
                }
            }
        }

        #[test]
        fn no_block_panics(block in prop::collection::vec(any::<u8>(), 0..100), with_exemplar: bool) {
            let exemplar = with_exemplar.then(|| Exemplar::new(Bytes::from_static(b"0123456789")));
            if let Some(packed) = Packed::from_block(&block, exemplar) {
                prop_assert_eq!(packed.unpack().len(), packed.plain_len());
            }
        }
    }
}
