//! Bodies of requests and responses, and reading one within a bound.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body could not be read: {0}")]
    Broken(BoxError),
}

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body whose chunks are sent as they come.
pub fn stream<S>(chunks: S) -> Body
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    StreamBody::new(chunks.map_ok(Frame::data)).boxed_unsync()
}

/// A plain text response.
pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

/// Most bytes that are read, and thrown away, of a body that is too large, counted from its beginning. A client that
/// still sends when the answer comes and its stream is closed gets to see a reset instead of the answer.
const MAX_DISCARDED_BYTES: u64 = 16 << 20;

/// Reads a whole body, at most `limit` bytes of it. Of one that is larger nothing is kept.
pub async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Error> {
    let declared = body.size_hint().lower();
    if declared > limit as u64 {
        // Nobody waits for what is too long to be read to its end.
        if declared <= MAX_DISCARDED_BYTES {
            discard(body, 0).await;
        }
        return Err(Error::TooLarge(limit));
    }
    let mut collected = BytesMut::new();
    let mut first: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::Broken)?.into_data() else {
            continue;
        };
        let so_far = first.as_ref().map_or(collected.len(), Bytes::len);
        if so_far + data.len() > limit {
            drop((collected, first));
            discard(body, (so_far + data.len()) as u64).await;
            return Err(Error::TooLarge(limit));
        }
        // Most bodies are one frame: that one is handed on without a copy.
        match first.take() {
            None if collected.is_empty() => first = Some(data),
            None => collected.extend_from_slice(&data),
            Some(head) => {
                collected.reserve(head.len() + data.len());
                collected.extend_from_slice(&head);
                collected.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| collected.freeze()))
}

/// Reads on within the bound; what goes wrong meanwhile changes nothing of the answer.
async fn discard(mut body: Body, mut read: u64) {
    while read < MAX_DISCARDED_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len) as u64;
    }
}
