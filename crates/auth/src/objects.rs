//! How authenticators, authorizers and admission see API objects: they read single ones, or follow all of
//! some resources. The API server implements both on its own caches.

use api::{Object, Resource};
use apimachinery::status::Status;
use futures_util::future::BoxFuture;

/// Reads objects.
pub trait Objects: Send + Sync {
    /// From the cache: cheap, and may lag behind the latest writes for a moment. `namespace` is empty for
    /// cluster-wide resources.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Box<dyn Object>>;

    /// All of a resource from the cache, in a namespace or (empty) in all.
    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Box<dyn Object>>;

    /// From the store: as of now.
    fn get_live<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Object>>, Status>>;

    /// Writes the `status` of an object if it has not changed since it was read (409 otherwise); gives the
    /// object as stored. Quota accounting is the one writer.
    fn update_status<'a>(&'a self, object: Box<dyn Object>)
    -> BoxFuture<'a, Result<Box<dyn Object>, Status>>;
}

impl dyn Objects + '_ {
    /// [`Objects::get`] by type.
    pub fn cached<T: Resource>(&self, namespace: &str, name: &str) -> Option<Box<T>> {
        self.get(T::GROUP, T::PLURAL, namespace, name)?.downcast().ok()
    }

    /// [`Objects::list`] by type.
    pub fn cached_all<T: Resource>(&self, namespace: &str) -> Vec<T> {
        let all = self.list(T::GROUP, T::PLURAL, namespace);
        all.into_iter()
            .filter_map(|object| object.downcast().ok().map(|object| *object))
            .collect()
    }

    /// [`Objects::get_live`] by type.
    pub async fn live<T: Resource>(&self, namespace: &str, name: &str) -> Result<Option<Box<T>>, Status> {
        let object = self.get_live(T::GROUP, T::PLURAL, namespace, name).await?;
        Ok(object.and_then(|object| object.downcast().ok()))
    }

    /// From the cache, or from the store if it is not there: for references to objects that may have been
    /// created a moment ago.
    pub async fn find<T: Resource>(&self, namespace: &str, name: &str) -> Result<Option<Box<T>>, Status> {
        match self.cached(namespace, name) {
            Some(object) => Ok(Some(object)),
            None => self.live(namespace, name).await,
        }
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// It is there, for the first time or changed.
    Set(&'a dyn Object),
    /// It is gone; this is its last state.
    Removed(&'a dyn Object),
}

impl<'a> Change<'a> {
    pub fn object(self) -> &'a dyn Object {
        match self {
            Self::Set(object) | Self::Removed(object) => object,
        }
    }
}

/// Keeps an index of the objects of some resources.
///
/// The server calls `apply` for every object that exists before it reports ready, then for every change,
/// in order within a resource. A call does little work and never blocks.
pub trait Follower: Send + Sync {
    /// Group and plural name of what it wants to see.
    fn resources(&self) -> &'static [(&'static str, &'static str)];

    /// Paths of members of a resource, through lists as well, that it does not look at: objects may come without them.
    /// Nobody looks at the managers of fields.
    fn unread(&self, _group: &str, _resource: &str) -> &'static [&'static str] {
        &[]
    }

    fn apply(&self, change: Change<'_>);
}

mod memory;

pub use memory::MemoryObjects;
