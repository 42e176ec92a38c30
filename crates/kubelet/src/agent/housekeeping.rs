//! What has to be done now and then. Upstream: `HandlePodCleanups`, `StartGarbageCollection`.

use crate::{
    gc::{
        orphans,
        reclaim::{Of, Reclaimer},
    },
    logs::rotate::{self, Limits},
    metrics::Metrics,
    mirror::Mirrors,
    pleg::Pleg,
    pod,
    pod_table::PodTable,
    status::manager::Statuses,
    worker::{Pool, machine::Stage, pass::Passes},
};
use component_base::{clock::Clock, shutdown::Shutdown};
use cri_api::Runtime;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// How many rounds pass between two collections of containers: a minute.
const ROUNDS_PER_COLLECTION: u32 = 30;
/// How many rounds pass between two searches for what belongs to nobody.
const ROUNDS_PER_SEARCH: u32 = 5;
const IMAGE_PERIOD: Duration = Duration::from_secs(300);
/// Containers of unknown pods get this long to end.
const ORPHAN_GRACE_SECONDS: i64 = 1;

pub(super) struct Housekeeping {
    pub reclaimer: Arc<Reclaimer>,
    pub pool: Arc<Pool>,
    pub pods: Arc<PodTable>,
    pub pleg: Arc<Pleg>,
    pub passes: Arc<Passes>,
    pub statuses: Arc<Statuses>,
    pub mirrors: Mirrors,
    pub metrics: Arc<Metrics>,
    pub rounds: u32,
}

impl Housekeeping {
    /// One round. `ready` says that every pod that should be known is.
    pub async fn round(&mut self, ready: bool) {
        self.count();
        if !ready {
            return;
        }
        let running: BTreeSet<String> = self.pleg.running_pods().into_iter().collect();
        for uid in &running {
            if !self.pods.contains(uid) {
                self.pool.end_orphan(uid, ORPHAN_GRACE_SECONDS);
            }
        }
        for mirror in self.mirrors.table().all() {
            if !self.pods.has_static(&pod::full_name(&mirror)) {
                self.mirrors.delete(&mirror).await;
            }
        }
        let known = |uid: &str| self.pods.contains(uid) || self.pool.holds(uid);
        self.statuses.retain(known);
        self.passes.resizes.retain(known);
        let active: Vec<_> = self
            .pool
            .active()
            .iter()
            .map(|spec| self.passes.resizes.allocated_pod(spec))
            .collect();
        if let Err(error) = self.passes.groups.weigh(active.iter().map(AsRef::as_ref)) {
            tracing::warn!(%error, "cannot weigh burstable pods");
        }
        self.rounds = self.rounds.wrapping_add(1);
        if self.rounds.is_multiple_of(ROUNDS_PER_SEARCH) {
            self.remove_orphans(&running).await;
        }
        if self.rounds.is_multiple_of(ROUNDS_PER_COLLECTION) {
            self.collect_containers().await;
        }
    }

    async fn remove_orphans(&self, running: &BTreeSet<String>) {
        let wanted = |uid: &str| self.pool.holds(uid) || self.is_about_to_start(uid) || running.contains(uid);
        orphans::remove(&self.passes.volumes, &self.passes.groups, wanted).await;
    }

    async fn collect_containers(&self) {
        if let Err(error) = self.reclaimer.containers(Of::Gone).await {
            tracing::warn!(%error, "container garbage collection failed");
        }
    }

    /// A source has the pod, but its worker hasn't begun.
    fn is_about_to_start(&self, uid: &str) -> bool {
        self.pods.get(uid).is_some_and(|spec| {
            !pod::is_terminal(&spec.status.phase)
                && !self.pods.is_rejected(uid)
                && !self.pool.known().iter().any(|k| k.uid == uid)
        })
    }

    fn count(&self) {
        let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
        for known in self.pool.known() {
            let is_static = known.spec.as_deref().is_some_and(pod::is_static);
            if known.stage != Stage::Finished {
                *counts.entry((known.stage.as_str(), is_static)).or_default() += 1;
            }
        }
        let counts: Vec<(&str, bool, usize)> = counts
            .into_iter()
            .map(|((stage, is_static), count)| (stage, is_static, count))
            .collect();
        self.metrics.set_working(&counts);
    }
}

pub(super) async fn collect_images(reclaimer: Arc<Reclaimer>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    while !shutdown.is_triggered() {
        if let Err(error) = reclaimer.images().await {
            tracing::warn!(%error, "image garbage collection failed");
        }
        shutdown.guard(clock.sleep(IMAGE_PERIOD)).await;
    }
}

pub(super) async fn rotate_logs(
    runtime: Arc<dyn Runtime>,
    limits: Limits,
    period: Duration,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) {
    while !shutdown.is_triggered() {
        if let Err(error) = rotate::rotate_all(&runtime, limits, clock.now()).await {
            tracing::warn!(%error, "cannot rotate container logs");
        }
        shutdown.guard(clock.sleep(period)).await;
    }
}
