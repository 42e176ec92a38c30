//! Resources as served: a catalogue row of one version over the objects that all versions share.

use std::sync::Arc;

use api::Object;
use api::catalogue::Resource;
use api::types::Form;
use apimachinery::gvk::{GroupResource, GroupVersionKind};
use apimachinery::status::Status;
use arc_swap::ArcSwap;

use crate::objects::Objects;

/// A resource at one version.
pub struct Served {
    pub row: &'static Resource,
    pub objects: Arc<Objects>,
}

impl Served {
    /// How errors name the resource.
    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(self.row.group, self.row.plural)
    }

    /// Whether objects are stored in the version that is served. A custom resource has objects of its own for each
    /// version.
    pub fn is_storage_version(&self) -> bool {
        std::ptr::eq(self.row, self.objects.row) && (!self.is_custom() || self.row.is_stored())
    }

    /// Tells apart the versions that events are shown in.
    pub fn variant(&self) -> u16 {
        if !self.is_custom() {
            return u16::from(!self.is_storage_version());
        }
        let versions = self.objects.versions.iter();
        let before = versions.take_while(|version| !std::ptr::eq(version.row, self.row));
        u16::try_from(before.count()).unwrap_or(u16::MAX)
    }

    /// Whether the resource comes of a definition, not of the catalogue.
    pub fn is_custom(&self) -> bool {
        self.row.ty.form == Form::Open
    }

    /// From the served version to the stored one.
    pub fn to_storage(&self, object: Box<dyn Object>) -> Result<Box<dyn Object>, Status> {
        crate::kind::convert(object, self.objects.row)
    }

    /// The bare protobuf of an object of the stored version, in the served one.
    pub fn encode(&self, object: &dyn Object) -> Result<Vec<u8>, Status> {
        let mut raw = Vec::with_capacity(1024);
        if self.is_storage_version() {
            object.encode(&mut raw);
        } else {
            self.from_storage(object.clone_box())?.encode(&mut raw);
        }
        Ok(raw)
    }

    /// From the stored version to the served one.
    pub fn from_storage(&self, object: Box<dyn Object>) -> Result<Box<dyn Object>, Status> {
        crate::kind::convert(object, self.row)
    }
}

/// All stored resources, found by what a path names: those of the catalogue, and custom ones, which come and go.
#[derive(Default)]
pub struct Resources {
    built_in: Table,
    custom: ArcSwap<Table>,
}

/// Resources, sorted, so that a look-up is a few comparisons.
#[derive(Clone, Default)]
pub struct Table {
    served: Vec<Arc<Served>>,
    stored: Vec<Arc<Objects>>,
}

impl Table {
    /// Adds a resource at one version.
    pub fn insert(&mut self, row: &'static Resource, objects: Arc<Objects>) {
        self.insert_stored(objects.clone());
        let key = (row.plural, row.group, row.version);
        let at = self
            .served
            .partition_point(|other| (other.row.plural, other.row.group, other.row.version) < key);
        self.served.insert(at, Arc::new(Served { row, objects }));
    }

    /// Adds objects that are found by their resource, unless there are some: the first ones of a resource count.
    pub fn insert_stored(&mut self, objects: Arc<Objects>) {
        let row = objects.row;
        if self.objects(row.group, row.plural).is_none() {
            let at = self
                .stored
                .partition_point(|other| (other.row.plural, other.row.group) < (row.plural, row.group));
            self.stored.insert(at, objects);
        }
    }

    fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        let key = (plural, group, version);
        let at = self
            .served
            .binary_search_by(|served| (served.row.plural, served.row.group, served.row.version).cmp(&key))
            .ok()?;
        self.served.get(at)
    }

    fn objects(&self, group: &str, plural: &str) -> Option<&Arc<Objects>> {
        let key = (plural, group);
        let at = self
            .stored
            .binary_search_by(|objects| (objects.row.plural, objects.row.group).cmp(&key))
            .ok()?;
        self.stored.get(at)
    }
}

impl Resources {
    /// Resources of the catalogue, and no others yet.
    pub fn new(built_in: Table) -> Resources {
        Resources {
            built_in,
            custom: ArcSwap::default(),
        }
    }

    /// From now on, these are the custom resources.
    pub fn set_custom(&self, table: Table) {
        self.custom.store(Arc::new(table));
    }

    /// The resource that a path names.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Served>> {
        let built_in = self.built_in.get(group, version, plural).cloned();
        built_in.or_else(|| self.custom.load().get(group, version, plural).cloned())
    }

    /// The custom resource of a kind.
    pub fn custom(&self, kind: &GroupVersionKind) -> Option<Arc<Served>> {
        let custom = self.custom.load();
        let is = |served: &&Arc<Served>| {
            let row = served.row;
            row.kind == kind.kind && row.group == kind.group && row.version == kind.version
        };
        custom.served.iter().find(is).cloned()
    }

    /// The objects of a resource, whatever the version.
    pub fn objects(&self, group: &str, plural: &str) -> Option<Arc<Objects>> {
        let built_in = self.built_in.objects(group, plural).cloned();
        built_in.or_else(|| self.custom.load().objects(group, plural).cloned())
    }

    /// All forms in which objects are served.
    pub fn of_objects(&self, objects: &Arc<Objects>) -> Vec<Arc<Served>> {
        let custom = self.custom.load();
        let all = self.built_in.served.iter().chain(&custom.served);
        all.filter(|served| Arc::ptr_eq(&served.objects.cache, &objects.cache))
            .cloned()
            .collect()
    }

    /// The objects of all resources.
    pub fn all(&self) -> impl Iterator<Item = Arc<Objects>> {
        let custom = self.custom.load().stored.clone();
        self.built_in.stored.iter().cloned().chain(custom)
    }
}
