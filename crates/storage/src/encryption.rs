//! Encryption at rest: a store that hands out plain values and keeps those of chosen prefixes encrypted.
//!
//! `provider` is upstream's stored form (a text prefix that names provider and key), `cipher` what stands behind
//! it. The first provider of a rule writes, all of them read: keys rotate by putting a new one first and writing
//! everything again ([`Encrypted::rewrite`]).
//!
//! Upstream: `apiserver/pkg/storage/value`, `apiserver/pkg/server/options/encryptionconfig`.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use parking_lot::RwLock;
use tracing::error;

mod cipher;
mod provider;
#[cfg(test)]
mod tests;

use crate::{
    Error, Event, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision,
    Store, WatchItem, WatchStream, Write,
};
pub use cipher::{Algorithm, KeyError};
pub use provider::{Provider, SecretKey};

/// Keys read at a time when everything is written again.
const PAGE: usize = 500;

/// Which values are encrypted, and how.
#[derive(Default)]
pub struct Rules(Vec<Rule>);

/// Providers for the keys under some prefixes.
struct Rule {
    prefixes: Vec<Key>,
    /// Never empty.
    providers: Vec<Provider>,
}

impl Rules {
    /// Adds a rule behind the others; the first that has a key's prefix counts. Without providers: plain.
    pub fn add(&mut self, prefixes: Vec<Key>, mut providers: Vec<Provider>) {
        if providers.is_empty() {
            providers.push(Provider::Identity);
        }
        self.0.push(Rule { prefixes, providers });
    }

    fn providers(&self, key: &[u8]) -> &[Provider] {
        let matches = |rule: &&Rule| rule.prefixes.iter().any(|prefix| key.starts_with(prefix));
        self.0
            .iter()
            .find(matches)
            .map_or(&[Provider::Identity][..], |rule| &rule.providers)
    }

    fn encrypt(&self, key: &[u8], value: &Bytes) -> Result<Bytes, Error> {
        let writer = self.providers(key).first().unwrap_or(&Provider::Identity);
        writer
            .encrypt(key, value)
            .map_err(|reason| Error::Unavailable(format!("{}: {reason}", Key::from(key))))
    }

    /// The plain value, and whether it is kept as it would be written now.
    fn decrypt(&self, key: &[u8], stored: &Bytes) -> Result<(Bytes, bool), Error> {
        let providers = self.providers(key);
        let mut reason = "no matching prefix found";
        for (position, provider) in providers.iter().enumerate() {
            match provider.decrypt(key, stored) {
                Ok((value, by_first_key)) => return Ok((value, position == 0 && by_first_key)),
                Err(Some(why)) => reason = why,
                Err(None) => {}
            }
        }
        Err(Error::Corrupt(format!(
            "{} can't be decrypted: {reason}",
            Key::from(key)
        )))
    }

    fn plain(&self, item: &Arc<KeyValue>) -> Result<Arc<KeyValue>, Error> {
        let (value, _) = self.decrypt(&item.key, &item.value)?;
        // Most values are plain anyhow: they stay shared with the store.
        Ok(if value == item.value {
            item.clone()
        } else {
            Arc::new(KeyValue {
                value,
                ..(**item).clone()
            })
        })
    }

    fn plain_event(&self, event: &Arc<Event>) -> Result<Arc<Event>, Error> {
        let side = |side: &Option<Arc<KeyValue>>| side.as_ref().map(|item| self.plain(item)).transpose();
        Ok(Arc::new(Event {
            revision: event.revision,
            current: side(&event.current)?,
            previous: side(&event.previous)?,
        }))
    }
}

/// See the module.
pub struct Encrypted {
    inner: Arc<dyn Store>,
    rules: Arc<RwLock<Arc<Rules>>>,
}

impl Encrypted {
    pub fn new(inner: Arc<dyn Store>, rules: Rules) -> Self {
        Self {
            inner,
            rules: Arc::new(RwLock::new(Arc::new(rules))),
        }
    }

    /// Takes new rules for what comes, as after a change of the configuration.
    pub fn replace_rules(&self, rules: Rules) {
        *self.rules.write() = Arc::new(rules);
    }

    /// Writes every value under the prefix again that is not kept as it would be written now; returns how many.
    /// A value that changes meanwhile needs no help.
    pub async fn rewrite(&self, prefix: &Key) -> Result<u64, Error> {
        let (mut rewritten, mut after) = (0, None);
        loop {
            let request = RangeRequest {
                prefix: prefix.clone(),
                after,
                limit: PAGE,
                revision: None,
            };
            let page = self.inner.range(request).await?.items;
            let Some(last) = page.last() else {
                return Ok(rewritten);
            };
            after = Some(last.key.clone());
            for item in &page {
                let (value, is_current) = self.rules().decrypt(&item.key, &item.value)?;
                if is_current {
                    continue;
                }
                match self
                    .commit(
                        &item.key,
                        Expect::Unchanged(item.mod_revision),
                        Write::Put { value, ttl: None },
                    )
                    .await
                {
                    Ok(_) => rewritten += 1,
                    Err(Error::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules.read().clone()
    }

    async fn write(&self, key: &[u8], expect: Expect, write: Write) -> Result<Revision, Error> {
        let rules = self.rules();
        let write = match write {
            Write::Put { value, ttl } => Write::Put {
                value: rules.encrypt(key, &value)?,
                ttl,
            },
            Write::Delete => Write::Delete,
        };
        match self.inner.commit(key, expect, write).await {
            Err(Error::Conflict { key, current }) => {
                let current = current.map(|item| rules.plain(&item)).transpose()?;
                Err(Error::Conflict { key, current })
            }
            outcome => outcome,
        }
    }
}

impl Store for Encrypted {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        async move {
            let (revision, item) = self.inner.get(key, revision).await?;
            Ok((revision, item.map(|item| self.rules().plain(&item)).transpose()?))
        }
        .boxed()
    }

    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        async move {
            let mut response = self.inner.range(request).await?;
            let rules = self.rules();
            for item in &mut response.items {
                *item = rules.plain(item)?;
            }
            Ok(response)
        }
        .boxed()
    }

    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>> {
        self.inner.count(prefix)
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
            let rules = self.rules.clone();
            let decrypt = move |item: Result<WatchItem, Error>| match item? {
                WatchItem::Events(events) => {
                    let rules = rules.read().clone();
                    let events = events.iter().map(|event| rules.plain_event(event));
                    events.collect::<Result<_, _>>().map(WatchItem::Events)
                }
                progress @ WatchItem::Progress(_) => Ok(progress),
            };
            Ok(self.inner.watch(prefix, after).await?.map(decrypt).boxed())
        }
        .boxed()
    }

    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        self.inner.follow(
            prefix,
            Arc::new(Decrypting {
                rules: self.rules.clone(),
                follower,
            }),
        )
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.inner.current_revision()
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.compact(revision)
    }

    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.size_on_disk()
    }
}

/// Feeds a follower with plain values.
struct Decrypting {
    rules: Arc<RwLock<Arc<Rules>>>,
    follower: Arc<dyn Follower>,
}

impl Follower for Decrypting {
    fn reset(&self, revision: Revision, mut items: Vec<Arc<KeyValue>>) {
        let rules = self.rules.read().clone();
        for item in &mut items {
            match rules.plain(item) {
                Ok(plain) => *item = plain,
                // One value that can't be read must not take the others with it: who asks for it gets an error.
                Err(error) => error!(%error, "a stored value is handed on as it is"),
            }
        }
        self.follower.reset(revision, items);
    }

    fn apply(&self, events: &[Arc<Event>]) {
        let rules = self.rules.read().clone();
        let plain = |event: &Arc<Event>| {
            rules.plain_event(event).unwrap_or_else(|error| {
                error!(%error, "an event is handed on as it is");
                event.clone()
            })
        };
        self.follower.apply(&events.iter().map(plain).collect::<Vec<_>>());
    }

    fn interrupted(&self, error: &Error) {
        self.follower.interrupted(error);
    }
}
