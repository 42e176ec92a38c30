//! Resources as served: a catalogue row of one version over the objects that all versions share.

use std::sync::Arc;

use api::Object;
use api::catalogue::Resource;
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;

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

    /// Whether objects are stored in the version that is served.
    pub fn is_storage_version(&self) -> bool {
        std::ptr::eq(self.row, self.objects.row)
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

/// All stored resources, found by what a path names. Sorted, so that a look-up is a few comparisons.
#[derive(Default)]
pub struct Resources {
    served: Vec<Arc<Served>>,
    stored: Vec<Arc<Objects>>,
}

impl Resources {
    /// Adds a resource at one version.
    pub fn insert(&mut self, row: &'static Resource, objects: Arc<Objects>) {
        if self.objects(row.group, row.plural).is_none() {
            let at = self
                .stored
                .partition_point(|other| (other.row.plural, other.row.group) < (row.plural, row.group));
            self.stored.insert(at, objects.clone());
        }
        let key = (row.plural, row.group, row.version);
        let at = self
            .served
            .partition_point(|other| (other.row.plural, other.row.group, other.row.version) < key);
        self.served.insert(at, Arc::new(Served { row, objects }));
    }

    /// The resource that a path names.
    pub fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Served>> {
        let key = (plural, group, version);
        let at = self
            .served
            .binary_search_by(|served| (served.row.plural, served.row.group, served.row.version).cmp(&key))
            .ok()?;
        self.served.get(at)
    }

    /// The objects of a resource, whatever the version.
    pub fn objects(&self, group: &str, plural: &str) -> Option<&Arc<Objects>> {
        let key = (plural, group);
        let at = self
            .stored
            .binary_search_by(|objects| (objects.row.plural, objects.row.group).cmp(&key))
            .ok()?;
        self.stored.get(at)
    }

    /// All forms in which objects are served.
    pub fn of_objects<'a>(&'a self, objects: &'a Arc<Objects>) -> impl Iterator<Item = &'a Arc<Served>> {
        self.served
            .iter()
            .filter(move |served| Arc::ptr_eq(&served.objects, objects))
    }

    /// The objects of all resources.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Objects>> {
        self.stored.iter()
    }
}
