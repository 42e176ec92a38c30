//! Watches as cursors over the store's history: no buffer per watcher, and a reader that falls behind the
//! history is told so.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::sync::watch as latest;

use super::{Progress, Shared};
use crate::{Error, Event, Key, Revision, WatchItem, WatchStream};

/// Events handed out at a time, and changes looked at under one hold of the lock.
const MAX_EVENTS: usize = 512;
const MAX_LOOKED_AT: usize = 16 * 1024;

struct Cursor {
    shared: Arc<Shared>,
    progress: latest::Receiver<Progress>,
    prefix: Key,
    /// Every change up to here was looked at.
    position: Revision,
    reported: Revision,
    ended: bool,
}

/// Starts a watch; `after` must be retained.
pub(super) fn open(shared: Arc<Shared>, prefix: Key, after: Option<Revision>) -> Result<WatchStream, Error> {
    let progress = shared.progress.subscribe();
    let position = match after {
        None => shared.index.read().revision(),
        Some(after) => shared.index.read().changes_after(after).map(|_| after)?,
    };
    let cursor = Cursor {
        shared,
        progress,
        prefix,
        position,
        reported: position,
        ended: false,
    };
    Ok(stream::unfold(cursor, |mut cursor| async move {
        if cursor.ended {
            return None;
        }
        let item = cursor.next().await;
        cursor.ended = item.is_err();
        Some((item, cursor))
    })
    .boxed())
}

impl Cursor {
    async fn next(&mut self) -> Result<WatchItem, Error> {
        loop {
            let newest = self.progress.borrow_and_update().clone();
            let events = self.advance()?;
            if let Some(last) = events.last() {
                self.reported = last.revision;
                return Ok(WatchItem::Events(events));
            }
            if self.position < newest.newest {
                continue;
            }
            if self.position > self.reported {
                self.reported = self.position;
                return Ok(WatchItem::Progress(self.position));
            }
            if let Some(error) = newest.closed {
                return Err(error);
            }
            let closed = self.progress.changed().await.is_err();
            if closed {
                return Err(Error::Unavailable("the store is closed".into()));
            }
        }
    }

    /// The next events under the prefix, none when there are none within reach.
    fn advance(&mut self) -> Result<Vec<Arc<Event>>, Error> {
        let index = self.shared.index.read();
        let mut events = Vec::new();
        for event in index.changes_after(self.position)?.take(MAX_LOOKED_AT) {
            self.position = event.revision;
            if event.key().starts_with(&self.prefix) {
                events.push(event.clone());
                if events.len() == MAX_EVENTS {
                    break;
                }
            }
        }
        Ok(events)
    }
}
