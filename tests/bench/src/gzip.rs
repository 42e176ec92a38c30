//! Answers as client-go gets them: compressed. They are not inflated, which would take the processor from the server
//! that is measured: how long they are plain stands at their end.

use bytes::Bytes;
use client::transport::http::HttpTransport;
use client::transport::{Body, Error, Transport};
use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};

/// Accepts compressed answers, and hands them on as they are.
pub struct GzipTransport(pub HttpTransport);

impl Transport for GzipTransport {
    fn send(
        &self,
        mut request: http::Request<Bytes>,
    ) -> BoxFuture<'static, Result<http::Response<Body>, Error>> {
        request
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        self.0.send(request)
    }
}

pub fn is_compressed(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| coding.as_bytes() == b"gzip")
}

/// The plain beginning, as far as the compressed beginning tells it.
pub fn beginning(compressed: &[u8], limit: usize) -> Vec<u8> {
    let mut inflated = flate2::read::GzDecoder::new(compressed);
    let mut plain = vec![0; limit];
    let mut len = 0;
    // What was cut off ends in an error.
    while let Ok(read @ 1..) = std::io::Read::read(&mut inflated, &mut plain[len..]) {
        len += read;
    }
    plain.truncate(len);
    plain
}

/// Follows an answer to its end, where the plain length stands (RFC 1952: ISIZE, modulo 2^32).
#[derive(Default)]
pub struct Trailer([u8; 4]);

impl Trailer {
    pub fn follow(&mut self, data: &[u8]) {
        let kept = data.len().min(4);
        self.0.rotate_left(kept);
        self.0[4 - kept..].copy_from_slice(&data[data.len() - kept..]);
    }

    pub fn plain_len(&self) -> u64 {
        u64::from(u32::from_le_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn plain_lengths_and_beginnings() {
        let plain = b"some text that says little ".repeat(40_000);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        let compressed = encoder.finish().unwrap();
        for size in [1, 2, 3, 4, 5, compressed.len()] {
            let mut trailer = Trailer::default();
            compressed.chunks(size).for_each(|chunk| trailer.follow(chunk));
            assert_eq!(trailer.plain_len(), plain.len() as u64);
        }
        assert_eq!(beginning(&compressed[..1000], 100), plain[..100]);
        assert_eq!(beginning(&compressed, 2 * plain.len()), plain);
    }
}
