//! Mirrors of a prefix, fed by the writer in commit order.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Shared;
use crate::{Error, Event, Follower, Following, Key, Revision};

/// All followers of a store.
#[derive(Default)]
pub(crate) struct Followers {
    next_id: u64,
    by_id: BTreeMap<u64, (Key, Arc<dyn Follower>)>,
}

impl Followers {
    /// Gives each follower its part of the events.
    pub fn apply(&self, events: &[Arc<Event>]) {
        let mut own = Vec::new();
        for (prefix, follower) in self.by_id.values() {
            own.extend(
                events
                    .iter()
                    .filter(|event| event.key().starts_with(prefix))
                    .cloned(),
            );
            if !own.is_empty() {
                follower.apply(&own);
                own.clear();
            }
        }
    }

    pub fn interrupt(&self, error: &Error) {
        self.by_id
            .values()
            .for_each(|(_, follower)| follower.interrupted(error));
    }
}

/// A follower's registration.
pub(super) struct LocalFollowing {
    shared: Arc<Shared>,
    id: u64,
}

impl LocalFollowing {
    /// Feeds the follower with the oldest retained state and the history since, so that it can serve watches
    /// from before its time, and registers it for what comes.
    pub fn begin(shared: Arc<Shared>, prefix: Key, follower: Arc<dyn Follower>) -> Self {
        // Under the index's lock nothing is published: no change is missed and none is seen twice.
        let index = shared.index.read();
        let oldest = index
            .view_at(index.oldest())
            .expect("invariant: the oldest revision is retained");
        follower.reset(oldest.revision, oldest.range(&prefix, None).cloned().collect());
        let history = index
            .changes_after(oldest.revision)
            .expect("invariant: the oldest revision is retained");
        let history: Vec<_> = history
            .filter(|event| event.key().starts_with(&prefix))
            .cloned()
            .collect();
        follower.apply(&history);
        let mut followers = shared.followers.lock();
        let id = followers.next_id;
        followers.next_id += 1;
        followers.by_id.insert(id, (prefix, follower));
        drop(followers);
        drop(index);
        Self { shared, id }
    }
}

impl Drop for LocalFollowing {
    fn drop(&mut self) {
        let removed = self.shared.followers.lock().by_id.remove(&self.id);
        // The follower's own drop may be long: not under the lock.
        drop(removed);
    }
}

impl Following for LocalFollowing {
    fn position(&self) -> Revision {
        self.shared.newest()
    }

    fn reached(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let mut progress = self.shared.progress.subscribe();
            let reached = progress
                .wait_for(|progress| progress.newest >= revision || progress.closed.is_some())
                .await;
            match reached {
                Ok(progress) if progress.newest >= revision => Ok(()),
                Ok(progress) => Err(progress.closed.clone().unwrap_or(Error::Slow)),
                Err(_) => Err(Error::Unavailable("the store is closed".into())),
            }
        }
        .boxed()
    }
}
