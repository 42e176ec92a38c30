//! Encryption at rest: a store that hands out plain values and keeps those of chosen prefixes encrypted.
//!
//! `provider` is upstream's stored form (a text prefix that names provider and key), `cipher` what stands behind
//! it, [`kms`] what a key management service stands behind. The first provider of a rule writes, all of them read: keys rotate by putting a new one first and writing
//! everything again ([`Encrypted::rewrite`]).
//!
//! Upstream: `apiserver/pkg/storage/value`, `apiserver/pkg/server/options/encryptionconfig`.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;

mod cipher;
pub mod kms;
mod provider;
#[cfg(test)]
mod tests;

use crate::translated::{Translated, Translation};
use crate::{
    Error, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision, Store,
    WatchStream, Write,
};
pub use cipher::{Algorithm, KeyError};
pub use provider::{Provider, Reason, SecretKey};

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

    /// Whether every key management service is in order.
    pub fn health(&self) -> Result<(), String> {
        let reasons: Vec<_> = self
            .0
            .iter()
            .flat_map(|rule| &rule.providers)
            .filter_map(|provider| match provider {
                Provider::Kms(kms) => Some((kms.name(), kms.health().err()?)),
                _ => None,
            })
            .map(|(name, reason)| format!("kmsv2 Provider {name} is not healthy, error: {reason}"))
            .collect();
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(reasons.join("; "))
        }
    }

    /// Whether a key management service is used.
    pub fn has_service(&self) -> bool {
        let mut providers = self.0.iter().flat_map(|rule| &rule.providers);
        providers.any(|provider| matches!(provider, Provider::Kms(_)))
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
        let mut reason = Cow::Borrowed("no matching prefix found");
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
}

/// See the module.
pub struct Encrypted {
    inner: Arc<dyn Store>,
    current: Arc<Current>,
    plain: Translated<Current>,
}

/// The rules that hold now, for all stores that share them.
pub struct Current(RwLock<Arc<Rules>>);

impl Translation for Current {
    fn value_in(&self, key: &[u8], value: Bytes) -> Result<Bytes, Error> {
        self.rules().encrypt(key, &value)
    }

    fn item_out(&self, item: &Arc<KeyValue>) -> Result<Arc<KeyValue>, Error> {
        let kept = item.value.bytes();
        let (value, _) = self.rules().decrypt(&item.key, &kept)?;
        // Most values are plain anyhow: they stay shared with the store.
        if value.as_ptr() == kept.as_ptr() {
            return Ok(item.clone());
        }
        Ok(Arc::new(KeyValue {
            key: item.key.clone(),
            value: value.into(),
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
        }))
    }
}

impl Current {
    pub fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(rules))))
    }

    /// Takes new rules for what comes, as after a change of the configuration.
    pub fn replace(&self, rules: Rules) {
        let before = std::mem::replace(&mut *self.0.write(), Arc::new(rules));
        // What ends with the old rules ends outside of the lock.
        drop(before);
    }

    pub fn rules(&self) -> Arc<Rules> {
        self.0.read().clone()
    }
}

impl Encrypted {
    pub fn new(inner: Arc<dyn Store>, current: Arc<Current>) -> Self {
        Self {
            plain: Translated::new(inner.clone(), current.clone()),
            inner,
            current,
        }
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
                let (value, is_current) = self.current.rules().decrypt(&item.key, &item.value.bytes())?;
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
}

impl Store for Encrypted {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        self.plain.get(key, revision)
    }

    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        self.plain.range(request)
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
        self.plain.commit(key, expect, write)
    }

    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>> {
        self.plain.watch(prefix, after)
    }

    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        self.plain.follow(prefix, follower)
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
