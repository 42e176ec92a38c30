//! Objects of a custom kind whose versions differ in more than their name: somebody else is asked to convert them.
//!
//! What is stored, and what watch caches hold, stays as it was written. It is converted on its way to a client or to
//! the write path, and back before it is written; nothing is locked meanwhile.
//!
//! Upstream: `apiextensions-apiserver/pkg/apiserver/conversion`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use api::Object;
use api::catalogue::Resource;
use apimachinery::status::Status;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use storage::KeyValue;
use storage::cache::{Entry, Extracted, ObjectEvent};
use tokio::sync::OnceCell;

use crate::kind::stored;
use crate::objects::{Objects, Version};

/// Events whose converted form is found by other watchers of the same version.
const MAX_SHARED_EVENTS: usize = 32;

/// Converts documents of one custom kind.
pub trait Converter: Send + Sync + 'static {
    /// The documents in the version of a row, in their order. Each names the version that it is in, which is another.
    ///
    /// # Errors
    /// What a client is told when even one can't be converted.
    fn convert<'a>(
        &'a self,
        documents: &'a [Bytes],
        to: &'static Resource,
    ) -> BoxFuture<'a, Result<Vec<Bytes>, Status>>;
}

/// Events that were converted for a watcher, as long as others may still have to show them.
#[derive(Default)]
pub(crate) struct SharedEvents(Mutex<Vec<SharedEvent>>);

type SharedEvent = (Weak<ObjectEvent>, Arc<OnceCell<Arc<ObjectEvent>>>);

impl SharedEvents {
    fn of(&self, event: &Arc<ObjectEvent>) -> Arc<OnceCell<Arc<ObjectEvent>>> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|(source, _)| source.strong_count() > 0);
        let known = shared
            .iter()
            .find(|(source, _)| std::ptr::eq(source.as_ptr(), Arc::as_ptr(event)));
        if let Some((_, converted)) = known {
            return converted.clone();
        }
        if shared.len() >= MAX_SHARED_EVENTS {
            shared.remove(0);
        }
        let converted = Arc::new(OnceCell::new());
        shared.push((Arc::downgrade(event), converted.clone()));
        converted
    }
}

/// The version that a stored document names.
fn version_of(document: &[u8]) -> Result<String, Status> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(document).map_err(Status::internal)?;
    let named = members
        .get("apiVersion")
        .map(|stated| serde_json::from_str(stated.get()));
    Ok(named.transpose().map_err(Status::internal)?.unwrap_or_default())
}

impl Objects {
    /// Documents as stored, in the version of these objects.
    pub async fn in_own_version(&self, mut documents: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
        let Some(converter) = &self.converter else {
            return Ok(documents);
        };
        let mut foreign = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            if version_of(document)? != self.row.api_version {
                foreign.push(index);
            }
        }
        if foreign.is_empty() {
            return Ok(documents);
        }
        let sent: Vec<Bytes> = foreign.iter().map(|index| documents[*index].clone()).collect();
        let converted = converter.convert(&sent, self.row).await?;
        for (index, document) in foreign.into_iter().zip(converted) {
            documents[index] = document;
        }
        Ok(documents)
    }

    /// One document as stored, in the version of these objects.
    pub async fn one_in_own_version(&self, document: Bytes) -> Result<Bytes, Status> {
        let converted = self.in_own_version(vec![document]).await?.pop();
        converted.ok_or_else(|| Status::internal("a conversion lost its object".to_owned()))
    }

    /// Entries of the cache, in the version of these objects.
    pub async fn entries_in_own_version(&self, entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, Status> {
        if self.converter.is_none() {
            return Ok(entries);
        }
        let values = entries.iter().map(|entry| entry.value()).collect();
        let converted = self.in_own_version(values).await?;
        let pairs = entries.iter().zip(converted);
        Ok(pairs.map(|(entry, value)| with_value(entry, value)).collect())
    }

    /// One entry of the cache, in the version of these objects.
    pub async fn entry_in_own_version(&self, entry: Arc<Entry>) -> Result<Arc<Entry>, Status> {
        if self.converter.is_none() {
            return Ok(entry);
        }
        let value = self.one_in_own_version(entry.value()).await?;
        Ok(with_value(&entry, value))
    }

    /// An event of the cache, converted once for all who watch this version.
    pub async fn event_in_own_version(&self, event: &Arc<ObjectEvent>) -> Result<Arc<ObjectEvent>, Status> {
        let converted = self.shared_events.of(event);
        let convert = || async {
            let entry = self.entry_in_own_version(event.entry.clone()).await?;
            Ok(Arc::new(event.with_entry(entry)))
        };
        converted.get_or_try_init(convert).await.cloned()
    }

    /// An object of this version as it is to be stored in another one: without what that one does not know.
    pub(crate) async fn encode_for(&self, raw: &[u8], storage: &Version) -> Result<Bytes, Status> {
        let document = stored::encode_own(self.row, raw).map_err(Status::internal)?;
        let document = Bytes::from(document);
        let document = match &self.converter {
            None => document,
            Some(converter) => {
                let converted = converter.convert(&[document], storage.row).await?.pop();
                converted.ok_or_else(|| Status::internal("a conversion lost its object".to_owned()))?
            }
        };
        let mut object = stored::decode(storage.row, &document).map_err(Status::internal)?;
        storage.strategy.prune(&mut *object).map_err(Status::internal)?;
        let encoded = stored::encode(storage.row, &encoded(&*object));
        encoded.map(Bytes::from).map_err(Status::internal)
    }
}

fn encoded(object: &dyn Object) -> Vec<u8> {
    let mut raw = Vec::new();
    object.encode(&mut raw);
    raw
}

fn with_value(entry: &Arc<Entry>, value: Bytes) -> Arc<Entry> {
    if value == entry.value() {
        return entry.clone();
    }
    let stored = KeyValue {
        key: entry.key().clone(),
        value: value.into(),
        create_revision: entry.create_revision(),
        mod_revision: entry.mod_revision(),
    };
    let extracted = Extracted {
        labels: entry.labels().clone(),
        fields: entry.fields().clone(),
    };
    Arc::new(Entry::new(Arc::new(stored), extracted))
}
