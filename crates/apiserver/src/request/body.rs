//! Request bodies, bounded.

use apimachinery::status::Status;
use bytes::Bytes;
use component_base::serving::body::{Error, collect};

use super::Request;

/// Most bytes of a body that are read.
pub const MAX_BYTES: usize = 3 * 1024 * 1024;

/// Reads the whole body; 413 when it is longer than [`MAX_BYTES`].
pub async fn read(request: &mut Request) -> Result<Bytes, Status> {
    let Some(body) = request.take_body() else {
        return Ok(Bytes::new());
    };
    collect(body, MAX_BYTES).await.map_err(|error| match error {
        Error::TooLarge(limit) => Status::request_entity_too_large(format!("limit is {limit}")),
        Error::Broken(cause) => Status::bad_request(cause.to_string()),
    })
}
