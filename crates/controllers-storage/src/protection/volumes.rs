//! Volumes are used while they are bound.

use std::sync::Arc;

use api::core::v1::PersistentVolume;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;

use super::{Step, add, remove, step};

const NAME: &str = "pvprotection";
const FINALIZER: &str = "kubernetes.io/pv-protection";

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let volumes = context.informers.of::<PersistentVolume>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    volumes.add_handler(move |event| {
        let metadata = &event.object().metadata;
        if !event.is_deleted() && step(metadata, FINALIZER) != Step::Nothing {
            own.add(ObjectKey::of(metadata));
        }
    });
    let controller = Controller {
        volumes: volumes.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, 1, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    volumes: Store<PersistentVolume>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(volume) = self.volumes.get(key) else {
                return Ok(Outcome::Done);
            };
            let client = &self.context.client;
            match step(&volume.metadata, FINALIZER) {
                Step::RemoveIfUnused if volume.status.phase != "Bound" => {
                    remove(client, &*volume, FINALIZER).await?;
                }
                Step::Add => add(client, &*volume, FINALIZER).await?,
                // Bound ones come again when they are released.
                Step::RemoveIfUnused | Step::Nothing => {}
            }
            Ok(Outcome::Done)
        })
    }
}
