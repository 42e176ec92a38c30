//! Keeps pods with names, ordinals and volumes of their own, one after the other.
//!
//! [`identity`] makes the pod of an ordinal and [`claims`] those of its volumes; [`plan`] decides what to do, and
//! [`status`] counts. `execute` carries it out. History is in [`crate::revisions`].
//!
//! Upstream: pkg/controller/statefulset

pub mod claims;
mod execute;
mod handlers;
pub mod identity;
pub mod plan;
pub mod status;

use api::apps::v1::{ControllerRevision, StatefulSet};
use api::core::v1::{PersistentVolumeClaim, Pod};
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::ownership::{controller_of, is_controlled_by};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;
use std::sync::Arc;

use crate::pods::{CONTROLLER_INDEX, claim, index_by_controller, orphans_of};
use crate::revisions::{self, History};
use claims::Claims;
use execute::Executor;
use plan::{Observed, Revision};

const NAME: &str = "statefulset";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let sets = context.informers.of::<StatefulSet>();
    let pods = context.informers.of::<Pod>();
    let claims = context.informers.of::<PersistentVolumeClaim>();
    let revisions = context.informers.of::<ControllerRevision>();
    let queue = context.queue(NAME);
    handlers::register(&sets, &pods, &queue);
    let controller = Controller {
        sets: sets.store(),
        pods: index_by_controller(&pods),
        claims: claims.store(),
        revisions: revisions.store(),
        executor: Executor::new(context.client.clone(), context.recorder.clone()),
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    executor: Executor,
    sets: Store<StatefulSet>,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    revisions: Store<ControllerRevision>,
}

/// A revision holds no template that can be read: somebody wrote it by hand.
#[derive(Debug, thiserror::Error)]
#[error("revision {name} holds no template")]
struct NoTemplate {
    name: String,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            match self.sets.get(key) {
                Some(set) => self.sync(&set).await,
                None => Ok(Outcome::Done),
            }
        })
    }
}

impl Controller {
    async fn sync(&self, set: &StatefulSet) -> Result<Outcome, driver::Error> {
        let selector = selector_of(set);
        let Some(history) = self.sync_history(set, &selector).await? else {
            return Ok(Outcome::Retry);
        };
        let observed = self.observe(set, &selector, &history).await?;
        let now = Time(self.context.clock.now());
        let groups = plan::plan(&observed, now);
        let status = status::status(&observed, &groups, now);
        let executed = self.executor.execute(&observed, groups).await;
        if status::is_news(set, &status) {
            self.write_status(StatefulSet {
                status,
                ..set.clone()
            })
            .await?;
        }
        self.clean_up(&observed, &history).await?;
        executed?;
        Ok(status::next_check(&observed, now).map_or(Outcome::Done, Outcome::RequeueAfter))
    }

    /// None when a collision of names was noted: look again.
    async fn sync_history(&self, set: &StatefulSet, selector: &Selector) -> Result<Option<History>, Error> {
        let namespace = &set.metadata.namespace;
        let api = self
            .context
            .client
            .api::<ControllerRevision>()
            .namespace(namespace);
        let mut stored = Vec::new();
        for revision in self.revisions.namespace(namespace) {
            let metadata = &revision.metadata;
            let is_orphan = controller_of(metadata).is_none() && selector.matches(&metadata.labels);
            if is_controlled_by(metadata, &set.metadata.uid)
                || (is_orphan && self.adopt(&api, set, &revision).await?)
            {
                stored.push((*revision).clone());
            }
        }
        let collisions = set.status.collision_count;
        let history = revisions::sync(&api, set, &set.spec.template, collisions, stored).await?;
        if history.is_none() {
            let mut updated = set.clone();
            updated.status.collision_count = Some(collisions.unwrap_or_default() + 1);
            self.write_status(updated).await?;
        }
        Ok(history)
    }

    async fn adopt(
        &self,
        api: &client::Api<ControllerRevision>,
        set: &StatefulSet,
        revision: &ControllerRevision,
    ) -> Result<bool, Error> {
        let sets = self.api(set);
        let metadata = &revision.metadata;
        Ok(claim::still_there(&sets, set).await?
            && claim::adopt(api, &metadata.name, &metadata.uid, set).await?)
    }

    async fn observe(
        &self,
        set: &StatefulSet,
        selector: &Selector,
        history: &History,
    ) -> Result<Observed, driver::Error> {
        let namespace = &set.metadata.namespace;
        let mut candidates = self.pods.by_index(CONTROLLER_INDEX, &set.metadata.uid);
        candidates.extend(self.pods.by_index(CONTROLLER_INDEX, &orphans_of(namespace)));
        // A pod of another name is nobody's replica.
        candidates.retain(|pod| identity::ordinal_of(set, pod).is_some());
        let pods = self.context.client.api::<Pod>().namespace(namespace);
        let pods = claim::claim_pods(&self.api(set), &pods, set, selector, candidates).await?;
        let update = &history.current;
        let current = history
            .old
            .iter()
            .find(|revision| revision.metadata.name == set.status.current_revision)
            .unwrap_or(update);
        Ok(Observed {
            set: set.clone(),
            current: restored(current)?,
            update: Revision {
                name: update.metadata.name.clone(),
                template: set.spec.template.clone(),
            },
            claims: self.claims_of(set, &pods),
            pods,
        })
    }

    fn claims_of(&self, set: &StatefulSet, pods: &[Arc<Pod>]) -> Claims {
        if set.spec.volume_claim_templates.is_empty() {
            return Claims::new();
        }
        let present = pods.iter().filter_map(|pod| identity::ordinal_of(set, pod));
        let names = identity::ordinals(set)
            .chain(present)
            .flat_map(|ordinal| claims::names(set, ordinal));
        names
            .filter_map(|name| {
                let claim = self.claims.get(&ObjectKey::new(&set.metadata.namespace, &name))?;
                Some((name, claim))
            })
            .collect()
    }

    /// Deletes old revisions that no pod is of, beyond the limit.
    async fn clean_up(&self, observed: &Observed, history: &History) -> Result<(), Error> {
        let is_live = |revision: &&ControllerRevision| {
            let name = &revision.metadata.name;
            *name == observed.current.name
                || observed.pods.iter().any(|pod| identity::revision_of(pod) == name)
        };
        let dead: Vec<ControllerRevision> = history
            .old
            .iter()
            .filter(|revision| !is_live(revision))
            .cloned()
            .collect();
        let set = &observed.set;
        let api = self
            .context
            .client
            .api::<ControllerRevision>()
            .namespace(&set.metadata.namespace);
        revisions::clean_up(&api, &dead, set.spec.revision_history_limit, |_| false).await
    }

    async fn write_status(&self, set: StatefulSet) -> Result<(), Error> {
        match self.api(&set).update_status(&set).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    fn api(&self, set: &StatefulSet) -> client::Api<StatefulSet> {
        self.context
            .client
            .api::<StatefulSet>()
            .namespace(&set.metadata.namespace)
    }
}

fn restored(revision: &ControllerRevision) -> Result<Revision, NoTemplate> {
    let name = revision.metadata.name.clone();
    match revisions::template_of(revision) {
        Some(template) => Ok(Revision { name, template }),
        None => Err(NoTemplate { name }),
    }
}

/// The set's selector; nothing when it is absent or can't be understood.
fn selector_of(set: &StatefulSet) -> Selector {
    let selector = set.spec.selector.as_deref();
    selector
        .and_then(|selector| api::selector::from_label_selector(selector).ok())
        .unwrap_or_else(Selector::nothing)
}
