//! Copying everything from one store to another: embedded to etcd, or back.
//!
//! Revisions are the target's own, so clients of the old store have to list anew: the servers are to be stopped
//! meanwhile. Times to live don't stand beside the values that a store hands out; the caller gives them again.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::digest::{Digest, Digester};
use crate::{Error, Expect, Key, RangeRequest, Revision, Store, Write};

/// Keys that are read at a time, and writes in flight.
const PAGE: usize = 500;
const CONCURRENT_WRITES: usize = 64;

/// Why a store was not copied.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("the target holds {0} keys already")]
    NotEmpty(u64),
    #[error("the copy differs from the original: {copied} instead of {original}")]
    Differs { original: Digest, copied: Digest },
    #[error(transparent)]
    Store(#[from] Error),
}

/// What was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    pub keys: u64,
    pub digest: Digest,
}

/// Copies all keys under the prefix, and compares the two by digest.
/// `time_to_live` tells which keys the target is to delete by itself, and when.
pub async fn copy(
    from: &dyn Store,
    to: &dyn Store,
    prefix: &Key,
    time_to_live: &(dyn Fn(&Key) -> Option<Duration> + Sync),
) -> Result<Contents, MigrationError> {
    let present = to.count(prefix).await?;
    if present > 0 {
        return Err(MigrationError::NotEmpty(present));
    }
    let revision = from.current_revision().await?;
    let mut after = None;
    loop {
        let page = page(from, prefix, after, revision).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        stream::iter(page)
            .map(|item| async move {
                let put = Write::Put {
                    value: item.value.clone(),
                    ttl: time_to_live(&item.key),
                };
                to.commit(&item.key, Expect::Absent, put).await
            })
            .buffer_unordered(CONCURRENT_WRITES)
            .try_for_each(|_| async { Ok(()) })
            .await?;
    }
    let original = contents(from, prefix, revision).await?;
    let copied = contents(to, prefix, to.current_revision().await?).await?;
    if original != copied {
        return Err(MigrationError::Differs {
            original: original.digest,
            copied: copied.digest,
        });
    }
    Ok(copied)
}

/// Count and digest of the keys under a prefix, as of a revision.
pub async fn contents(store: &dyn Store, prefix: &Key, revision: Revision) -> Result<Contents, Error> {
    let (mut keys, mut digester, mut after) = (0, Digester::default(), None);
    loop {
        let page = page(store, prefix, after, revision).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.key.clone());
        for item in page {
            digester.add(&item.key, &item.value);
            keys += 1;
        }
    }
    Ok(Contents {
        keys,
        digest: digester.finish(),
    })
}

async fn page(
    store: &dyn Store,
    prefix: &Key,
    after: Option<Key>,
    revision: Revision,
) -> Result<Vec<std::sync::Arc<crate::KeyValue>>, Error> {
    let request = RangeRequest {
        prefix: prefix.clone(),
        after,
        limit: PAGE,
        revision: Some(revision),
    };
    Ok(store.range(request).await?.items)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::memory;

    #[tokio::test]
    async fn a_copy_has_the_same_digest_and_needs_an_empty_target() {
        let (from, to) = (
            memory::open(Default::default()).unwrap(),
            memory::open(Default::default()).unwrap(),
        );
        for n in 0..1200 {
            let put = Write::Put {
                value: Bytes::from(vec![n as u8; n % 300]),
                ttl: None,
            };
            from.commit(format!("/registry/x/{n}").as_bytes(), Expect::Absent, put)
                .await
                .unwrap();
        }
        let prefix = Key::from("/registry/");
        let copied = copy(&from, &to, &prefix, &|_| None).await.unwrap();
        assert_eq!(copied.keys, 1200);
        assert_eq!(
            copied,
            contents(&from, &prefix, from.current_revision().await.unwrap())
                .await
                .unwrap()
        );
        let again = copy(&from, &to, &prefix, &|_| None).await;
        assert!(matches!(again, Err(MigrationError::NotEmpty(1200))));
        let put = Write::Put {
            value: Bytes::new(),
            ttl: None,
        };
        let changed = from.commit(b"/registry/y", Expect::Absent, put).await.unwrap();
        assert_ne!(
            copied.digest,
            contents(&from, &prefix, changed).await.unwrap().digest
        );
    }
}
