//! Reading fields off protobuf bytes.

/// Messages may nest this deep. Only schemas of custom resources recurse; the rest of the API is far shallower.
pub const MAX_DEPTH: u8 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("unexpected end of protobuf data")]
    Truncated,
    #[error("a protobuf varint is longer than 64 bits")]
    Overflow,
    #[error("field number 0 or a wire type that does not exist")]
    Tag,
    #[error("a field has a wire type that its kind does not use")]
    WireType,
    #[error("messages nest too deep")]
    Depth,
    #[error("a quantity cannot be parsed")]
    Quantity,
    #[error("a time is out of range")]
    Time,
    #[error("a document inside is not UTF-8")]
    Document,
}

/// A field's raw value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// A raw value and how deep in the message it is.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pub wire: Wire<'a>,
    pub depth: u8,
}

impl<'a> Value<'a> {
    /// The bytes of a length-delimited value.
    pub fn bytes(self) -> Result<&'a [u8], DecodeError> {
        match self.wire {
            Wire::Bytes(bytes) => Ok(bytes),
            _ => Err(DecodeError::WireType),
        }
    }

    pub fn varint(self) -> Result<u64, DecodeError> {
        match self.wire {
            Wire::Varint(value) => Ok(value),
            _ => Err(DecodeError::WireType),
        }
    }

    /// Reads the value as a message, one level deeper.
    pub fn message(self) -> Result<Reader<'a>, DecodeError> {
        if self.depth >= MAX_DEPTH {
            return Err(DecodeError::Depth);
        }
        Ok(Reader {
            bytes: self.bytes()?,
            at: 0,
            depth: self.depth + 1,
        })
    }
}

/// Iterates over the fields of a message.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    /// The offset of the next field.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next field's number and value; `None` at the end. Groups, which the API does not use, are skipped.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Value<'a>)>, DecodeError> {
        while self.at < self.bytes.len() {
            let tag = self.varint()?;
            let number = u32::try_from(tag >> 3)
                .ok()
                .filter(|n| *n != 0)
                .ok_or(DecodeError::Tag)?;
            let wire = match tag & 7 {
                0 => Wire::Varint(self.varint()?),
                1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::Truncated)?;
                    Wire::Bytes(self.take(length)?)
                }
                // A group's inner fields are read as unknown ones: its marks alone carry nothing.
                3 | 4 => continue,
                5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
                _ => return Err(DecodeError::Tag),
            };
            return Ok(Some((
                number,
                Value {
                    wire,
                    depth: self.depth,
                },
            )));
        }
        Ok(None)
    }

    /// The same message, read from one position to another.
    pub fn window(&self, start: usize, end: usize) -> Reader<'a> {
        Reader {
            bytes: &self.bytes[..end],
            at: start,
            depth: self.depth,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        // Nearly all tags and most lengths are one byte.
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for (index, byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        Err(if self.bytes.len() - self.at >= 10 {
            DecodeError::Overflow
        } else {
            DecodeError::Truncated
        })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(length).ok_or(DecodeError::Truncated)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Truncated)
    }
}
