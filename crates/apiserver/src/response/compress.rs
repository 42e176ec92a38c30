//! gzip for large answers to clients that accept it.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, VARY};

use super::{Body, Response, full};

/// Smaller answers cost more to compress than to send.
pub const THRESHOLD_BYTES: usize = 128 * 1024;

/// Whether the client accepts gzip.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.split(';').next().is_some_and(|name| name.trim() == "gzip"))
}

/// Says of a response that its body is compressed.
pub fn mark(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// Compresses a body that is already whole, if that pays.
pub fn gzip(mut response: Response, body: &Bytes) -> Response {
    if body.len() < THRESHOLD_BYTES || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 6), Compression::fast());
    let Ok(compressed) = encoder.write_all(body).and_then(|()| encoder.finish()) else {
        return response;
    };
    mark(response.headers_mut());
    let body: Body = full(compressed);
    response.map(|_| body)
}
