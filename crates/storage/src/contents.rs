//! Everything that a store holds as of one revision, with times to live: what backups keep, and what goes from one
//! kind of store to another.

use std::time::SystemTime;

use crate::digest::{Digest, Digester};
use crate::local::journal::State;
use crate::{KeyValue, Revision};

/// See the module. In memory: as large as the store's data.
pub struct Contents(pub(crate) State);

/// What a store or a backup holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub revision: Revision,
    pub keys: u64,
    /// Of all keys and values, in order: equal for equal contents, in whatever kind of store.
    pub digest: Digest,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "revision {}, {} keys, sha256 {}",
            self.revision, self.keys, self.digest
        )
    }
}

/// Why contents did not get from one store to another.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the target holds {0} keys already")]
    NotEmpty(u64),
    #[error("the copy differs from the original: {copied} instead of {original}")]
    Differs { original: Digest, copied: Digest },
    #[error(transparent)]
    Store(#[from] crate::Error),
}

impl Contents {
    pub fn report(&self) -> Report {
        let (mut keys, mut digester) = (0, Digester::default());
        for item in self.items() {
            digester.add(&item.key, &item.value.bytes());
            keys += 1;
        }
        Report {
            revision: self.0.view.revision,
            keys,
            digest: digester.finish(),
        }
    }

    /// In order of their keys.
    pub fn items(&self) -> impl Iterator<Item = &std::sync::Arc<KeyValue>> {
        self.0.view.map.values()
    }

    /// When the key is to be deleted, if ever.
    pub fn expires(&self, key: &[u8]) -> Option<SystemTime> {
        self.0.expiries.get(key)
    }

    /// Clients may have seen revisions that were lost since the contents were read: so many more than could have
    /// been make sure that none is given a second time, with another meaning.
    pub fn skip_revisions(&mut self, count: u64) {
        self.0.view.revision.0 += count;
    }
}

/// The digests are to be the same.
pub(crate) fn verify(original: &Report, copied: &Report) -> Result<(), TransferError> {
    if original.digest == copied.digest {
        return Ok(());
    }
    Err(TransferError::Differs {
        original: original.digest,
        copied: copied.digest,
    })
}
