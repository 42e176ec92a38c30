//! How authenticators, authorizers and admission see the stored objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::Object;
use apimachinery::status::Status;
use auth::{Change, Objects as ObjectReader};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use storage::cache::{Entry, EventKind, Freshness, Scope, Start, WatchEvent, WatchRequest};
use storage::{Error, Expect, Key};
use tokio::sync::oneshot;

use crate::objects::{CommitError, Objects};
use crate::proto::Unread;
use crate::resource::Resources;

/// Reads through the watch caches.
pub struct CachedObjects {
    pub resources: Arc<Resources>,
}

impl CachedObjects {
    fn objects(&self, group: &str, resource: &str) -> Option<Arc<Objects>> {
        self.resources.objects(group, resource)
    }
}

fn decode(objects: &Objects, entry: &Entry) -> Option<Box<dyn Object>> {
    told(
        entry,
        objects.decode(entry.stored().clone()).map(|loaded| loaded.object),
    )
}

fn told(entry: &Entry, decoded: Result<Box<dyn Object>, Status>) -> Option<Box<dyn Object>> {
    match decoded {
        Ok(object) => Some(object),
        Err(error) => {
            tracing::error!(key = %entry.key(), %error, "stored object can't be read");
            None
        }
    }
}

impl ObjectReader for CachedObjects {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Box<dyn Object>> {
        let objects = self.objects(group, resource)?;
        let key = objects.key(namespace, name);
        let (_, entry) = objects
            .cache
            .get(key.as_bytes(), Freshness::Any)
            .now_or_never()?
            .ok()?;
        decode(&objects, &*entry?)
    }

    fn list(&self, group: &str, resource: &str, namespace: &str) -> Vec<Box<dyn Object>> {
        let Some(objects) = self.objects(group, resource) else {
            return Vec::new();
        };
        let Some(Ok(snapshot)) = objects.cache.snapshot(Freshness::Any).now_or_never() else {
            return Vec::new();
        };
        let prefix = objects.prefix_of(namespace);
        snapshot
            .range(prefix.as_bytes(), None)
            .filter_map(|entry| decode(&objects, entry))
            .collect()
    }

    fn get_live<'a>(
        &'a self,
        group: &'a str,
        resource: &'a str,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Object>>, Status>> {
        Box::pin(async move {
            let objects = self
                .objects(group, resource)
                .ok_or_else(|| Status::internal(format!("{resource}.{group} is not served")))?;
            Ok(objects
                .load(&objects.key(namespace, name))
                .await?
                .map(|loaded| loaded.object))
        })
    }

    fn update_status<'a>(
        &'a self,
        mut object: Box<dyn Object>,
    ) -> BoxFuture<'a, Result<Box<dyn Object>, Status>> {
        Box::pin(async move {
            let gvk = object.gvk();
            let objects = self
                .resources
                .all()
                .find(|objects| objects.row.group == gvk.group && objects.row.kind == gvk.kind);
            let objects = objects.ok_or_else(|| Status::internal(format!("{gvk} is not stored")))?;
            let metadata = object.metadata();
            let key = objects.key(&metadata.namespace, &metadata.name);
            let conflict = || {
                Status::conflict(
                    &objects.group_resource(),
                    &metadata.name,
                    "the object has been modified",
                )
            };
            let current = objects
                .load(&key)
                .await?
                .ok_or_else(|| Status::not_found(&objects.group_resource(), &metadata.name))?;
            if current.object.metadata().resource_version != metadata.resource_version {
                return Err(conflict());
            }
            let value = objects.encode(&*object).await?;
            let written = objects
                .put(&key, Expect::Unchanged(current.stored.mod_revision), value)
                .await
                .map_err(|error| match error {
                    CommitError::Conflict => conflict(),
                    CommitError::Failed(status) => *status,
                })?;
            let revision = written.revision.unwrap_or(current.stored.mod_revision);
            object.metadata_mut().resource_version = revision.to_string();
            Ok(object)
        })
    }
}

/// Feeds an index with the objects of its resources, from their first state on, as long as the server runs.
/// Resolves once the first state was fed; the rest goes on in tasks.
pub async fn follow(resources: &Resources, follower: Arc<dyn auth::Follower>) -> Result<(), Error> {
    for (group, plural) in follower.resources() {
        let Some(objects) = resources.objects(group, plural) else {
            continue;
        };
        let (ready, filled) = oneshot::channel();
        tokio::spawn(follow_resource(objects.clone(), follower.clone(), ready));
        filled
            .await
            .map_err(|_| Error::Unavailable("the server is shutting down".to_owned()))?;
    }
    Ok(())
}

/// How long to wait before a watch that ended is started anew.
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// Restarted from a fresh state whenever the watch ends: an index must not miss an event.
async fn follow_resource(
    objects: Arc<Objects>,
    follower: Arc<dyn auth::Follower>,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut fed: BTreeMap<Key, Arc<Entry>> = BTreeMap::new();
    loop {
        if let Err(error) = follow_once(&objects, &*follower, &mut fed, &mut ready).await {
            tracing::warn!(resource = objects.row.plural, %error, "following a resource starts anew");
        }
        tokio::time::sleep(RESTART_DELAY).await;
    }
}

async fn follow_once(
    objects: &Objects,
    follower: &dyn auth::Follower,
    fed: &mut BTreeMap<Key, Arc<Entry>>,
    ready: &mut Option<oneshot::Sender<()>>,
) -> Result<(), Error> {
    let mut watch = objects
        .cache
        .watch(WatchRequest {
            scope: Scope::Prefix(Key::from(objects.prefix())),
            start: Start::State(Freshness::Latest),
            predicate: None,
            bookmarks: false,
            initial_events_end: true,
        })
        .await?;
    let (group, plural) = (objects.row.group, objects.row.plural);
    let unread = follower.unread(group, plural).iter().copied();
    let unread = Unread::new(objects.row.ty, unread.chain(["metadata.managedFields"]));
    let read = |entry: &Entry| told(entry, objects.decode_part(entry.stored(), &unread));
    let mut present: BTreeMap<Key, Arc<Entry>> = BTreeMap::new();
    let mut filled = false;
    while let Some(event) = watch.next().await {
        match event? {
            WatchEvent::Object(event) => {
                let Some(object) = read(&event.entry) else {
                    continue;
                };
                if event.kind == EventKind::Deleted {
                    fed.remove(event.entry.key());
                    follower.apply(Change::Removed(&*object));
                    continue;
                }
                let into = if filled { &mut *fed } else { &mut present };
                into.insert(event.entry.key().clone(), event.entry.clone());
                follower.apply(Change::Set(&*object));
            }
            WatchEvent::Bookmark {
                initial_events_end: true,
                ..
            } => {
                // What was fed before and is not in the fresh state has gone meanwhile.
                let before = std::mem::replace(fed, std::mem::take(&mut present));
                for gone in before
                    .into_iter()
                    .filter(|(key, _)| !fed.contains_key(key))
                    .map(|(_, gone)| gone)
                {
                    read(&gone).inspect(|object| follower.apply(Change::Removed(&**object)));
                }
                filled = true;
                if let Some(ready) = ready.take() {
                    // Nobody waits any more if the server is going down.
                    ready.send(()).ok();
                }
            }
            WatchEvent::Bookmark { .. } => {}
        }
    }
    Ok(())
}
