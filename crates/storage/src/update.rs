//! Compare-and-swap loops over a store, for state that is changed by rule and not by a client's revision:
//! allocation bitmaps, counters, leases.

use std::sync::Arc;

use crate::{Error, Expect, KeyValue, Revision, Store, Write};

/// Conflicts are others' progress; that many in a row mean that something else is wrong.
const MAX_ATTEMPTS: usize = 256;

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E> {
    /// The change itself refused.
    #[error(transparent)]
    Refused(E),
    #[error(transparent)]
    Store(#[from] Error),
}

/// What to make of a key.
pub enum Decision<T> {
    /// Write, and return the result once it is durable.
    Write(Write, T),
    /// Leave the key as it is.
    Keep(T),
}

/// Reads a key, lets `decide` say what to make of it, and writes that if the key is still the same; else again.
/// Returns the decision's result with the revision of the write, or of the read when nothing was to be written.
pub async fn update_key<T, E>(
    store: &dyn Store,
    key: &[u8],
    mut decide: impl FnMut(Option<&KeyValue>) -> Result<Decision<T>, E>,
) -> Result<(Revision, T), UpdateError<E>> {
    let (mut read_at, mut current) = store.get(key, None).await?;
    let mut last = None;
    for _ in 0..MAX_ATTEMPTS {
        let (write, result) = match decide(current.as_deref()).map_err(UpdateError::Refused)? {
            Decision::Keep(result) => return Ok((read_at, result)),
            Decision::Write(Write::Delete, result) if current.is_none() => return Ok((read_at, result)),
            Decision::Write(write, result) => (write, result),
        };
        match store.commit(key, expectation(current.as_ref()), write).await {
            Ok(revision) => return Ok((revision, result)),
            Err(conflict @ Error::Conflict { .. }) => last = Some(conflict),
            Err(error) => return Err(error.into()),
        }
        (read_at, current) = store.get(key, None).await?;
    }
    Err(last.unwrap_or(Error::Slow).into())
}

fn expectation(current: Option<&Arc<KeyValue>>) -> Expect {
    current.map_or(Expect::Absent, |current| Expect::Unchanged(current.mod_revision))
}
