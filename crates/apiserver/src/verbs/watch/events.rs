//! The events of a watch in the version that is served.
//!
//! Most are shown as the cache holds them. Those of a kind that a webhook converts wait for it, while what comes
//! meanwhile waits in the watcher's queue.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use apimachinery::status::Status;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use storage::Error;
use storage::cache::{Watch, WatchEvent};

use crate::objects::Objects;

/// Events that are converted together at most.
const MAX_BATCH: usize = 500;

/// Why a watch goes no further.
pub enum Failure {
    Store(Error),
    Conversion(Status),
}

/// See the module.
pub enum Events {
    AsCached(Box<Watch>),
    Converted(BoxStream<'static, Result<WatchEvent, Failure>>),
}

impl Events {
    pub fn new(watch: Watch, objects: &Arc<Objects>) -> Events {
        match objects.converter {
            None => Events::AsCached(Box::new(watch)),
            Some(_) => Events::Converted(converted(watch, objects.clone()).boxed()),
        }
    }

    /// An event that waits already.
    pub fn next_waiting(&mut self) -> Option<WatchEvent> {
        match self {
            Events::AsCached(watch) => watch.next_waiting(),
            Events::Converted(_) => None,
        }
    }
}

impl Stream for Events {
    type Item = Result<WatchEvent, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Events::AsCached(watch) => watch
                .poll_next_unpin(cx)
                .map(|item| item.map(|event| event.map_err(Failure::Store))),
            Events::Converted(events) => events.poll_next_unpin(cx),
        }
    }
}

fn converted(watch: Watch, objects: Arc<Objects>) -> impl Stream<Item = Result<WatchEvent, Failure>> + Send {
    let batches = stream::try_unfold((watch, objects), |(mut watch, objects)| async move {
        let Some(first) = watch.next().await else {
            return Ok(None);
        };
        let mut batch = vec![first.map_err(Failure::Store)?];
        while let Some(event) = (batch.len() < MAX_BATCH).then(|| watch.next_waiting()).flatten() {
            batch.push(event);
        }
        let shown = convert(&objects, batch).await.map_err(Failure::Conversion)?;
        Ok(Some((stream::iter(shown.into_iter().map(Ok)), (watch, objects))))
    });
    batches.try_flatten()
}

/// One event is converted for all who watch; many are of a first state, and sent in one review.
async fn convert(objects: &Objects, batch: Vec<WatchEvent>) -> Result<Vec<WatchEvent>, Status> {
    if let [WatchEvent::Object(event)] = &batch[..] {
        let shown = objects.event_in_own_version(event).await?;
        return Ok(vec![WatchEvent::Object(shown)]);
    }
    let entries = batch.iter().filter_map(|event| match event {
        WatchEvent::Object(event) => Some(event.entry.clone()),
        WatchEvent::Bookmark { .. } => None,
    });
    let mut shown = objects
        .entries_in_own_version(entries.collect())
        .await?
        .into_iter();
    let show = |event| match event {
        WatchEvent::Object(event) => {
            let entry = shown.next().unwrap_or_else(|| event.entry.clone());
            WatchEvent::Object(Arc::new(event.with_entry(entry)))
        }
        bookmark => bookmark,
    };
    Ok(batch.into_iter().map(show).collect())
}
