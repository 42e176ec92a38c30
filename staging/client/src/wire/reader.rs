//! A forward scan over the fields of a protobuf message.

/// Bytes that aren't a protobuf message, and why.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("malformed protobuf: {0}")]
pub struct Malformed(pub &'static str);

/// The fields of a message, in order.
#[derive(Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Fields(message)
    }

    /// The next length-delimited field; scalars are passed over.
    pub fn next_bytes(&mut self) -> Result<Option<(u64, &'a [u8])>, Malformed> {
        while !self.0.is_empty() {
            let tag = self.varint()?;
            match tag & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| Malformed("length"))?;
                    return Ok(Some((tag >> 3, self.take(length)?)));
                }
                5 => drop(self.take(4)?),
                _ => return Err(Malformed("wire type")),
            }
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Malformed("truncated"))?;
        self.0 = tail;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(Malformed("truncated"))?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed("varint"))
    }
}
