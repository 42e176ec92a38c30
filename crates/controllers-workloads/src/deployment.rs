//! Rolls out pod templates, by growing the replica set of the new one and shrinking those of old ones.
//!
//! [`plan`] decides, from the deployment, its replica sets and their pods, with [`rollout`] as the working state;
//! [`rolling`], [`recreate`] and [`scaling`] are the ways to change sizes; [`progress`] and [`conditions`] make the
//! status; [`annotations`], [`sizes`] and [`template_hash`] are the rules they share. [`handlers`] turn events into
//! keys, [`execute`] writes.
//!
//! Upstream: pkg/controller/deployment

pub mod annotations;
pub mod conditions;
mod execute;
mod handlers;
pub mod plan;
pub mod progress;
pub mod recreate;
pub mod rolling;
pub mod rollout;
pub mod scaling;
pub mod sizes;
pub mod template_hash;

use std::sync::Arc;

use api::apps::v1::{Deployment, ReplicaSet};
use api::core::v1::Pod;
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::ownership::{Claim, claim_by};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;

use crate::pods::{CONTROLLER_INDEX, claim, index_by_controller};
use plan::Observed;

const NAME: &str = "deployment";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let deployments = context.informers.of::<Deployment>();
    let replica_sets = context.informers.of::<ReplicaSet>();
    let pods = context.informers.of::<Pod>();
    let queue = context.queue(NAME);
    handlers::register(&deployments, &replica_sets, &pods, &queue);
    let controller = Controller {
        deployments: deployments.store(),
        replica_sets: replica_sets.store(),
        pods: index_by_controller(&pods),
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    deployments: Store<Deployment>,
    replica_sets: Store<ReplicaSet>,
    pods: Store<Pod>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            match self.deployments.get(key) {
                Some(deployment) => self.sync(&deployment).await,
                None => Ok(Outcome::Done),
            }
        })
    }
}

impl Controller {
    async fn sync(&self, deployment: &Deployment) -> Result<Outcome, driver::Error> {
        let selector = selector_of(deployment);
        if selector.is_everything() {
            return Ok(self.refuse_everything(deployment).await?);
        }
        let observed = self.observe(deployment, &selector).await?;
        let plan = plan::plan(&observed, Time(self.context.clock.now()));
        execute::execute(&self.context, deployment, plan).await
    }

    async fn observe(&self, deployment: &Deployment, selector: &Selector) -> Result<Observed, Error> {
        let replica_sets = self.claim_replica_sets(deployment, selector).await?;
        let pods = replica_sets
            .iter()
            .map(|set| {
                (
                    set.metadata.uid.clone(),
                    self.pods.by_index(CONTROLLER_INDEX, &set.metadata.uid),
                )
            })
            .collect();
        Ok(Observed {
            deployment: deployment.clone(),
            replica_sets,
            pods,
        })
    }

    async fn claim_replica_sets(
        &self,
        deployment: &Deployment,
        selector: &Selector,
    ) -> Result<Vec<ReplicaSet>, Error> {
        let namespace = &deployment.metadata.namespace;
        let deployments = self.context.client.api::<Deployment>().namespace(namespace);
        let sets = self.context.client.api::<ReplicaSet>().namespace(namespace);
        let mut claimed = Vec::new();
        let mut may_adopt = None;
        for set in self.replica_sets.namespace(namespace) {
            let (name, uid) = (&set.metadata.name, &set.metadata.uid);
            match claim_by(&set.metadata, &deployment.metadata, selector) {
                Claim::Keep => claimed.push((*set).clone()),
                Claim::Ignore => {}
                Claim::Release => claim::release(&sets, name, uid, &deployment.metadata.uid).await?,
                Claim::Adopt => {
                    let allowed = match may_adopt {
                        Some(allowed) => allowed,
                        None => *may_adopt.insert(claim::still_there(&deployments, deployment).await?),
                    };
                    if allowed && claim::adopt(&sets, name, uid, deployment).await? {
                        claimed.push((*set).clone());
                    }
                }
            }
        }
        Ok(claimed)
    }

    async fn refuse_everything(&self, deployment: &Deployment) -> Result<Outcome, Error> {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        self.context
            .recorder
            .event(deployment, EventType::Warning, "SelectingAll", message);
        if deployment.status.observed_generation < deployment.metadata.generation {
            let mut updated = deployment.clone();
            updated.status.observed_generation = deployment.metadata.generation;
            let deployments = self.context.client.api::<Deployment>();
            deployments
                .namespace(&deployment.metadata.namespace)
                .update_status(&updated)
                .await?;
        }
        Ok(Outcome::Done)
    }
}

/// The deployment's selector; nothing when it is absent or can't be understood.
fn selector_of(deployment: &Deployment) -> Selector {
    let selector = deployment.spec.selector.as_deref();
    selector
        .and_then(|selector| api::selector::from_label_selector(selector).ok())
        .unwrap_or_else(Selector::nothing)
}
