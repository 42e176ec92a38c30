//! Cutting a watch's byte stream into events: length-delimited protobuf or JSON documents in lines.
//!
//! Upstream: apimachinery/pkg/util/framer

use api::meta::v1::ObjectMeta;
use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest event accepted: larger than any storable object, far smaller than memory.
const MAX_FRAME_BYTES: usize = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FrameError {
    #[error("watch event of more than {MAX_FRAME_BYTES} bytes")]
    TooLarge,
    #[error("watch ended in the middle of an event")]
    Truncated,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    LengthDelimited,
    Lines,
}

/// Bytes received and not yet handed out.
#[derive(Debug)]
pub struct Framing {
    kind: Kind,
    buffer: BytesMut,
    /// How far the buffer was searched for a line's end.
    searched: usize,
    finished: bool,
}

impl Framing {
    pub fn length_delimited() -> Self {
        Framing {
            kind: Kind::LengthDelimited,
            buffer: BytesMut::new(),
            searched: 0,
            finished: false,
        }
    }

    pub fn lines() -> Self {
        Framing {
            kind: Kind::Lines,
            ..Self::length_delimited()
        }
    }

    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    pub fn clear(&mut self) {
        self.buffer.clear();
        self.searched = 0;
    }

    pub fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        match self.kind {
            Kind::LengthDelimited => self.next_delimited(),
            Kind::Lines => self.next_line(),
        }
    }

    fn next_delimited(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return self.incomplete();
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLarge);
        }
        if self.buffer.len() < 4 + length {
            return self.incomplete();
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    fn next_line(&mut self) -> Result<Option<Bytes>, FrameError> {
        loop {
            let Some(end) = self.buffer[self.searched..]
                .iter()
                .position(|&byte| byte == b'\n')
            else {
                self.searched = self.buffer.len();
                return self.last_line();
            };
            let mut line = self.buffer.split_to(self.searched + end + 1);
            self.searched = 0;
            line.truncate(line.len() - 1);
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line.freeze()));
            }
        }
    }

    /// A last document needs no line's end.
    fn last_line(&mut self) -> Result<Option<Bytes>, FrameError> {
        if self.finished && !self.buffer.trim_ascii().is_empty() {
            self.searched = 0;
            return Ok(Some(self.buffer.split().freeze()));
        }
        self.buffer_bound()
    }

    fn incomplete(&self) -> Result<Option<Bytes>, FrameError> {
        if self.finished && !self.buffer.is_empty() {
            Err(FrameError::Truncated)
        } else {
            self.buffer_bound()
        }
    }

    fn buffer_bound(&self) -> Result<Option<Bytes>, FrameError> {
        if self.buffer.len() > MAX_FRAME_BYTES + 4 {
            Err(FrameError::TooLarge)
        } else {
            Ok(None)
        }
    }
}

/// Type and object of an event in JSON.
pub fn json_event(frame: &Bytes) -> Result<(String, Bytes), String> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        type_: String,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let event: Event<'_> = serde_json::from_slice(frame).map_err(|error| error.to_string())?;
    Ok((event.type_, frame.slice_ref(event.object.get().as_bytes())))
}

/// The metadata of a JSON document, without reading the rest of it into a tree.
pub fn json_metadata(document: &[u8]) -> Result<ObjectMeta, String> {
    use api::Message;
    #[derive(Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        metadata: Option<&'a RawValue>,
    }
    let document: Document<'_> = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    match document.metadata {
        Some(metadata) => ObjectMeta::from_json(metadata.get().as_bytes()).map_err(|error| error.to_string()),
        None => Ok(ObjectMeta::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(framing: &mut Framing) -> Result<Vec<Bytes>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = framing.next_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn delimited_frames_survive_any_cut() {
        let stream = b"\0\0\0\x02ab\0\0\0\0\0\0\0\x03cde";
        for cut in 0..stream.len() {
            let mut framing = Framing::length_delimited();
            framing.push(&stream[..cut]);
            let mut frames = drain(&mut framing).expect("valid");
            framing.push(&stream[cut..]);
            frames.extend(drain(&mut framing).expect("valid"));
            assert_eq!(frames, ["ab", "", "cde"], "cut at {cut}");
        }
    }

    #[test]
    fn oversized_and_truncated_frames_are_errors() {
        let mut framing = Framing::length_delimited();
        framing.push(&u32::MAX.to_be_bytes());
        assert_eq!(framing.next_frame(), Err(FrameError::TooLarge));

        let mut framing = Framing::length_delimited();
        framing.push(b"\0\0\0\x05ab");
        framing.finish();
        assert_eq!(framing.next_frame(), Err(FrameError::Truncated));
    }

    #[test]
    fn lines_skip_blanks_and_accept_an_unterminated_end() {
        let mut framing = Framing::lines();
        framing.push(b"{\"a\":1}\n\n  \n{\"b\"");
        assert_eq!(drain(&mut framing).expect("valid"), ["{\"a\":1}"]);
        framing.push(b":2}");
        framing.finish();
        assert_eq!(drain(&mut framing).expect("valid"), ["{\"b\":2}"]);
    }

    #[test]
    fn json_event_shares_the_frame() {
        let frame = Bytes::from_static(br#"{"type":"ADDED","object":{"kind":"Pod"}}"#);
        let (type_, object) = json_event(&frame).expect("valid");
        assert_eq!(
            (type_.as_str(), object),
            ("ADDED", Bytes::from_static(br#"{"kind":"Pod"}"#))
        );
    }
}
