//! Looks at the node again and again, and ends pods when it has to.

use super::{
    REASON, disk_use, limits,
    load::{ContainerLoad, Files, Layout, PodLoad},
    machine::Machine,
    message::message,
    pressure::Pressure,
    rank::rank,
    signal::{Observation, Observations, Resource, Signal},
    threshold::Threshold,
};
use crate::{
    cgroup::pods::PodGroups,
    events::Events,
    gc::reclaim::{Of, Reclaimer},
    metrics::Metrics,
    node::{
        machine::{Disk, processes},
        status::NodeFacts,
    },
    pod, stats,
    status::generate::Failure,
    worker::machine::{Kill, Stage},
};
use api::core::v1::Pod;
use component_base::{clock::Clock, shutdown::Shutdown};
use std::{fs, os::unix::fs::MetadataExt, path::Path, sync::Arc, time::Duration};

/// How often the node is looked at.
const PERIOD: Duration = Duration::from_secs(10);
/// How long, and how often, an evicted pod is looked at before more pods are ended.
const CLEANUP_CHECKS: u32 = 30;
const CLEANUP_PERIOD: Duration = Duration::from_secs(1);
/// What a pod gets to end in that is ended at once.
const IMMEDIATE_GRACE_SECONDS: i64 = 1;

pub struct Manager {
    pub machine: Machine,
    pub pressure: Arc<Pressure>,
    pub facts: Arc<NodeFacts>,
    pub groups: PodGroups,
    pub reclaimer: Arc<Reclaimer>,
    pub events: Events,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
}

impl Manager {
    pub async fn run(mut self, shutdown: Shutdown) {
        while !shutdown.is_triggered() {
            let evicted = self.round().await;
            if evicted.is_empty() {
                shutdown.guard(self.clock.sleep(PERIOD)).await;
            } else {
                shutdown.guard(self.wait_until_gone(&evicted)).await;
            }
        }
    }

    /// Looks once; gives the uids of the pods that are being ended.
    async fn round(&mut self) -> Vec<String> {
        let observations = self.observe();
        let verdict = self.machine.observe(&observations, self.clock.monotonic());
        self.pressure.set(verdict.conditions);
        let pods = self.running();
        if self.facts.config.local_storage_capacity_isolation {
            let evicted = self.enforce_limits(&pods).await;
            if !evicted.is_empty() {
                return evicted;
            }
        }
        match verdict.starved.first() {
            Some(threshold) => {
                let threshold = threshold.clone();
                self.relieve(&threshold, &verdict.starved, &observations, &pods)
                    .await
            }
            None => Vec::new(),
        }
    }

    fn observe(&self) -> Observations {
        let mut observations = Observations::new();
        let capacity = self.facts.machine.memory_bytes.unsigned_abs();
        let used = stats::node_usage(&self.groups).working_set_bytes;
        observations.insert(Signal::MemoryAvailable, left(capacity, used));
        if let Some(usage) = self.groups.total_usage()
            && let Some(limit) = usage.memory_limit
        {
            let left = left(limit, usage.working_set_bytes);
            observations.insert(Signal::AllocatableMemoryAvailable, left);
        }
        let disks = [
            (
                &self.facts.root_dir,
                [(Signal::NodefsAvailable, Signal::NodefsInodesFree)].as_slice(),
            ),
            (
                &self.facts.image_dir,
                &[
                    (Signal::ImagefsAvailable, Signal::ImagefsInodesFree),
                    (Signal::ContainerfsAvailable, Signal::ContainerfsInodesFree),
                ],
            ),
        ];
        for (path, signals) in disks {
            match Disk::of(path) {
                Ok(disk) => observe_disk(&mut observations, disk, signals),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "eviction manager: cannot measure");
                }
            }
        }
        let (max, used) = processes();
        let left = left(max.unsigned_abs(), used.unsigned_abs());
        observations.insert(Signal::PidAvailable, left);
        observations
    }

    /// Pods that are not being ended yet.
    fn running(&self) -> Vec<Arc<Pod>> {
        let known = self.reclaimer.pool.known().into_iter();
        known
            .filter(|known| known.stage == Stage::Sync)
            .filter_map(|known| known.spec)
            .collect()
    }

    fn layout(&self) -> Layout {
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).ok();
        if device(&self.facts.root_dir) == device(&self.facts.image_dir) {
            Layout::Shared
        } else {
            Layout::Dedicated
        }
    }

    /// Ends pods that use more of the node's disk than they may.
    async fn enforce_limits(&self, pods: &[Arc<Pod>]) -> Vec<String> {
        let limited: Vec<_> = pods.iter().filter(|pod| limits::has_any(pod)).cloned().collect();
        if limited.is_empty() {
            return Vec::new();
        }
        let layout = self.layout();
        let mut evicted = Vec::new();
        for load in self.measure(&limited).await {
            if let Some(broken) = limits::broken(&load, layout)
                && self.evict(
                    &load.pod,
                    IMMEDIATE_GRACE_SECONDS,
                    Failure::new(REASON, &broken.message),
                )
            {
                self.metrics.pod_evicted(broken.signal);
                evicted.push(load.pod.metadata.uid.clone());
            }
        }
        evicted
    }

    /// Frees what nobody uses, and if that is not enough ends one pod.
    async fn relieve(
        &self,
        threshold: &Threshold,
        starved: &[Threshold],
        observations: &Observations,
        pods: &[Arc<Pod>],
    ) -> Vec<String> {
        let resource = threshold.signal.resource();
        tracing::info!(
            resource = resource.as_str(),
            "eviction manager: attempting to reclaim"
        );
        let words = format!("Attempting to reclaim {}", resource.as_str());
        self.events.node_warning("EvictionThresholdMet", words);
        if self.reclaims(threshold.signal) {
            self.reclaim().await;
            if self.machine.is_relieved(&self.observe()) {
                tracing::info!("eviction manager: able to reduce resource pressure without evicting pods");
                return Vec::new();
            }
        }
        let mut loads = self.measure(pods).await;
        rank(&mut loads, threshold.signal, self.layout());
        for load in loads {
            let text = message(&load, resource, starved, observations);
            let grace = self.grace(threshold, &load.pod);
            if self.evict(&load.pod, grace, Failure::disruption(REASON, &text)) {
                self.metrics.pod_evicted(threshold.signal.as_str());
                return vec![load.pod.metadata.uid.clone()];
            }
        }
        tracing::info!("eviction manager: unable to evict any pods from the node");
        Vec::new()
    }

    fn grace(&self, threshold: &Threshold, pod: &Pod) -> i64 {
        if threshold.is_hard() {
            return IMMEDIATE_GRACE_SECONDS;
        }
        let most = self.facts.config.eviction_max_pod_grace_period;
        pod.spec
            .termination_grace_period_seconds
            .map_or(most, |own| own.min(most))
    }

    /// Whether removing dead containers and unused images helps.
    fn reclaims(&self, signal: Signal) -> bool {
        let on_node = matches!(signal, Signal::NodefsAvailable | Signal::NodefsInodesFree);
        match signal.resource() {
            Resource::Memory | Resource::Pids => false,
            Resource::EphemeralStorage | Resource::Inodes => !on_node || self.layout() == Layout::Shared,
        }
    }

    async fn reclaim(&self) {
        if let Err(error) = self.reclaimer.containers(Of::Ended).await {
            tracing::warn!(%error, "eviction manager: cannot remove dead containers");
        }
        if let Err(error) = self.reclaimer.all_unused_images().await {
            tracing::warn!(%error, "eviction manager: cannot remove unused images");
        }
    }

    /// What pods use. One that can't be measured has a load without figures.
    async fn measure(&self, pods: &[Arc<Pod>]) -> Vec<PodLoad> {
        let runtime = &*self.reclaimer.runtime;
        let measured = stats::measure(runtime, &self.facts, &self.groups, pods, self.clock.now()).await;
        let measured = measured.unwrap_or_else(|error| {
            tracing::warn!(%error, "eviction manager: failed to get summary stats");
            stats::Measured::default()
        });
        let mut loads: Vec<PodLoad> = pods
            .iter()
            .map(|pod| {
                let found = measured.pods.iter().find(|seen| seen.uid == pod.metadata.uid);
                load(pod, found)
            })
            .collect();
        let settings = self.reclaimer.settings.clone();
        // Walking through files can take long.
        let with_files = tokio::task::spawn_blocking(move || {
            for load in &mut loads {
                disk_use::measure(load, &settings);
            }
            loads
        });
        with_files.await.unwrap_or_else(|error| {
            tracing::error!(%error, "eviction manager: measuring files panicked");
            Vec::new()
        })
    }

    /// Whether the pod is being ended: critical ones are spared.
    fn evict(&self, spec: &Arc<Pod>, grace_seconds: i64, failure: Failure) -> bool {
        let name = pod::description(spec);
        if pod::is_critical(spec) {
            tracing::error!(pod = name, "eviction manager: cannot evict a critical pod");
            return false;
        }
        self.events.warning(spec, REASON, &failure.message);
        tracing::info!(pod = name, text = failure.message, "evicting pod");
        let kill = Kill {
            grace_seconds: Some(grace_seconds),
            failed: Some(failure),
        };
        self.reclaimer.pool.kill(&spec.metadata.uid, kill);
        true
    }

    /// Until the pods are gone, or it takes too long.
    async fn wait_until_gone(&self, uids: &[String]) {
        for _ in 0..CLEANUP_CHECKS {
            self.clock.sleep(CLEANUP_PERIOD).await;
            if !uids.iter().any(|uid| self.reclaimer.pool.holds(uid)) {
                return;
            }
        }
        tracing::info!(
            ?uids,
            "eviction manager: timed out waiting for pods to be cleaned up"
        );
    }
}

fn left(capacity: u64, used: u64) -> Observation {
    Observation {
        available: capacity.saturating_sub(used),
        capacity,
    }
}

fn observe_disk(observations: &mut Observations, disk: Disk, signals: &[(Signal, Signal)]) {
    for (bytes, inodes) in signals {
        let space = Observation {
            available: disk.available_bytes,
            capacity: disk.total_bytes,
        };
        observations.insert(*bytes, space);
        let nodes = Observation {
            available: disk.inodes_free,
            capacity: disk.inodes,
        };
        observations.insert(*inodes, nodes);
    }
}

fn load(pod: &Arc<Pod>, measured: Option<&stats::PodUse>) -> PodLoad {
    let Some(measured) = measured else {
        return PodLoad {
            pod: pod.clone(),
            ..PodLoad::default()
        };
    };
    let containers = measured.containers.iter().map(|container| ContainerLoad {
        name: container.name.clone(),
        memory_bytes: container.working_set_bytes,
        rootfs: Files {
            bytes: container.rootfs_bytes,
            inodes: container.rootfs_inodes,
        },
        logs: Files::default(),
    });
    let containers: Vec<_> = containers.collect();
    let of_containers = containers.iter().map(|container| container.memory_bytes).sum();
    let usage = measured.usage.as_ref();
    PodLoad {
        pod: pod.clone(),
        is_measured: true,
        memory_bytes: usage.map_or(of_containers, |usage| usage.working_set_bytes),
        processes: usage.map_or(0, |usage| usage.processes),
        containers,
        ..PodLoad::default()
    }
}

#[cfg(test)]
mod tests;
