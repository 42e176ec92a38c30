//! Volume attributes classes are used by the volumes and claims that name them (KEP-3751).

use std::collections::BTreeSet;
use std::sync::Arc;

use api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use api::quota::attributes_classes;
use api::storage::v1::VolumeAttributesClass;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, Informer, ObjectKey, Store, WorkQueue};
use futures_util::future::BoxFuture;

use super::{Step, add, remove, step};

const NAME: &str = "vacprotection";
const FINALIZER: &str = "kubernetes.io/vac-protection";
const INDEX: &str = "volume-attributes-class";

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let classes = context.informers.of::<VolumeAttributesClass>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    classes.add_handler(move |event| {
        let metadata = &event.object().metadata;
        if !event.is_deleted() && step(metadata, FINALIZER) != Step::Nothing {
            own.add(ObjectKey::of(metadata));
        }
    });
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let volumes = context.informers.of::<PersistentVolume>();
    watch_users(&claims, &queue, of_claim);
    watch_users(&volumes, &queue, of_volume);
    let controller = Controller {
        classes: classes.store(),
        claims: claims.store(),
        volumes: volumes.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, 1, Arc::new(controller)).await;
}

fn of_claim(claim: &PersistentVolumeClaim) -> BTreeSet<String> {
    attributes_classes(claim).into_iter().map(str::to_owned).collect()
}

fn of_volume(volume: &PersistentVolume) -> BTreeSet<String> {
    let name = volume.spec.volume_attributes_class_name.iter();
    name.filter(|name| !name.is_empty()).cloned().collect()
}

/// Queues the classes that an object no longer names.
fn watch_users<K: api::Resource>(
    users: &Informer<K>,
    queue: &WorkQueue<ObjectKey>,
    classes: fn(&K) -> BTreeSet<String>,
) {
    users
        .store()
        .add_index(INDEX, move |user| classes(user).into_iter().collect());
    let queue = queue.clone();
    users.add_handler(move |event| {
        let left: Vec<String> = match event {
            Event::Added(_) => Vec::new(),
            Event::Updated { old, new } => classes(old).difference(&classes(new)).cloned().collect(),
            Event::Deleted(user) => classes(user).into_iter().collect(),
        };
        left.iter().for_each(|name| queue.add(ObjectKey::cluster(name)));
    });
}

struct Controller {
    context: Context,
    classes: Store<VolumeAttributesClass>,
    claims: Store<PersistentVolumeClaim>,
    volumes: Store<PersistentVolume>,
}

impl Controller {
    fn is_used(&self, name: &str) -> bool {
        !self.volumes.by_index(INDEX, name).is_empty() || !self.claims.by_index(INDEX, name).is_empty()
    }
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(class) = self.classes.get(key) else {
                return Ok(Outcome::Done);
            };
            let client = &self.context.client;
            match step(&class.metadata, FINALIZER) {
                Step::RemoveIfUnused if !self.is_used(&key.name) => {
                    remove(client, &*class, FINALIZER).await?;
                }
                Step::Add => add(client, &*class, FINALIZER).await?,
                Step::RemoveIfUnused | Step::Nothing => {}
            }
            Ok(Outcome::Done)
        })
    }
}
