//! Writing protobuf from the end, so that each length is known before it is written.

use std::cell::RefCell;

/// A buffer that has become larger is not kept for the next message.
const KEPT_BUFFER_BYTES: usize = 64 << 10;

thread_local! {
    /// Messages are written one after the other, and their lengths are not known before.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes into a buffer that the thread keeps, and gives what was written.
pub fn written<T>(write: &dyn Fn(&mut Writer), give: impl FnOnce(&[u8]) -> T) -> T {
    let buffer = BUFFER.take();
    let start = buffer.len();
    let mut writer = Writer { buffer, start };
    write(&mut writer);
    let given = give(writer.written());
    if writer.buffer.len() <= KEPT_BUFFER_BYTES {
        BUFFER.set(writer.buffer);
    }
    given
}

/// Fills its buffer backwards. Callers write fields in descending order.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Where the written bytes start.
    start: usize,
}

impl Writer {
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            buffer: vec![0; capacity],
            start: capacity,
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn written(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub fn into_vec(mut self) -> Vec<u8> {
        self.buffer.drain(..self.start);
        self.buffer
    }

    fn byte(&mut self, byte: u8) {
        self.reserve(1);
        self.start -= 1;
        self.buffer[self.start] = byte;
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        let start = self.start - bytes.len();
        self.buffer[start..self.start].copy_from_slice(bytes);
        self.start = start;
    }

    pub fn varint(&mut self, mut value: u64) {
        if value < 0x80 {
            return self.byte(value as u8);
        }
        let mut encoded = [0u8; 10];
        let mut length = 0;
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            encoded[length] = if value == 0 { low } else { low | 0x80 };
            length += 1;
            if value == 0 {
                break;
            }
        }
        self.bytes(&encoded[..length]);
    }

    pub fn tag(&mut self, number: u32, wire_type: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire_type));
    }

    /// Closes a length-delimited field whose content was written since the length was `before`.
    pub fn close(&mut self, number: u32, before: usize) {
        self.varint((self.len() - before) as u64);
        self.tag(number, 2);
    }

    pub fn varint_field(&mut self, number: u32, value: u64) {
        self.varint(value);
        self.tag(number, 0);
    }

    pub fn bytes_field(&mut self, number: u32, bytes: &[u8]) {
        self.bytes(bytes);
        self.varint(bytes.len() as u64);
        self.tag(number, 2);
    }

    #[inline]
    fn reserve(&mut self, length: usize) {
        if self.start < length {
            self.grow(length);
        }
    }

    #[cold]
    fn grow(&mut self, length: usize) {
        let more = self.buffer.len().max(length).max(64);
        let (old, start) = (self.buffer.len(), self.start);
        self.buffer.resize(old + more, 0);
        self.buffer.copy_within(start..old, start + more);
        self.start = start + more;
    }
}
