//! Makes the node object and keeps its status up to date. Upstream: `kubelet_node_status.go`.

use super::status::NodeFacts;
use crate::{config::Taint as ConfiguredTaint, events::Events, mirror::Mirrors};
use api::core::v1::{Node, NodeStatus, Taint};
use apimachinery::time::Time;
use client::Client;
use component_base::{clock::Clock, shutdown::Shutdown};
use cri_api::v1;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::watch;

/// The wait after a failed registration, at first and at most.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(7);
/// How often an update of the status is tried before the next period.
const ATTEMPTS: usize = 5;
const ATTACH_DETACH: &str = "volumes.kubernetes.io/controller-managed-attach-detach";

pub struct Registration {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub events: Events,
    pub facts: Arc<NodeFacts>,
    pub mirrors: Mirrors,
    pub node_name: String,
    pub labels: BTreeMap<String, String>,
    /// The node as last seen, for whoever needs its labels or uid.
    pub node: watch::Sender<Option<Arc<Node>>>,
}

impl Registration {
    /// Registers, and reports until shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        if self.facts.config.register_node {
            self.register_until_done(&shutdown).await;
        }
        let period = self.facts.config.node_status_update_frequency;
        let mut reported = None;
        while !shutdown.is_triggered() {
            shutdown.guard(self.report(&mut reported)).await;
            // Until it is ready a node has nothing better to do than to become so.
            let ready = self
                .node
                .borrow()
                .as_ref()
                .is_some_and(|node| is_ready(&node.status));
            let wait = if ready {
                period
            } else {
                period.min(Duration::from_secs(1))
            };
            shutdown.guard(self.clock.sleep(wait)).await;
        }
    }

    async fn register_until_done(&self, shutdown: &Shutdown) {
        let mut retry = FIRST_RETRY;
        while let Some(Err(error)) = shutdown.guard(self.register()).await {
            tracing::warn!(%error, "unable to register node with API server");
            shutdown.guard(self.clock.sleep(retry)).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    async fn register(&self) -> Result<(), client::Error> {
        let api = self.client.api::<Node>();
        let mut node = self.initial();
        node.status = self.facts.status(&node, self.now()).await;
        match api.create(&node).await {
            Ok(created) => {
                tracing::info!(node = %self.node_name, "successfully registered node");
                self.seen(created);
                Ok(())
            }
            Err(error) if error.is_already_exists() => {
                let existing = api.get(&self.node_name).await?;
                let updated = self.reconciled(&existing, &node);
                let existing = if updated == existing {
                    existing
                } else {
                    api.update(&updated).await?
                };
                tracing::info!(node = %self.node_name, "node was previously registered");
                self.seen(existing);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> Time {
        Time::from(self.clock.now()).truncated()
    }

    fn seen(&self, node: Node) {
        self.mirrors.set_node_uid(&node.metadata.uid);
        self.node.send_replace(Some(Arc::new(node)));
    }

    /// The node as it is registered.
    pub fn initial(&self) -> Node {
        let mut node = Node::default();
        node.metadata.name.clone_from(&self.node_name);
        node.metadata.labels.clone_from(&self.labels);
        let machine = &self.facts.machine;
        for (key, value) in [
            ("kubernetes.io/hostname", self.node_name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", machine.architecture.as_str()),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", machine.architecture.as_str()),
        ] {
            node.metadata
                .labels
                .entry(key.to_owned())
                .or_insert_with(|| value.to_owned());
        }
        node.metadata
            .annotations
            .insert(ATTACH_DETACH.into(), "true".into());
        node.spec.provider_id.clone_from(&self.facts.config.provider_id);
        node.spec.taints = self.facts.config.register_with_taints.iter().map(taint).collect();
        node
    }

    /// Labels that are the kubelet's are kept as they have to be; taints are set only once.
    fn reconciled(&self, existing: &Node, wanted: &Node) -> Node {
        let mut node = existing.clone();
        node.metadata.labels.extend(wanted.metadata.labels.clone());
        node.metadata
            .annotations
            .entry(ATTACH_DETACH.into())
            .or_insert_with(|| "true".into());
        node
    }

    /// Brings the status to the API if it changed, or if it was not heard of for long. `reported` is the last time.
    async fn report(&self, reported: &mut Option<Duration>) {
        for _ in 0..ATTEMPTS {
            match self.try_report(reported).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "error updating node status, will retry"),
            }
        }
        tracing::error!("unable to update node status: update node status exceeds retry count");
    }

    async fn try_report(&self, reported: &mut Option<Duration>) -> Result<(), client::Error> {
        let api = self.client.api::<Node>();
        let mut node = match api.get(&self.node_name).await {
            // Someone removed the node while its kubelet runs: it is made again.
            Err(error) if error.is_not_found() && self.facts.config.register_node => {
                return self.register().await;
            }
            other => other?,
        };
        let status = self.facts.status(&node, self.now()).await;
        self.tell_of_reboot(&node.status, &status);
        let before = is_ready(&node.status);
        let changed = meaning(&status) != meaning(&node.status);
        let now = self.clock.monotonic();
        let overdue = reported
            .is_none_or(|last| now.saturating_sub(last) >= self.facts.config.node_status_report_frequency);
        if changed || overdue {
            node.status = status;
            node = api.update_status(&node).await?;
            *reported = Some(now);
        }
        let after = is_ready(&node.status);
        if before != after {
            self.tell(if after { "NodeReady" } else { "NodeNotReady" });
        }
        let cordoned = self.node.borrow().as_ref().map(|last| last.spec.unschedulable);
        match (cordoned, node.spec.unschedulable) {
            (Some(false), true) => self.tell("NodeNotSchedulable"),
            (Some(true), false) => self.tell("NodeSchedulable"),
            _ => {}
        }
        self.announce_pod_cidr(&node).await;
        self.seen(node);
        Ok(())
    }

    fn tell(&self, word: &str) {
        let message = format!("Node {} status is now: {word}", self.node_name);
        self.events.node_normal(word, message);
    }

    fn tell_of_reboot(&self, before: &NodeStatus, now: &NodeStatus) {
        let (old, new) = (&before.node_info.boot_id, &now.node_info.boot_id);
        if !old.is_empty() && old != new {
            let message = format!("Node {} has been rebooted, boot id: {new}", self.node_name);
            self.events.node_warning("Rebooted", message);
        }
    }

    /// Tells the runtime, which may have a network of its own to configure, which addresses pods get.
    async fn announce_pod_cidr(&self, node: &Node) {
        let last = self
            .node
            .borrow()
            .as_ref()
            .map(|last| last.spec.pod_cidrs.clone());
        let cidrs = &node.spec.pod_cidrs;
        if cidrs.is_empty() || last.as_ref() == Some(cidrs) {
            return;
        }
        let network_config = Some(v1::NetworkConfig {
            pod_cidr: cidrs.join(","),
        });
        let request = v1::UpdateRuntimeConfigRequest {
            runtime_config: Some(v1::RuntimeConfig { network_config }),
        };
        if let Err(error) = self.facts.runtime.update_runtime_config(request).await {
            tracing::warn!(%error, "cannot tell the runtime the node's pod addresses");
        }
    }
}

fn taint(configured: &ConfiguredTaint) -> Taint {
    Taint {
        key: configured.key.clone(),
        value: configured.value.clone(),
        effect: configured.effect.clone(),
        ..Taint::default()
    }
}

fn is_ready(status: &NodeStatus) -> bool {
    status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A status without the times that change by themselves.
fn meaning(status: &NodeStatus) -> NodeStatus {
    let mut status = status.clone();
    for condition in &mut status.conditions {
        condition.last_heartbeat_time = None;
        condition.last_transition_time = None;
    }
    status
}
