//! Mirrors of a prefix over connections that break: list, watch, resume, and list again after a compaction.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch as latest;
use tokio::task::AbortHandle;
use tracing::info;

use super::PAGE;
use super::calls::Calls;
use super::watch::{self, EtcdWatch};
use crate::{Error, Event, Follower, Following, Key, Revision, WatchItem};

/// While someone waits for a revision, etcd is asked that often how far the watch is.
const ASK_INTERVAL: Duration = Duration::from_millis(100);
/// Between attempts to reconnect.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// How far a mirror is known to be.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// Every event up to here was applied.
    applied: Revision,
    /// The mirror's content is that of this revision or a later one.
    confirmed: Revision,
}

pub(super) struct EtcdFollowing {
    reached: latest::Receiver<Reached>,
    wanted: latest::Sender<Revision>,
    task: AbortHandle,
}

impl Drop for EtcdFollowing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following for EtcdFollowing {
    fn position(&self) -> Revision {
        self.reached.borrow().applied
    }

    fn reached(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            self.wanted.send_if_modified(|wanted| {
                let is_newer = revision > *wanted;
                *wanted = revision.max(*wanted);
                is_newer
            });
            let mut reached = self.reached.clone();
            let found = reached
                .wait_for(|reached| reached.applied.max(reached.confirmed) >= revision)
                .await;
            found
                .map(drop)
                .map_err(|_| Error::Unavailable("the following of etcd has ended".into()))
        }
        .boxed()
    }
}

/// Fills the follower, and keeps feeding it from a task.
pub(super) async fn begin(
    calls: Calls,
    prefix: Key,
    follower: Arc<dyn Follower>,
) -> Result<EtcdFollowing, Error> {
    let (wanted, wanted_seen) = latest::channel(Revision::default());
    let (set_reached, reached) = latest::channel(Reached::default());
    let exact_progress = calls
        .status()
        .await
        .is_ok_and(|status| has_exact_progress(&status.version));
    let mut feed = Feed {
        calls,
        prefix,
        follower,
        wanted: wanted_seen,
        reached: set_reached,
        count: 0,
        exact_progress,
    };
    feed.list().await?;
    let task = tokio::spawn(feed.run()).abort_handle();
    Ok(EtcdFollowing {
        reached,
        wanted,
        task,
    })
}

/// Whether a requested progress notification never overtakes events (etcd-io/etcd#15220, fixed in these).
fn has_exact_progress(version: &str) -> bool {
    let mut parts = version
        .split(['.', '-', '+'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    match (part(), part(), part()) {
        (3, 4, patch) => patch >= 25,
        (3, 5, patch) => patch >= 8,
        (major, minor, _) => (major, minor) >= (3, 6),
    }
}

struct Feed {
    calls: Calls,
    prefix: Key,
    follower: Arc<dyn Follower>,
    wanted: latest::Receiver<Revision>,
    reached: latest::Sender<Reached>,
    /// Keys in the mirror.
    count: u64,
    exact_progress: bool,
}

impl Feed {
    async fn run(mut self) {
        loop {
            let error = match watch::open(&self.calls, &self.prefix, Some(self.applied())).await {
                Ok(watch) => self.pump(watch).await,
                Err(error) => error,
            };
            self.follower.interrupted(&error);
            tokio::time::sleep(RETRY_INTERVAL).await;
            if matches!(error, Error::Compacted { .. }) {
                self.list_until_done().await;
            }
        }
    }

    async fn list_until_done(&mut self) {
        info!(prefix = %self.prefix, "listing anew from etcd");
        while let Err(error) = self.list().await {
            self.follower.interrupted(&error);
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Replaces the mirror by a list of one revision.
    async fn list(&mut self) -> Result<(), Error> {
        let (mut items, mut after, mut revision) = (Vec::new(), None, None);
        loop {
            let page = self
                .calls
                .page(&self.prefix, after.as_deref(), PAGE, revision)
                .await?;
            revision = Some(page.revision);
            after = page.items.last().map(|item| item.key.clone());
            items.extend(page.items);
            if page.remaining == 0 || after.is_none() {
                break;
            }
        }
        let revision = revision.unwrap_or_default();
        self.count = items.len() as u64;
        self.follower.reset(revision, items);
        self.reached.send_replace(Reached {
            applied: revision,
            confirmed: revision,
        });
        Ok(())
    }

    /// Feeds from a watch until it fails.
    async fn pump(&mut self, mut watch: EtcdWatch) -> Error {
        loop {
            let is_awaited = *self.wanted.borrow_and_update() > self.reached.borrow().confirmed;
            if is_awaited && let Err(error) = self.ask(&watch).await {
                return error;
            }
            tokio::select! {
                item = watch.next() => match item {
                    Ok(WatchItem::Events(events)) => self.apply(&events),
                    Ok(WatchItem::Progress(revision)) => {
                        self.follower.progressed(revision);
                        self.advance(revision);
                    }
                    Err(error) => return error,
                },
                // The sender lives as long as the following, whose drop ends this task.
                _ = self.wanted.changed() => {}
                () = tokio::time::sleep(ASK_INTERVAL), if is_awaited => {}
            }
        }
    }

    fn applied(&self) -> Revision {
        self.reached.borrow().applied
    }

    fn apply(&mut self, events: &[Arc<Event>]) {
        let Some(last) = events.last() else { return };
        for event in events {
            match (&event.previous, &event.current) {
                (None, Some(_)) => self.count += 1,
                (Some(_), None) => self.count -= 1,
                _ => {}
            }
        }
        self.follower.apply(events);
        self.advance(last.revision);
    }

    fn advance(&self, applied: Revision) {
        self.reached.send_modify(|reached| {
            reached.applied = applied.max(reached.applied);
            reached.confirmed = reached.applied.max(reached.confirmed);
        });
    }

    /// Someone waits for a revision, and nothing says that the watch has come so far.
    ///
    /// Old servers may answer a request for progress before they send events that they owe. So the state is
    /// compared instead: when no key that exists was changed after the mirror's position, and as many exist as in
    /// the mirror, then none was deleted either, and the mirror has the content of the revision that was read.
    async fn ask(&mut self, watch: &EtcdWatch) -> Result<(), Error> {
        if self.exact_progress {
            watch.request_progress();
            return Ok(());
        }
        let changes = self.calls.changes_after(&self.prefix, self.applied()).await?;
        if changes.newest.is_none() && changes.count == self.count {
            self.reached
                .send_modify(|reached| reached.confirmed = changes.revision.max(reached.confirmed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_exact_progress() {
        for (version, exact) in [
            ("3.4.23", false),
            ("3.4.25", true),
            ("3.5.7", false),
            ("3.5.8", true),
            ("3.6.0", true),
            ("3.6.0-rc.1", true),
            ("3.7.0", true),
            ("", false),
        ] {
            assert_eq!(has_exact_progress(version), exact, "{version}");
        }
    }
}
