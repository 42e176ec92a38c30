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

pub(super) struct EtcdFollowing {
    /// Every event up to here was applied.
    applied: latest::Receiver<Revision>,
    wanted: latest::Sender<Revision>,
    exact_progress: bool,
    task: AbortHandle,
}

impl Drop for EtcdFollowing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Following for EtcdFollowing {
    fn position(&self) -> Revision {
        *self.applied.borrow()
    }

    fn reached(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            self.wanted.send_if_modified(|wanted| {
                let is_newer = revision > *wanted;
                *wanted = revision.max(*wanted);
                is_newer
            });
            let mut applied = self.applied.clone();
            let reached = applied.wait_for(|applied| *applied >= revision).await;
            reached
                .map(drop)
                .map_err(|_| Error::Unavailable("the following of etcd has ended".into()))
        }
        .boxed()
    }

    fn tells_progress(&self) -> bool {
        self.exact_progress
    }
}

/// Fills the follower, and keeps feeding it from a task.
pub(super) async fn begin(
    calls: Calls,
    prefix: Key,
    follower: Arc<dyn Follower>,
) -> Result<EtcdFollowing, Error> {
    let (wanted, wanted_seen) = latest::channel(Revision::default());
    let (set_applied, applied) = latest::channel(Revision::default());
    let exact_progress = calls
        .status()
        .await
        .is_ok_and(|status| has_exact_progress(&status.version));
    let mut feed = Feed {
        calls,
        prefix,
        follower,
        wanted: wanted_seen,
        applied: set_applied,
        exact_progress,
    };
    feed.list().await?;
    let task = tokio::spawn(feed.run()).abort_handle();
    Ok(EtcdFollowing {
        applied,
        wanted,
        exact_progress,
        task,
    })
}

/// Whether a requested progress notification never overtakes events (etcd-io/etcd#15220, fixed in these). Others
/// are not asked: nothing else tells that a key was not created and deleted again where the watch has yet to come.
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
    applied: latest::Sender<Revision>,
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
        self.follower.reset(revision, items);
        self.applied.send_replace(revision);
        Ok(())
    }

    /// Feeds from a watch until it fails.
    async fn pump(&mut self, mut watch: EtcdWatch) -> Error {
        loop {
            let wanted = *self.wanted.borrow_and_update();
            let is_awaited = self.exact_progress && wanted > self.applied();
            if is_awaited {
                watch.request_progress();
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
        *self.applied.borrow()
    }

    fn apply(&mut self, events: &[Arc<Event>]) {
        let Some(last) = events.last() else { return };
        self.follower.apply(events);
        self.advance(last.revision);
    }

    fn advance(&self, applied: Revision) {
        self.applied.send_modify(|before| *before = applied.max(*before));
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
