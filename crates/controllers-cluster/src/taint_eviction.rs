//! Deletes pods from nodes with `NoExecute` taints that they don't tolerate, or no longer.
//!
//! [`plan`] says when a pod must go. The queue's keys are pods; a pod that must go later is queued for then and
//! judged anew.
//!
//! Upstream: pkg/controller/tainteviction

pub mod plan;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::core::v1::{Node, Pod, PodCondition};
use api::meta::v1::DeleteOptions;
use apimachinery::time::Time;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::{Context, Event, Informer, ObjectKey, Store, WorkQueue};
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tracing::info;

use crate::nodes::{NODE_INDEX, index_by_node, patch_pod_condition};
use plan::{Fate, no_execute};

const NAME: &str = "noexec_taint_pod";
const WORKERS: usize = 8;

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let nodes = context.informers.of::<Node>();
    let pods = context.informers.of::<Pod>();
    let queue = context.queue(NAME);
    let store = index_by_node(&pods);
    register(&nodes, &pods, &store, &queue);
    let controller = Controller {
        nodes: nodes.store(),
        pods: store,
        since: Mutex::default(),
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

fn register(nodes: &Informer<Node>, pods: &Informer<Pod>, store: &Store<Pod>, queue: &WorkQueue<ObjectKey>) {
    let (store, by_node) = (store.clone(), queue.clone());
    nodes.add_handler(move |event| {
        let changed = match event {
            Event::Added(node) => no_execute(node).next().is_some(),
            Event::Updated { old, new } => !no_execute(old).eq(no_execute(new)),
            Event::Deleted(_) => false,
        };
        if changed {
            for pod in store.by_index(NODE_INDEX, &event.object().metadata.name) {
                by_node.add(ObjectKey::of(&pod.metadata));
            }
        }
    });
    let own = queue.clone();
    pods.add_handler(move |event| {
        let changed = match event {
            Event::Added(_) | Event::Deleted(_) => true,
            Event::Updated { old, new } => {
                old.spec.node_name != new.spec.node_name || old.spec.tolerations != new.spec.tolerations
            }
        };
        if changed && !event.object().spec.node_name.is_empty() {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
}

struct Controller {
    context: Context,
    nodes: Store<Node>,
    pods: Store<Pod>,
    /// Since when a pod's toleration runs, by UID: a taint that changes mustn't start it anew.
    since: Mutex<HashMap<ObjectKey, (String, Timestamp)>>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let pod = self.pods.get(key);
            let node = pod
                .as_ref()
                .and_then(|pod| self.nodes.get(&ObjectKey::cluster(&pod.spec.node_name)));
            let (Some(pod), Some(node)) = (pod, node) else {
                self.spare(key, None);
                return Ok(Outcome::Done);
            };
            if pod.metadata.deletion_timestamp.is_some() {
                self.forget(key);
                return Ok(Outcome::Done);
            }
            let now = self.context.clock.now();
            match plan::fate(&node, &pod.spec.tolerations, self.started(key, &pod), now) {
                Fate::Stay => {
                    self.spare(key, Some(&pod));
                    Ok(Outcome::Done)
                }
                Fate::Later(delay) => {
                    self.start(key, &pod, now);
                    Ok(Outcome::RequeueAfter(delay))
                }
                Fate::Now => Ok(self.evict(key, &pod).await?),
            }
        })
    }
}

impl Controller {
    fn started(&self, key: &ObjectKey, pod: &Pod) -> Option<Timestamp> {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since
            .get(key)
            .filter(|(uid, _)| *uid == pod.metadata.uid)
            .map(|(_, at)| *at)
    }

    fn start(&self, key: &ObjectKey, pod: &Pod, now: Timestamp) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = since
            .entry(key.clone())
            .or_insert_with(|| (pod.metadata.uid.clone(), now));
        if entry.0 != pod.metadata.uid {
            *entry = (pod.metadata.uid.clone(), now);
        }
    }

    fn forget(&self, key: &ObjectKey) -> bool {
        self.since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key)
            .is_some()
    }

    /// The pod may stay; if it was to go, users are told.
    fn spare(&self, key: &ObjectKey, pod: Option<&Pod>) {
        if self.forget(key)
            && let Some(pod) = pod
        {
            let message = format!("Cancelling deletion of Pod {key}");
            self.context
                .recorder
                .event(pod, EventType::Normal, "TaintManagerEviction", message);
        }
    }

    async fn evict(&self, key: &ObjectKey, pod: &Pod) -> Result<Outcome, Error> {
        let message = format!("Marking for deletion Pod {key}");
        self.context
            .recorder
            .event(pod, EventType::Normal, "TaintManagerEviction", message);
        info!(pod = %key, node = %pod.spec.node_name, "evicting a pod from a tainted node");
        let condition = PodCondition {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
            reason: "DeletionByTaintManager".into(),
            message: "Taint manager: deleting due to NoExecute taint".into(),
            ..PodCondition::default()
        };
        let now = Time(self.context.clock.now());
        match patch_pod_condition(&self.context.client, pod, Some(condition), None, now).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let pods = self.context.client.api::<Pod>().namespace(&key.namespace);
        match pods.delete(&key.name, &DeleteOptions::default()).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        self.forget(key);
        Ok(Outcome::Done)
    }
}
