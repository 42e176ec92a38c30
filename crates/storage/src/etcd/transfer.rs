//! Everything under a prefix, out of etcd with its times to live and into an empty one.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::calls::key_value;
use super::{EtcdStore, PAGE};
use crate::contents::{Contents, TransferError, verify};
use crate::local::journal::State;
use crate::{Error, Expect, Key, Store, Write};

/// Writes in flight.
const CONCURRENT_WRITES: usize = 64;

impl EtcdStore {
    /// Reads everything under the prefix, as of one revision; servers may go on writing.
    pub async fn contents(&self, prefix: &Key) -> Result<Contents, Error> {
        let mut contents = Contents(State::empty(self.current_revision().await?));
        let state = &mut contents.0;
        let (mut after, mut ends): (Option<Key>, HashMap<i64, SystemTime>) = (None, HashMap::new());
        loop {
            let page = self
                .calls
                .range_page(prefix, after.as_deref(), PAGE, Some(state.view.revision))
                .await?;
            let is_last = page.kvs.is_empty() || page.count <= page.kvs.len() as i64;
            for kv in page.kvs {
                let lease = kv.lease;
                let item = key_value(kv);
                if lease != 0 {
                    let end = match ends.get(&lease) {
                        Some(end) => *end,
                        None => *ends.entry(lease).or_insert(self.end_of(lease).await?),
                    };
                    state.expiries.set(&item.key, Some(end));
                }
                after = Some(item.key.clone());
                state.view.map.insert(item.key.clone(), item);
            }
            if is_last {
                return Ok(contents);
            }
        }
    }

    /// Writes contents under a prefix that holds nothing, and reads them again.
    ///
    /// Revisions are etcd's own, so clients of the old store have to list anew. What has expired goes in a second.
    pub async fn fill(&self, prefix: &Key, contents: &Contents) -> Result<(), TransferError> {
        let present = self.count(prefix).await?;
        if present > 0 {
            return Err(TransferError::NotEmpty(present));
        }
        let now = SystemTime::now();
        stream::iter(contents.items())
            .map(|item| async move {
                let ttl = contents.expires(&item.key).map(|end| {
                    end.duration_since(now)
                        .unwrap_or_default()
                        .max(Duration::from_secs(1))
                });
                let put = Write::Put {
                    value: item.value.bytes(),
                    ttl,
                };
                self.commit(&item.key, Expect::Absent, put).await
            })
            .buffer_unordered(CONCURRENT_WRITES)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        verify(&contents.report(), &self.contents(prefix).await?.report())
    }

    /// When the lease ends.
    async fn end_of(&self, lease: i64) -> Result<SystemTime, Error> {
        Ok(SystemTime::now() + self.calls.time_to_live(lease).await?)
    }
}
