//! Looks at all nodes in turns and writes what the judgements say.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::coordination::v1::Lease;
use api::core::v1::{Node, ObjectReference, Pod, PodCondition};
use apimachinery::time::Time;
use client::Error;
use controller_runtime::event_recorder::EventType;
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::StreamExt;
use tracing::{info, warn};

use super::health::{self, Judgement, Record};
use super::zones::{Census, Shift, Zones, zone_of};
use super::{LEASE_NAMESPACE, Options};
use crate::nodes::taints::{self, NO_EXECUTE, NOT_READY, Swap, UNREACHABLE};
use crate::nodes::{NODE_INDEX, condition, patch_pod_condition};

/// How often nodes that wait for their taint are looked at.
const TAINT_PERIOD: Duration = Duration::from_millis(100);
/// Pods marked at a time.
const CONCURRENCY: usize = 8;
/// Nodes that bear this label don't count when a zone's health is judged.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

pub(super) struct Caches {
    pub nodes: Store<Node>,
    pub leases: Store<Lease>,
    pub pods: Store<Pod>,
}

pub(super) struct Monitor {
    context: Context,
    options: Options,
    caches: Caches,
    records: HashMap<String, Record>,
    zones: Zones,
    /// Nodes whose pods couldn't all be marked unready.
    unmarked: HashSet<String>,
}

impl Monitor {
    pub(super) fn new(context: Context, options: Options, caches: Caches) -> Self {
        let zones = Zones::new(options.rates);
        Monitor {
            context,
            options,
            caches,
            records: HashMap::new(),
            zones,
            unmarked: HashSet::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let shutdown = self.context.shutdown.clone();
        let mut next = Duration::ZERO;
        loop {
            let now = self.context.clock.monotonic();
            if now >= next {
                next = now + self.options.period;
                if shutdown.guard(self.look()).await.is_none() {
                    return;
                }
            }
            if shutdown.guard(self.taint_due()).await.is_none() {
                return;
            }
            let now = self.context.clock.monotonic();
            let rest = next.saturating_sub(now);
            let pause = if self.zones.is_idle() {
                rest
            } else {
                rest.min(TAINT_PERIOD)
            };
            if shutdown.guard(self.context.clock.sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self) {
        let nodes = self.caches.nodes.list();
        self.meet_and_part(&nodes);
        let mut census: BTreeMap<String, Census> = BTreeMap::new();
        for node in &nodes {
            let Some(ready) = self.look_at(node).await else {
                continue;
            };
            if !node.metadata.labels.contains_key(EXCLUDED) {
                let zone = census.entry(zone_of(node)).or_default();
                if ready == "True" {
                    zone.ready += 1
                } else {
                    zone.unready += 1
                }
            }
        }
        let elapsed = self.context.clock.monotonic();
        match self.zones.assess(&census, elapsed) {
            Shift::None => {}
            Shift::AllLost => {
                warn!("no node is heard of: evictions stop");
                for node in &nodes {
                    self.clear(node).await;
                }
            }
            Shift::Recovered => {
                info!("some nodes are heard of again: evictions resume");
                self.records
                    .values_mut()
                    .for_each(|record| record.last_sign = elapsed);
            }
        }
    }

    fn meet_and_part(&mut self, nodes: &[Arc<Node>]) {
        let present: HashSet<&str> = nodes.iter().map(|node| node.metadata.name.as_str()).collect();
        let gone: Vec<String> = self
            .records
            .keys()
            .filter(|name| !present.contains(name.as_str()))
            .cloned()
            .collect();
        for name in gone {
            self.records.remove(&name);
            self.zones.remove(&name);
            self.unmarked.remove(&name);
            let message = format!("Removing Node {name} from Controller");
            self.tell(&name, "RemovingNode", format!("Node {name} event: {message}"));
        }
        for node in nodes
            .iter()
            .filter(|node| !self.records.contains_key(&node.metadata.name))
        {
            let name = &node.metadata.name;
            let message = format!("Registered Node {name} in Controller");
            self.tell(name, "RegisteredNode", format!("Node {name} event: {message}"));
        }
    }

    /// Judges a node and acts. Gives its `Ready` status, unless that couldn't be written.
    async fn look_at(&mut self, node: &Node) -> Option<String> {
        let name = &node.metadata.name;
        let judgement = self.judge(node);
        self.records.insert(name.clone(), judgement.record.clone());
        let ready = judgement.is_ready();
        if let Some(conditions) = judgement.conditions {
            let mut updated = node.clone();
            updated.status.conditions = conditions;
            if let Err(error) = self.context.client.api::<Node>().update_status(&updated).await {
                // Looked at again in the next turn, by then from a fresher cache.
                if !error.is_conflict() && !error.is_not_found() {
                    warn!(node = %name, %error, "cannot update the status of a silent node");
                }
                return None;
            }
        }
        self.consider_eviction(node, &ready).await;
        if ready != "True" && judgement.was_ready == "True" {
            let message = format!("Node {name} status is now: NodeNotReady");
            self.tell(name, "NodeNotReady", message);
            self.unmarked.insert(name.clone());
        }
        let unready_in_cache = condition(node, "Ready").is_some_and(|c| c.status != "True");
        let to_mark = ready != "True" && (self.unmarked.contains(name) || unready_in_cache);
        if !to_mark || self.mark_pods(name).await {
            self.unmarked.remove(name);
        }
        Some(ready)
    }

    fn judge(&self, node: &Node) -> Judgement {
        let name = &node.metadata.name;
        let lease = self.caches.leases.get(&ObjectKey::new(LEASE_NAMESPACE, name));
        let (elapsed, now) = (self.context.clock.monotonic(), Time(self.context.clock.now()));
        let timing = &self.options.timing;
        health::judge(
            node,
            lease.as_deref(),
            self.records.get(name),
            timing,
            elapsed,
            now,
        )
    }

    async fn consider_eviction(&mut self, node: &Node, ready: &str) {
        let name = &node.metadata.name;
        let tainted = |key: &str| taints::has(node, key, NO_EXECUTE);
        match ready {
            "True" => self.clear(node).await,
            // A taint that is there already turns into the other at once: no new eviction comes of it.
            "False" if tainted(UNREACHABLE) => self.swap(name, NOT_READY, UNREACHABLE).await,
            "Unknown" if tainted(NOT_READY) => self.swap(name, UNREACHABLE, NOT_READY).await,
            "False" if tainted(NOT_READY) => {}
            "Unknown" if tainted(UNREACHABLE) => {}
            _ => self
                .zones
                .enqueue(&zone_of(node), name, self.context.clock.monotonic()),
        }
    }

    async fn clear(&mut self, node: &Node) {
        self.zones.remove(&node.metadata.name);
        let remove: Vec<&'static str> = [NOT_READY, UNREACHABLE]
            .into_iter()
            .filter(|key| taints::has(node, key, NO_EXECUTE))
            .collect();
        if !remove.is_empty() {
            let swap = Swap {
                effect: NO_EXECUTE,
                add: Vec::new(),
                remove,
            };
            self.write(&node.metadata.name, &swap).await;
        }
    }

    async fn swap(&self, name: &str, add: &'static str, remove: &'static str) {
        let swap = Swap {
            effect: NO_EXECUTE,
            add: vec![add],
            remove: vec![remove],
        };
        self.write(name, &swap).await;
    }

    async fn write(&self, name: &str, swap: &Swap) {
        let now = Time(self.context.clock.now());
        if let Err(error) = taints::write(&self.context.client, name, swap, now).await {
            warn!(node = %name, %error, "cannot write taints, trying again in the next turn");
        }
    }

    /// Taints the nodes whose turn it is, by their state of now.
    async fn taint_due(&mut self) {
        for name in self.zones.due(self.context.clock.monotonic()) {
            let Some(node) = self.caches.nodes.get(&ObjectKey::cluster(&name)) else {
                continue;
            };
            match condition(&node, "Ready").map(|ready| ready.status.as_str()) {
                Some("False") => self.swap(&name, NOT_READY, UNREACHABLE).await,
                Some("Unknown") => self.swap(&name, UNREACHABLE, NOT_READY).await,
                _ => {}
            }
        }
    }

    /// Marks the node's pods unready, so that services stop sending to them. Gives whether all were.
    async fn mark_pods(&self, node: &str) -> bool {
        let pods = self.caches.pods.by_index(NODE_INDEX, node);
        let serving = pods.into_iter().filter(|pod| api::pod_conditions::is_ready(pod));
        let marked = futures_util::stream::iter(serving)
            .map(|pod| self.mark(pod))
            .buffer_unordered(CONCURRENCY);
        marked.fold(true, |all, ok| async move { all && ok }).await
    }

    async fn mark(&self, pod: Arc<Pod>) -> bool {
        let ready = api::pod_conditions::condition(&pod.status, "Ready")
            .cloned()
            .unwrap_or_default();
        let unready = PodCondition {
            type_: "Ready".into(),
            status: "False".into(),
            ..ready
        };
        let now = Time(self.context.clock.now());
        match patch_pod_condition(&self.context.client, &pod, Some(unready), None, now).await {
            Ok(()) => {
                let recorder = &self.context.recorder;
                recorder.event(&*pod, EventType::Warning, "NodeNotReady", "Node is not ready");
                true
            }
            Err(error) if gone(&error) => true,
            Err(error) => {
                warn!(pod = %pod.metadata.name, %error, "cannot mark a pod unready, trying again in the next turn");
                false
            }
        }
    }

    fn tell(&self, node: &str, reason: &str, message: String) {
        let uid = self
            .caches
            .nodes
            .get(&ObjectKey::cluster(node))
            .map(|node| node.metadata.uid.clone());
        let object = ObjectReference {
            kind: "Node".into(),
            api_version: "v1".into(),
            name: node.to_owned(),
            uid: uid.unwrap_or_default(),
            ..ObjectReference::default()
        };
        self.context
            .recorder
            .event_for(object, EventType::Normal, reason, "", message);
    }
}

/// A pod that is gone, or another by its name now, needs no mark.
fn gone(error: &Error) -> bool {
    error.is_not_found() || error.is_conflict()
}
