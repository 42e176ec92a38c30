//! Keeps a pod of a DaemonSet on every node that it is for.
//!
//! [`placement`] says which nodes those are and makes a pod for one; [`plan`] decides which pods to create and
//! delete, [`rolling`] which to replace; [`status`] counts. History is in [`crate::revisions`].
//!
//! Upstream: pkg/controller/daemon

mod handlers;
pub mod placement;
pub mod plan;
pub mod rolling;
pub mod status;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use api::apps::v1::{ControllerRevision, DaemonSet};
use api::core::v1::{Node, Pod};
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::expectations::Expectations;
use controller_runtime::ownership::{controller_ref, is_controlled_by};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::{BoxFuture, join_all};

use crate::pods::control::{PodControl, slow_start};
use crate::pods::template::pod_from_template;
use crate::pods::{CONTROLLER_INDEX, claim, identity, index_by_controller, orphans_of};
use crate::revisions::{self, History};
use plan::{Observed, Plan};

const NAME: &str = "daemonset";
/// The most pods created or deleted in one go.
const BURST: usize = 250;

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let sets = context.informers.of::<DaemonSet>();
    let pods = context.informers.of::<Pod>();
    let nodes = context.informers.of::<Node>();
    let revisions = context.informers.of::<ControllerRevision>();
    let queue = context.queue(NAME);
    let expectations = Arc::new(Expectations::default());
    handlers::register(&sets, &pods, &nodes, &queue, &expectations);
    let controller = Controller {
        control: PodControl::new(context.client.clone(), context.recorder.clone()),
        sets: sets.store(),
        pods: index_by_controller(&pods),
        nodes: nodes.store(),
        revisions: revisions.store(),
        expectations,
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    control: PodControl,
    sets: Store<DaemonSet>,
    pods: Store<Pod>,
    nodes: Store<Node>,
    revisions: Store<ControllerRevision>,
    expectations: Arc<Expectations>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(set) = self.sets.get(key) else {
                self.expectations.forget(key);
                return Ok(Outcome::Done);
            };
            // Its history may be gone already while it is being deleted: nothing can be decided any more.
            if set.metadata.deletion_timestamp.is_some() {
                return Ok(Outcome::Done);
            }
            let selector = selector_of(&set);
            if selector.is_everything() {
                let message = "This daemon set is selecting all pods. A non-empty selector is required.";
                self.context
                    .recorder
                    .event(&*set, EventType::Warning, "SelectingAll", message);
                return Ok(Outcome::Done);
            }
            self.sync(key, &set, &selector).await
        })
    }
}

impl Controller {
    async fn sync(
        &self,
        key: &ObjectKey,
        set: &DaemonSet,
        selector: &Selector,
    ) -> Result<Outcome, driver::Error> {
        let Some(history) = self.sync_history(set).await? else {
            return Ok(Outcome::Retry);
        };
        let observed = self.observe(set, selector, history.hash().to_owned()).await?;
        let trusted = self.expectations.satisfied(key, Instant::now());
        let now = Time(self.context.clock.now());
        let outcome = if trusted {
            self.execute(key, &observed, plan::plan(&observed, now)).await
        } else {
            Ok(())
        };
        self.write_status(&observed, trusted, now).await?;
        outcome?;
        if trusted {
            let live: HashSet<&String> = observed
                .pods
                .iter()
                .filter_map(|pod| pod.metadata.labels.get(revisions::HASH_LABEL))
                .collect();
            let api = self
                .context
                .client
                .api::<ControllerRevision>()
                .namespace(&key.namespace);
            let limit = set.spec.revision_history_limit;
            revisions::clean_up(&api, &history.old, limit, |hash| {
                live.iter().any(|live| *live == hash)
            })
            .await?;
        }
        Ok(status::next_check(&observed, now).map_or(Outcome::Done, Outcome::RequeueAfter))
    }

    /// None when a collision of names was noted: look again.
    async fn sync_history(&self, set: &DaemonSet) -> Result<Option<History>, Error> {
        let namespace = &set.metadata.namespace;
        let stored = self
            .revisions
            .namespace(namespace)
            .iter()
            .filter(|revision| is_controlled_by(&revision.metadata, &set.metadata.uid))
            .map(|revision| (**revision).clone())
            .collect();
        let api = self
            .context
            .client
            .api::<ControllerRevision>()
            .namespace(namespace);
        let collisions = set.status.collision_count;
        let history = revisions::sync(&api, set, &set.spec.template, collisions, stored).await?;
        if history.is_none() {
            let mut updated = set.clone();
            updated.status.collision_count = Some(collisions.unwrap_or_default() + 1);
            self.context
                .client
                .api::<DaemonSet>()
                .namespace(namespace)
                .update_status(&updated)
                .await?;
        }
        Ok(history)
    }

    async fn observe(&self, set: &DaemonSet, selector: &Selector, hash: String) -> Result<Observed, Error> {
        let metadata = &set.metadata;
        let mut candidates = self.pods.by_index(CONTROLLER_INDEX, &metadata.uid);
        candidates.extend(
            self.pods
                .by_index(CONTROLLER_INDEX, &orphans_of(&metadata.namespace)),
        );
        let sets = self
            .context
            .client
            .api::<DaemonSet>()
            .namespace(&metadata.namespace);
        let pods = self.context.client.api::<Pod>().namespace(&metadata.namespace);
        let pods = claim::claim_pods(&sets, &pods, set, selector, candidates).await?;
        Ok(Observed {
            set: set.clone(),
            hash,
            nodes: self.nodes.list(),
            pods,
        })
    }

    async fn execute(&self, key: &ObjectKey, observed: &Observed, plan: Plan) -> Result<(), driver::Error> {
        for (reason, message) in &plan.events {
            let type_ = if *reason == plan::FAILED {
                EventType::Warning
            } else {
                EventType::Normal
            };
            self.context
                .recorder
                .event(&observed.set, type_, reason, message.clone());
        }
        let delete: Vec<&Arc<Pod>> = plan.delete.iter().take(BURST).collect();
        let create: Vec<&String> = plan.create.iter().take(BURST).collect();
        let names = delete.iter().map(|pod| identity(pod));
        let creations = u32::try_from(create.len()).unwrap_or(u32::MAX);
        self.expectations.expect(key, creations, names, Instant::now());
        let created = self.create(key, observed, &create).await;
        let deleted = join_all(delete.iter().map(|pod| self.delete(key, observed, pod))).await;
        created?;
        deleted.into_iter().collect::<Result<(), Error>>()?;
        Ok(())
    }

    async fn create(&self, key: &ObjectKey, observed: &Observed, nodes: &[&String]) -> Result<(), Error> {
        let set = &observed.set;
        let (created, error) = slow_start(nodes.len(), |index| async move {
            let template = placement::template_for(set, nodes[index], &observed.hash);
            let pod = pod_from_template(set, &template, controller_ref(set));
            match self.control.create(set, &pod).await {
                Err(error) if error.is_namespace_terminating() => {
                    self.expectations.creation_observed(key);
                    Ok(())
                }
                outcome => outcome.map(drop),
            }
        })
        .await;
        for _ in created..nodes.len() {
            self.expectations.creation_observed(key);
        }
        error.map_or(Ok(()), Err)
    }

    async fn delete(&self, key: &ObjectKey, observed: &Observed, pod: &Pod) -> Result<(), Error> {
        let outcome = self.control.delete(&observed.set, pod).await;
        if outcome.is_err() {
            self.expectations.deletion_observed(key, &identity(pod));
        }
        match outcome {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    async fn write_status(&self, observed: &Observed, trusted: bool, now: Time) -> Result<(), Error> {
        let set = &observed.set;
        let mut status = status::status(observed, now);
        if !trusted {
            // Not this generation's doing yet.
            status.observed_generation = set.status.observed_generation;
        }
        if status == set.status {
            return Ok(());
        }
        let updated = DaemonSet {
            status,
            ..set.clone()
        };
        let sets = self
            .context
            .client
            .api::<DaemonSet>()
            .namespace(&set.metadata.namespace);
        match sets.update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// The set's selector; nothing when it is absent or can't be understood.
fn selector_of(set: &DaemonSet) -> Selector {
    let selector = set.spec.selector.as_deref();
    selector
        .and_then(|selector| api::selector::from_label_selector(selector).ok())
        .unwrap_or_else(Selector::nothing)
}
