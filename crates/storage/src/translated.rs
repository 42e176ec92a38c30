//! A store seen through a translation of its keys and values: what `encryption` and `rooted` have in common.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tracing::error;

use crate::{
    Error, Event, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision,
    Store, WatchItem, WatchStream, Write,
};

/// Between what callers see and what the inner store keeps.
pub(crate) trait Translation: Send + Sync + 'static {
    /// A key or a prefix, as the inner store has it. Keeps the order of keys.
    fn key_in<'a>(&self, key: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(key)
    }

    /// The value to keep under an inner key.
    fn value_in(&self, _inner_key: &[u8], value: Bytes) -> Result<Bytes, Error> {
        Ok(value)
    }

    /// What callers see of an item of the inner store: the same allocation where nothing is to be changed.
    fn item_out(&self, item: &Arc<KeyValue>) -> Result<Arc<KeyValue>, Error>;
}

/// See the module.
pub(crate) struct Translated<T> {
    inner: Arc<dyn Store>,
    translation: Arc<T>,
}

impl<T: Translation> Translated<T> {
    pub fn new(inner: Arc<dyn Store>, translation: Arc<T>) -> Self {
        Self { inner, translation }
    }

    fn key_in(&self, key: &[u8]) -> Key {
        Key::from(&*self.translation.key_in(key))
    }

    async fn read(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        let request = RangeRequest {
            prefix: self.key_in(&request.prefix),
            after: request.after.map(|after| self.key_in(&after)),
            ..request
        };
        let mut response = self.inner.range(request).await?;
        for item in &mut response.items {
            *item = self.translation.item_out(item)?;
        }
        Ok(response)
    }

    async fn write(&self, key: &[u8], expect: Expect, write: Write) -> Result<Revision, Error> {
        let inner_key = self.translation.key_in(key);
        let write = match write {
            Write::Put { value, ttl } => Write::Put {
                value: self.translation.value_in(&inner_key, value)?,
                ttl,
            },
            Write::Delete => Write::Delete,
        };
        match self.inner.commit(&inner_key, expect, write).await {
            Err(Error::Conflict { current, .. }) => Err(Error::Conflict {
                key: Key::from(key),
                current: current.map(|item| self.translation.item_out(&item)).transpose()?,
            }),
            outcome => outcome,
        }
    }
}

fn event_out(translation: &impl Translation, event: &Arc<Event>) -> Result<Arc<Event>, Error> {
    let side =
        |side: &Option<Arc<KeyValue>>| side.as_ref().map(|item| translation.item_out(item)).transpose();
    let (current, previous) = (side(&event.current)?, side(&event.previous)?);
    let is_same = |out: &Option<Arc<KeyValue>>, item: &Option<Arc<KeyValue>>| match (out, item) {
        (Some(out), Some(item)) => Arc::ptr_eq(out, item),
        _ => true,
    };
    if is_same(&current, &event.current) && is_same(&previous, &event.previous) {
        return Ok(event.clone());
    }
    Ok(Arc::new(Event {
        revision: event.revision,
        current,
        previous,
    }))
}

impl<T: Translation> Store for Translated<T> {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        async move {
            let (revision, item) = self.inner.get(&self.translation.key_in(key), revision).await?;
            let item = item.map(|item| self.translation.item_out(&item)).transpose()?;
            Ok((revision, item))
        }
        .boxed()
    }

    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        self.read(request).boxed()
    }

    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>> {
        async move { self.inner.count(&self.translation.key_in(prefix)).await }.boxed()
    }

    fn commit<'a>(
        &'a self,
        key: &'a [u8],
        expect: Expect,
        write: Write,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        self.write(key, expect, write).boxed()
    }

    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>> {
        async move {
            let translation = self.translation.clone();
            let translate = move |item: Result<WatchItem, Error>| match item? {
                WatchItem::Events(events) => {
                    let events = events.iter().map(|event| event_out(&*translation, event));
                    events.collect::<Result<_, _>>().map(WatchItem::Events)
                }
                progress @ WatchItem::Progress(_) => Ok(progress),
            };
            let stream = self.inner.watch(self.key_in(&prefix), after).await?;
            Ok(stream.map(translate).boxed())
        }
        .boxed()
    }

    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        let outward = Outward {
            translation: self.translation.clone(),
            follower,
        };
        self.inner.follow(self.key_in(&prefix), Arc::new(outward))
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.inner.current_revision()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.compact(revision)
    }

    fn compacted(&self) -> Revision {
        self.inner.compacted()
    }

    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.size_on_disk()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.probe()
    }
}

/// Feeds a follower with what callers see.
struct Outward<T> {
    translation: Arc<T>,
    follower: Arc<dyn Follower>,
}

impl<T: Translation> Follower for Outward<T> {
    fn reset(&self, revision: Revision, mut items: Vec<Arc<KeyValue>>) {
        for item in &mut items {
            match self.translation.item_out(item) {
                Ok(translated) => *item = translated,
                // One value that can't be read must not take the others with it: who asks for it gets an error.
                Err(error) => error!(%error, "a stored value is handed on as it is"),
            }
        }
        self.follower.reset(revision, items);
    }

    fn apply(&self, events: &[Arc<Event>]) {
        let translate = |event: &Arc<Event>| {
            event_out(&*self.translation, event).unwrap_or_else(|error| {
                error!(%error, "an event is handed on as it is");
                event.clone()
            })
        };
        self.follower
            .apply(&events.iter().map(translate).collect::<Vec<_>>());
    }

    fn progressed(&self, revision: Revision) {
        self.follower.progressed(revision);
    }

    fn interrupted(&self, error: &Error) {
        self.follower.interrupted(error);
    }
}
