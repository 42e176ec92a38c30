//! A definition that is deleted goes after its objects.
//!
//! Upstream: `apiextensions-apiserver/pkg/controller/finalizer`.

use std::sync::Arc;
use std::time::Duration;

use api::apiextensions::v1::{CustomResourceDefinition, CustomResourceDefinitionCondition as Condition};
use api::meta::v1::DeleteOptions;
use apimachinery::status::Status;
use apiserver::local::Local;
use apiserver::objects::{Objects, failed};
use apiserver::resource::Served;
use storage::cache::Freshness;

use crate::conditions::{ESTABLISHED, TERMINATING, condition, holds, set};

/// Keeps a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How often is looked whether the objects have gone, and how long: after that, all begins anew.
const POLL: Duration = Duration::from_secs(1);
const POLLS: usize = 60;

/// Whether there is something to do for a definition.
pub fn is_due(definition: &CustomResourceDefinition) -> bool {
    let finalizers = &definition.metadata.finalizers;
    definition.metadata.deletion_timestamp.is_some() && finalizers.iter().any(|name| name == FINALIZER)
}

/// Deletes the objects of a definition, and lets it go. `objects` are those of the stored version.
pub async fn finalize(
    local: &Local,
    definition: &CustomResourceDefinition,
    objects: Option<Arc<Objects>>,
) -> Result<(), Status> {
    say(
        local,
        definition,
        condition(
            TERMINATING,
            true,
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress",
        ),
    )
    .await?;
    let last = match objects.filter(|_| holds(definition, ESTABLISHED)) {
        None => condition(
            TERMINATING,
            false,
            "NeverEstablished",
            "resource was never established",
        ),
        Some(objects) => {
            let served = Served {
                row: objects.row,
                objects,
            };
            if let Err((reason, why)) = delete_all(local, &served).await {
                let message = format!("{reason}: {why}");
                let reason = match reason {
                    "could not confirm zero CustomResources remaining" => "InstanceDeletionCheck",
                    _ => "InstanceDeletionFailed",
                };
                say(local, definition, condition(TERMINATING, true, reason, &message)).await?;
                return Err(why);
            }
            condition(
                TERMINATING,
                false,
                "InstanceDeletionCompleted",
                "removed all instances",
            )
        }
    };
    let now = local.api().clock.now();
    update(local, definition, |definition| {
        set(definition, last.clone(), now);
        definition.metadata.finalizers.retain(|name| name != FINALIZER);
    })
    .await
}

/// Puts a condition into the definition's status.
async fn say(
    local: &Local,
    definition: &CustomResourceDefinition,
    condition: Condition,
) -> Result<(), Status> {
    let now = local.api().clock.now();
    update(local, definition, |definition| {
        set(definition, condition.clone(), now);
    })
    .await
}

/// Changes the definition, if it is still the same one.
async fn update(
    local: &Local,
    definition: &CustomResourceDefinition,
    change: impl Fn(&mut CustomResourceDefinition) + Send + Sync,
) -> Result<(), Status> {
    let uid = definition.metadata.uid.clone();
    let name = definition.metadata.name.clone();
    let changed = local.update_status::<CustomResourceDefinition>("", &name, move |definition| {
        if definition.metadata.uid == uid {
            change(definition);
        }
    });
    match changed.await {
        Err(status) if status.is_not_found() => Ok(()),
        done => done.map(drop),
    }
}

/// Deletes every object and waits until they are gone; what failed, and why.
async fn delete_all(local: &Local, served: &Served) -> Result<(), (&'static str, Status)> {
    for _ in 0..POLLS {
        let snapshot = served.objects.cache.snapshot(Freshness::Latest).await;
        let snapshot = snapshot.map_err(|error| ("could not list instances", failed(&error)))?;
        if snapshot.is_empty() {
            return Ok(());
        }
        let prefix = served.objects.prefix();
        for entry in snapshot.range(prefix.as_bytes(), None) {
            let relative = entry.key().get(prefix.len()..).unwrap_or_default();
            let relative = String::from_utf8_lossy(relative).into_owned();
            let (namespace, name) = relative.split_once('/').unwrap_or(("", &relative));
            match local
                .delete_served(served, namespace, name, &DeleteOptions::default())
                .await
            {
                Err(status) if !status.is_not_found() => {
                    return Err(("could not issue all deletes", status));
                }
                _ => {}
            }
        }
        local.api().clock.sleep(POLL).await;
    }
    let why = Status::internal("timed out waiting for the condition".to_owned());
    Err(("could not confirm zero CustomResources remaining", why))
}
