//! Compaction by time: history older than an interval goes, as upstream's `--etcd-compaction-interval` asks.
//!
//! Several servers on one etcd each do it; the later ones find it done.
//!
//! Upstream: `apiserver/pkg/storage/etcd3/compact.go`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{debug, warn};

use crate::{Error, Revision, Store};

/// Compacts until the future is dropped: at each tick, what was newest at the tick before.
pub async fn run(store: Arc<dyn Store>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut compactor = Compactor::default();
    loop {
        ticks.tick().await;
        match compactor.tick(&*store).await {
            Ok(Some(revision)) => debug!(%revision, "compacted"),
            Ok(None) => {}
            // The next tick compacts that much more.
            Err(error) => warn!(%error, "history can't be compacted"),
        }
    }
}

/// Remembers what was newest one interval ago.
#[derive(Default)]
struct Compactor {
    previous: Option<Revision>,
}

impl Compactor {
    /// Compacts to the revision of the last tick, and returns it; nothing at the first tick.
    async fn tick(&mut self, store: &dyn Store) -> Result<Option<Revision>, Error> {
        let newest = store.current_revision().await?;
        if let Some(previous) = self.previous {
            store.compact(previous).await?;
        }
        Ok(self.previous.replace(newest))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{Expect, Write, memory};

    #[tokio::test]
    async fn history_goes_one_interval_later() {
        let store = memory::open(memory::Options::default()).unwrap();
        let mut compactor = Compactor::default();
        let mut revisions = Vec::new();
        let mut compacted = Vec::new();
        for key in [b"/a", b"/b", b"/c"] {
            let put = Write::Put {
                value: Bytes::new(),
                ttl: None,
            };
            revisions.push(store.commit(key, Expect::Absent, put).await.unwrap());
            compacted.push(compactor.tick(&store).await.unwrap());
        }
        assert_eq!(compacted, [None, Some(revisions[0]), Some(revisions[1])]);
        assert!(matches!(
            store.get(b"/a", Some(revisions[0])).await,
            Err(Error::Compacted { .. })
        ));
        assert!(store.get(b"/a", Some(revisions[1])).await.is_ok());
    }
}
