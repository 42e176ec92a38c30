//! The objects of one resource in the store: keys, stored form, load and commit.
//!
//! All versions of a resource share one `Objects`: what is stored has the storage version.

use std::sync::Arc;

use api::Object;
use api::catalogue::Resource;
use apimachinery::gvk::GroupResource;
use apimachinery::status::{CAUSE_RESOURCE_VERSION_TOO_LARGE, Status};
use bytes::Bytes;
use storage::cache::{Cache, Extract, Extracted};
use storage::{Error, Expect, KeyValue, Revision, Store, Write};

use crate::conversion::{Converter, SharedEvents};
use crate::proto::{Unread, Versioned};
use crate::strategy::{Behaviour, Strategy};

/// Root of all keys.
const ROOT: &str = "/registry/";

/// See the module.
pub struct Objects {
    /// The row of the storage version.
    pub row: &'static Resource,
    behaviours: Behaviours,
    pub cache: Arc<Cache>,
    /// Fields by which the cache finds its objects directly.
    pub indexed: &'static [&'static str],
    /// The versions of a custom kind, this one among them.
    pub versions: Vec<Version>,
    /// Asked when versions of a custom kind differ in more than their name.
    pub converter: Option<Arc<dyn Converter>>,
    pub(crate) shared_events: SharedEvents,
    prefix: String,
    store: Arc<dyn Store>,
}

/// A version of a custom kind.
#[derive(Clone)]
pub struct Version {
    pub row: &'static Resource,
    pub strategy: Arc<dyn Strategy>,
}

/// What a kind adds to the write path: of itself, and of its subresources.
pub struct Behaviours {
    pub main: Behaviour,
    pub subresources: Vec<(&'static str, Behaviour)>,
}

/// An object as read from the store, with its resourceVersion.
pub struct Loaded {
    pub object: Box<dyn Object>,
    pub stored: Arc<KeyValue>,
}

/// An object as written to the store.
#[derive(Clone, Debug)]
pub struct Written {
    /// The stored form.
    pub value: Bytes,
    /// Of the write; `None` for a dry run of a create.
    pub revision: Option<Revision>,
}

/// Why a write was not committed.
#[derive(Debug)]
pub enum CommitError {
    /// Something else stands there than was expected: read again and retry, or report.
    Conflict,
    Failed(Box<Status>),
}

impl Objects {
    /// Puts the parts together.
    pub fn new(
        row: &'static Resource,
        behaviours: Behaviours,
        store: Arc<dyn Store>,
        cache: Arc<Cache>,
    ) -> Objects {
        Objects {
            row,
            behaviours,
            cache,
            indexed: indexed_fields(row),
            versions: Vec::new(),
            converter: None,
            shared_events: SharedEvents::default(),
            prefix: prefix(row),
            store,
        }
    }

    /// Where all objects of the resource stand.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where those of a namespace stand; all of them without a namespace.
    pub fn prefix_of(&self, namespace: &str) -> String {
        if namespace.is_empty() {
            self.prefix.clone()
        } else {
            format!("{}{namespace}/", self.prefix)
        }
    }

    /// The key of one object.
    pub fn key(&self, namespace: &str, name: &str) -> String {
        if self.row.namespaced {
            format!("{}{namespace}/{name}", self.prefix)
        } else {
            format!("{}{name}", self.prefix)
        }
    }

    /// The kind's strategy.
    pub fn strategy(&self) -> &dyn Strategy {
        &*self.behaviours.main.strategy
    }

    /// What the kind adds to a write through a subresource (`""`: the resource itself).
    pub fn behaviour(&self, subresource: &str) -> &Behaviour {
        let found = self
            .behaviours
            .subresources
            .iter()
            .find(|(name, _)| *name == subresource);
        found.map_or(&self.behaviours.main, |(_, behaviour)| behaviour)
    }

    /// How errors name the resource.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.row.group.to_owned(),
            resource: self.row.plural.to_owned(),
        }
    }

    /// Reads one object as it stands now.
    pub async fn load(&self, key: &str) -> Result<Option<Loaded>, Status> {
        let (_, found) = self
            .store
            .get(key.as_bytes(), None)
            .await
            .map_err(|error| failed(&error))?;
        let Some(stored) = found else { return Ok(None) };
        if self.converter.is_none() {
            return self.decode(stored).map(Some);
        }
        let value = self.one_in_own_version(stored.value.bytes()).await?;
        let object = self.settled(&stored, self.read(&value))?;
        Ok(Some(Loaded { object, stored }))
    }

    /// Decodes a stored object, with defaults and its resourceVersion.
    pub fn decode(&self, stored: Arc<KeyValue>) -> Result<Loaded, Status> {
        let object = self.settled(&stored, self.read(&stored.value.bytes()))?;
        Ok(Loaded { object, stored })
    }

    /// The same without the parts that are not read.
    pub fn decode_part(&self, stored: &KeyValue, unread: &Unread) -> Result<Box<dyn Object>, Status> {
        let value = stored.value.bytes();
        self.settled(stored, read(self.row, self.strategy(), &value, Some(unread)))
    }

    fn settled(
        &self,
        stored: &KeyValue,
        read: Result<Box<dyn Object>, crate::kind::Error>,
    ) -> Result<Box<dyn Object>, Status> {
        let mut object = read.map_err(|error| Status::internal(format!("{}: {error}", stored.key)))?;
        object.metadata_mut().resource_version = stored.mod_revision.to_string();
        Ok(object)
    }

    /// Reads a stored value, with what has a default, and without what the kind does not know any more.
    pub fn read(&self, value: &[u8]) -> Result<Box<dyn Object>, crate::kind::Error> {
        read(self.row, self.strategy(), value, None)
    }

    /// The stored form of an object of these objects' version.
    pub async fn encode(&self, object: &dyn Object) -> Result<Bytes, Status> {
        let raw = unversioned(object)?;
        let storage = self.versions.iter().find(|version| version.row.is_stored());
        match storage.filter(|storage| storage.row.version != self.row.version) {
            Some(storage) => self.encode_for(&raw, storage).await,
            None => crate::kind::stored::encode(self.row, &raw)
                .map(Bytes::from)
                .map_err(Status::internal),
        }
    }

    /// The form in which an object of these objects' version is shown to clients of that version.
    pub fn encode_shown(&self, object: &dyn Object) -> Result<Bytes, Status> {
        let raw = unversioned(object)?;
        let encoded = match self.versions.is_empty() {
            true => crate::kind::stored::encode(self.row, &raw),
            false => crate::kind::stored::encode_own(self.row, &raw),
        };
        encoded.map(Bytes::from).map_err(Status::internal)
    }

    /// Writes one object; the store's answer decides.
    pub async fn put(&self, key: &str, expect: Expect, value: Bytes) -> Result<Written, CommitError> {
        let write = Write::Put {
            value: value.clone(),
            ttl: self.strategy().time_to_live(),
        };
        let revision = self
            .store
            .commit(key.as_bytes(), expect, write)
            .await
            .map_err(commit_error)?;
        Ok(Written {
            value,
            revision: Some(revision),
        })
    }

    /// Changes one object outside of the write path, retried as long as others write in between; `None`: there is
    /// no such object. A change that changes nothing is not written.
    pub async fn change(
        &self,
        key: &str,
        dry_run: bool,
        mut change: impl FnMut(&mut dyn Object) -> Result<(), Status>,
    ) -> Result<Option<Written>, Status> {
        loop {
            let Some(Loaded { mut object, stored }) = self.load(key).await? else {
                return Ok(None);
            };
            change(&mut *object)?;
            let value = self.encode(&*object).await?;
            if dry_run || value == stored.value {
                return Ok(Some(Written {
                    value,
                    revision: Some(stored.mod_revision),
                }));
            }
            match self.put(key, Expect::Unchanged(stored.mod_revision), value).await {
                Ok(written) => return Ok(Some(written)),
                Err(CommitError::Conflict) => {}
                Err(CommitError::Failed(status)) => return Err(*status),
            }
        }
    }

    /// Removes one object as it was read.
    pub async fn remove(&self, key: &str, read: Revision) -> Result<Revision, CommitError> {
        self.store
            .commit(key.as_bytes(), Expect::Unchanged(read), Write::Delete)
            .await
            .map_err(commit_error)
    }
}

/// `/registry/pods/` and the like.
pub fn prefix(row: &Resource) -> String {
    format!("{ROOT}{}/", row.prefix)
}

/// Fields that are selected by often enough to index: each kubelet watches the pods of its node.
pub fn indexed_fields(row: &Resource) -> &'static [&'static str] {
    match (row.group, row.plural) {
        ("", "pods") => &["spec.nodeName"],
        _ => &[],
    }
}

/// The message of an object as it is stored, without a resourceVersion.
fn unversioned(object: &dyn Object) -> Result<Vec<u8>, Status> {
    let raw = object.encode_to_vec();
    if object.metadata().resource_version.is_empty() {
        return Ok(raw);
    }
    let mut stored = Vec::new();
    Versioned::unversioned(&raw)
        .map_err(Status::internal)?
        .write(&mut stored);
    Ok(stored)
}

fn commit_error(error: Error) -> CommitError {
    match error {
        Error::Conflict { .. } => CommitError::Conflict,
        other => CommitError::Failed(Box::new(failed(&other))),
    }
}

/// That a write expects another object, or another state of it, in the words of upstream's store. `what` is UID or
/// ResourceVersion.
pub fn precondition_failed(key: &str, what: &str, wanted: &str, is: &str) -> String {
    format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {is}"
    )
}

/// What a failed storage operation means to a client.
pub fn failed(error: &Error) -> Status {
    match error {
        Error::Compacted { .. } => Status::expired(TOO_OLD),
        Error::Future { requested, newest } => too_large_version(requested.0, newest.0),
        Error::Unavailable(_) | Error::Retired => Status::service_unavailable(error.to_string()),
        other => Status::internal(other.to_string()),
    }
}

/// What upstream tells a client whose revision is gone.
pub const TOO_OLD: &str = "The resourceVersion for the provided list is too old.";

/// The revision asked for lies ahead: the client may come back in a second.
pub fn too_large_version(requested: u64, newest: u64) -> Status {
    Status::timeout(
        format!("Too large resource version: {requested}, current: {newest}"),
        1,
    )
    .with_cause(CAUSE_RESOURCE_VERSION_TOO_LARGE, "Too large resource version", "")
}

fn read(
    row: &'static Resource,
    strategy: &dyn Strategy,
    value: &[u8],
    unread: Option<&Unread>,
) -> Result<Box<dyn Object>, crate::kind::Error> {
    // What can't be cut is read as a whole, or refused there.
    let part = match unread {
        Some(unread) => crate::kind::stored::raw(row, value)?.and_then(|raw| unread.cut(raw).ok()),
        None => None,
    };
    let mut object = match part {
        Some(part) => (row.decode)(&part)?,
        None => crate::kind::stored::decode(row, value)?,
    };
    strategy
        .prune(&mut *object)
        .map_err(crate::kind::Error::Pruning)?;
    strategy.default(&mut *object);
    Ok(object)
}

/// Reads labels and selectable fields for the watch cache.
pub struct Selectable {
    row: &'static Resource,
    strategy: Arc<dyn Strategy>,
    /// Most of an object tells nothing about these.
    unread: Unread,
}

impl Selectable {
    pub fn new(row: &'static Resource, strategy: Arc<dyn Strategy>) -> Self {
        let unread = strategy.unselected().iter().copied();
        let unread = Unread::new(row.ty, unread.chain(["metadata.managedFields"]));
        Self {
            row,
            strategy,
            unread,
        }
    }
}

impl Extract for Selectable {
    fn extract(&self, _key: &[u8], value: &[u8]) -> Result<Extracted, String> {
        let object = read(self.row, &*self.strategy, value, Some(&self.unread));
        let object = object.map_err(|error| error.to_string())?;
        let names = self.strategy.selectable_fields();
        let fields = names
            .iter()
            .filter_map(|name| Some((*name, self.strategy.selectable_field(&*object, name)?)))
            .collect();
        Ok(Extracted {
            labels: object.metadata().labels.iter().collect(),
            fields,
        })
    }
}
