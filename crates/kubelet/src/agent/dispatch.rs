//! Takes pods from their sources to admission and on to workers. Upstream: `syncLoopIteration`.

use super::{housekeeping::Housekeeping, resizes::Waiting};
use crate::{
    admission::{self, Rejection},
    events::Events,
    eviction::pressure::{self, Pressure},
    metrics::Metrics,
    mirror::Mirrors,
    pod,
    pod_table::PodTable,
    resize::Resizes,
    settings::Settings,
    source::Change,
    status::manager::Statuses,
    sysctl,
    worker::Pool,
};
use api::core::v1::{Node, Pod, PodStatus};
use apimachinery::time::Time;
use client::Client;
use component_base::{clock::Clock, shutdown::Shutdown};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::{mpsc::UnboundedReceiver, watch};

/// How often housekeeping is done.
const HOUSEKEEPING: Duration = Duration::from_secs(2);

pub(super) struct Dispatch {
    /// Where the node can be asked for anew.
    pub client: Option<Client>,
    pub pool: Arc<Pool>,
    pub pods: Arc<PodTable>,
    pub statuses: Arc<Statuses>,
    pub mirrors: Mirrors,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub settings: Arc<Settings>,
    pub node: watch::Receiver<Option<Arc<Node>>>,
    pub labels: BTreeMap<String, String>,
    pub pressure: Arc<Pressure>,
    pub resizes: Arc<Resizes>,
    pub waiting: Waiting,
}

impl Dispatch {
    /// Runs until shutdown. Nothing is taken for an orphan before all `sources` have told of their pods.
    pub async fn run(
        mut self,
        mut changes: UnboundedReceiver<Change>,
        sources: usize,
        mut housekeeping: Housekeeping,
        shutdown: &Shutdown,
    ) {
        let mut synced = 0;
        let mut timer = tokio::time::interval(HOUSEKEEPING);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = shutdown.wait() => return,
                Some(change) = changes.recv() => match change {
                    Change::Set(spec) => self.set(spec).await,
                    Change::Removed(uid) => self.remove(&uid).await,
                    Change::Synced => {
                        synced += 1;
                        if synced == sources {
                            self.resizes_may_start().await;
                        }
                    }
                },
                _ = timer.tick() => {
                    housekeeping.round(synced == sources).await;
                    self.retry_resizes_now_and_then().await;
                }
            }
        }
    }

    async fn set(&mut self, spec: Arc<Pod>) {
        if pod::is_mirror(&spec) {
            self.mirrors.table().set(spec.clone());
            self.pods.set(spec.clone());
            // A mirror that is being deleted, or mirrors an older version, is the static pod's worker's to replace.
            for other in self.pods.all() {
                if pod::is_static(&other) && pod::full_name(&other) == pod::full_name(&spec) {
                    self.statuses.refresh(&other);
                    self.pool.poke(&other.metadata.uid);
                }
            }
            return;
        }
        let old = self.pods.get(&spec.metadata.uid);
        self.pods.set(spec.clone());
        self.statuses.refresh(&spec);
        if self.pods.is_rejected(&spec.metadata.uid) {
            if spec.metadata.deletion_timestamp.is_some() {
                self.statuses.finished(&spec);
            }
            return;
        }
        let ends = spec.metadata.deletion_timestamp.is_some() || pod::is_terminal(&spec.status.phase);
        match old {
            Some(old) => self.changed(&old, &spec).await,
            None if ends => {}
            None => {
                let allocated = self.resizes.allocated_pod(&spec);
                if let Err(rejection) = self.admit(&allocated).await {
                    self.reject(&spec, &rejection);
                    return;
                }
                self.allocate(&spec);
            }
        }
        self.pool.update(spec);
    }

    async fn remove(&mut self, uid: &str) {
        let Some(spec) = self.pods.remove(uid) else { return };
        if pod::is_mirror(&spec) {
            self.mirrors.table().remove(&spec);
            // Whoever deleted a mirror gets a new one.
            for other in self.pods.all() {
                if pod::is_static(&other) && pod::full_name(&other) == pod::full_name(&spec) {
                    self.pool.poke(&other.metadata.uid);
                }
            }
            return;
        }
        self.pool.remove(uid);
        self.retry_resizes("pods_removed").await;
    }

    pub(super) async fn admit(&self, spec: &Pod) -> Result<(), Rejection> {
        pressure::admit(spec, &self.pressure.conditions())?;
        let node = self.node().await;
        let uid = &spec.metadata.uid;
        let others: Vec<Arc<Pod>> = self
            .pool
            .active()
            .into_iter()
            .filter(|other| other.metadata.uid != *uid)
            .map(|other| self.resizes.allocated_pod(&other))
            .collect();
        let admit = |node: &Node| admission::admit(spec, &others, node, &self.settings.allocatable);
        if let Err(rejection) = admit(&node) {
            // The scheduler may have seen labels that have not come here yet.
            let fresh = match rejection.is_by_labels() {
                true => self.fresh_node().await,
                false => None,
            };
            admit(&fresh.ok_or(rejection)?)?;
        }
        sysctl::check(spec, &self.settings.allowed_unsafe_sysctls).map_err(|message| Rejection {
            reason: "SysctlForbidden".into(),
            message,
        })
    }

    /// The node as the API has it, or as it would be registered while the API hasn't it.
    async fn node(&self) -> Arc<Node> {
        if let Some(node) = self.node.borrow().clone() {
            return node;
        }
        let mut node = Node::default();
        node.metadata.name.clone_from(&self.settings.node_name);
        node.metadata.labels.clone_from(&self.labels);
        node.metadata
            .labels
            .insert("kubernetes.io/hostname".into(), self.settings.node_name.clone());
        node.metadata
            .labels
            .insert("kubernetes.io/os".into(), "linux".into());
        Arc::new(node)
    }

    /// The node as the API has it now.
    async fn fresh_node(&self) -> Option<Node> {
        let nodes = self.client.as_ref()?.api::<Node>();
        match nodes.get(&self.settings.node_name).await {
            Ok(node) => Some(node),
            Err(error) => {
                tracing::warn!(%error, "cannot ask for the node");
                None
            }
        }
    }

    fn reject(&self, spec: &Arc<Pod>, rejection: &Rejection) {
        tracing::info!(pod = %pod::description(spec), reason = rejection.reason, text = rejection.message, "pod rejected");
        self.pods.reject(&spec.metadata.uid);
        self.metrics.pod_rejected(&rejection.reason);
        self.events.warning(spec, &rejection.reason, &rejection.message);
        let status = PodStatus {
            phase: "Failed".into(),
            reason: rejection.reason.clone(),
            message: format!("Pod was rejected: {}", rejection.message),
            qos_class: api::qos::class(spec).as_str().into(),
            observed_generation: spec.metadata.generation,
            start_time: Some(Time::from(self.clock.now()).truncated()),
            conditions: spec.status.conditions.clone(),
            ..PodStatus::default()
        };
        self.statuses.set(spec, status);
    }
}
