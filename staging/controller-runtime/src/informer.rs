//! A cache that is kept current, shared by everyone in a process who reads that resource.
//!
//! Handlers run one after the other in the informer's task, after the store changed: they look and enqueue, never
//! block. That way no queue lies between the cache and the controllers, and nothing can fall behind unseen.
//!
//! Upstream: client-go/tools/cache/shared_informer.go

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Resource;
use client::{Api, HasMetadata};
use component_base::shutdown::Shutdown;
use tokio::sync::{mpsc, watch};

use crate::key::ObjectKey;
use crate::store::{NAMESPACE_INDEX, Store};
use crate::watcher::{self, Change, ListWatch, Scope};

/// What happened to an object of the cache.
#[derive(Debug)]
pub enum Event<K> {
    Added(Arc<K>),
    Updated { old: Arc<K>, new: Arc<K> },
    Deleted(Arc<K>),
}

impl<K> Clone for Event<K> {
    fn clone(&self) -> Self {
        match self {
            Event::Added(object) => Event::Added(object.clone()),
            Event::Updated { old, new } => Event::Updated {
                old: old.clone(),
                new: new.clone(),
            },
            Event::Deleted(object) => Event::Deleted(object.clone()),
        }
    }
}

impl<K> Event<K> {
    /// The object as it is now, or as it was last when it is gone.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Event::Added(object) | Event::Deleted(object) => object,
            Event::Updated { new, .. } => new,
        }
    }

    pub fn is_deleted(&self) -> bool {
        matches!(self, Event::Deleted(_))
    }
}

/// Trims an object before it is cached.
pub type Transform<K> = fn(&mut K);

/// What an informer watches and keeps.
pub struct Options<K> {
    pub scope: Scope,
    pub transform: Option<Transform<K>>,
}

impl<K: Resource> Default for Options<K> {
    /// Everything but managed fields, which no controller reads and which are a third of a small object.
    fn default() -> Self {
        Options {
            scope: Scope::default(),
            transform: Some(drop_managed_fields),
        }
    }
}

impl<K: Resource> Options<K> {
    pub fn fields(selector: impl Into<String>) -> Self {
        let scope = Scope {
            field_selector: Some(selector.into()),
            ..Scope::default()
        };
        Options {
            scope,
            ..Self::default()
        }
    }

    pub fn labels(selector: impl Into<String>) -> Self {
        let scope = Scope {
            label_selector: Some(selector.into()),
            ..Scope::default()
        };
        Options {
            scope,
            ..Self::default()
        }
    }
}

pub fn drop_managed_fields<K: Resource>(object: &mut K) {
    object.metadata_mut().managed_fields = Vec::new();
}

type Handler<K> = Box<dyn Fn(&Event<K>) + Send + Sync>;

/// A handle to a running informer; clones share it.
pub struct Informer<K>(Arc<Shared<K>>);

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Informer(self.0.clone())
    }
}

struct Shared<K> {
    store: Store<K>,
    /// Held while the store changes and handlers hear of it, so that a late handler misses and repeats nothing.
    handlers: Mutex<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

impl<K: Resource> Informer<K> {
    /// Starts watching in a task that ends at shutdown.
    pub fn start(api: Api<K>, options: Options<K>, shutdown: Shutdown) -> Self {
        Self::start_source(Arc::new(api), options, shutdown)
    }
}

impl<K: HasMetadata + Send + Sync + 'static> Informer<K> {
    pub fn start_source(source: Arc<dyn ListWatch<K>>, options: Options<K>, shutdown: Shutdown) -> Self {
        let informer = Self::idle();
        let shared = informer.0.clone();
        let transform = options.transform;
        let sink = move |change| shared.take(change, transform);
        tokio::spawn(watcher::run(
            source,
            watcher::Options { scope: options.scope },
            sink,
            shutdown,
        ));
        informer
    }

    fn idle() -> Self {
        let store = Store::default();
        store.add_index(NAMESPACE_INDEX, |object: &K| {
            vec![object.object_meta().namespace.clone()]
        });
        Informer(Arc::new(Shared {
            store,
            handlers: Mutex::default(),
            synced: watch::Sender::new(false),
        }))
    }

    /// A synced informer over these objects that hears of no changes, for tests.
    pub fn fixed(objects: impl IntoIterator<Item = K>) -> Self {
        let informer = Self::idle();
        informer
            .0
            .take(Change::Replace(objects.into_iter().collect()), None);
        informer
    }

    pub fn store(&self) -> Store<K> {
        self.0.store.clone()
    }

    /// Calls `handler` for every object that is cached already, then for every change.
    pub fn add_handler(&self, handler: impl Fn(&Event<K>) + Send + Sync + 'static) {
        let mut handlers = self.0.handlers();
        for object in self.0.store.list() {
            handler(&Event::Added(object));
        }
        handlers.push(Box::new(handler));
    }

    /// The same as a stream, for owners of state who take events one by one. The channel holds references to
    /// objects, without a bound: its reader must keep reading, or drop it, which ends the subscription.
    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Event<K>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.add_handler(move |event| {
            // The reader went away: nobody wants to know.
            let _ = sender.send(event.clone());
        });
        receiver
    }

    pub fn has_synced(&self) -> bool {
        *self.0.synced.borrow()
    }

    /// Completes once the first list is in the store.
    pub async fn synced(&self) {
        // An error means that the sender is gone, which `self` holds.
        let _ = self.0.synced.subscribe().wait_for(|synced| *synced).await;
    }
}

impl<K: HasMetadata> Shared<K> {
    fn handlers(&self) -> MutexGuard<'_, Vec<Handler<K>>> {
        self.handlers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, change: Change<K>, transform: Option<Transform<K>>) {
        let handlers = self.handlers();
        let tell = |event: Event<K>| handlers.iter().for_each(|handler| handler(&event));
        let apply = |mut object: K| {
            if let Some(transform) = transform {
                transform(&mut object);
            }
            let object = Arc::new(object);
            match self.store.apply(object.clone()) {
                // A fresh list repeats what didn't change.
                Some(old) if same_version(&*old, &*object) => {}
                Some(old) => tell(Event::Updated { old, new: object }),
                None => tell(Event::Added(object)),
            }
        };
        match change {
            Change::Apply(object) => apply(object),
            Change::Delete(object) => {
                let key = ObjectKey::of(object.object_meta());
                if self.store.remove(&key).is_some() {
                    // The event's object is the last state, which the cache may never have had.
                    tell(Event::Deleted(Arc::new(object)));
                }
            }
            Change::Replace(objects) => {
                let present: HashSet<ObjectKey> = objects
                    .iter()
                    .map(|object| ObjectKey::of(object.object_meta()))
                    .collect();
                objects.into_iter().for_each(apply);
                for key in self.store.keys().iter().filter(|key| !present.contains(*key)) {
                    if let Some(old) = self.store.remove(key) {
                        tell(Event::Deleted(old));
                    }
                }
                self.synced.send_replace(true);
            }
        }
    }
}

fn same_version(old: &impl HasMetadata, new: &impl HasMetadata) -> bool {
    let version = &new.object_meta().resource_version;
    !version.is_empty() && old.object_meta().resource_version == *version
}

#[cfg(test)]
mod tests;
