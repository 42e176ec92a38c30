//! Holds the latest status of each pod and brings it to the API server, which also completes a pod's deletion.
//! Upstream: `status/status_manager.go`.

use super::patch;
use crate::{mirror::MirrorTable, pod};
use api::{
    core::v1::{Pod, PodStatus},
    meta::v1::{DeleteOptions, Preconditions},
};
use client::{
    Api, Client,
    params::{Patch, PatchParams},
};
use component_base::{clock::Clock, shutdown::Shutdown};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How long a failed update rests.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Entry {
    spec: Arc<Pod>,
    latest: PodStatus,
    /// The status as the API server last confirmed it.
    confirmed: Option<PodStatus>,
    /// Nothing of the pod is left on the node.
    finished: bool,
    deleted: bool,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<String, Entry>,
    dirty: BTreeSet<String>,
}

#[derive(Debug)]
pub struct Statuses {
    table: Mutex<Table>,
    /// Counts changes.
    changed: watch::Sender<u64>,
    mirrors: Arc<MirrorTable>,
}

impl Statuses {
    pub fn new(mirrors: Arc<MirrorTable>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            changed: watch::Sender::new(0),
            mirrors,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod's status as last computed here, or else as its source has it.
    pub fn current(&self, spec: &Pod) -> PodStatus {
        let table = self.lock();
        table
            .entries
            .get(&spec.metadata.uid)
            .map_or_else(|| spec.status.clone(), |entry| entry.latest.clone())
    }

    /// Changes with every status that is set.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub fn get(&self, uid: &str) -> Option<PodStatus> {
        self.lock().entries.get(uid).map(|entry| entry.latest.clone())
    }

    pub fn set(&self, spec: &Arc<Pod>, status: PodStatus) {
        let uid = spec.metadata.uid.clone();
        let mut table = self.lock();
        let changed = match table.entries.get_mut(&uid) {
            Some(entry) => {
                let changed = entry.latest != status;
                entry.latest = status;
                entry.spec = spec.clone();
                changed
            }
            None => {
                let entry = Entry {
                    spec: spec.clone(),
                    latest: status,
                    confirmed: None,
                    finished: false,
                    deleted: false,
                };
                table.entries.insert(uid.clone(), entry);
                true
            }
        };
        if changed {
            table.dirty.insert(uid);
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// The pod changed in its source, perhaps because someone else wrote its status.
    pub fn refresh(&self, spec: &Arc<Pod>) {
        let mut table = self.lock();
        if let Some(entry) = table.entries.get_mut(&spec.metadata.uid) {
            entry.spec = spec.clone();
            entry.confirmed = None;
            table.dirty.insert(spec.metadata.uid.clone());
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Nothing of the pod is left on the node: if it was deleted, it can go.
    pub fn finished(&self, spec: &Arc<Pod>) {
        let status = self.current(spec);
        self.set(spec, status);
        let mut table = self.lock();
        if let Some(entry) = table.entries.get_mut(&spec.metadata.uid) {
            entry.finished = true;
            entry.spec = spec.clone();
            table.dirty.insert(spec.metadata.uid.clone());
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Drops the statuses of pods that nobody knows any more.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        let mut table = self.lock();
        table.entries.retain(|uid, _| wanted(uid));
        let Table { entries, dirty } = &mut *table;
        dirty.retain(|uid| entries.contains_key(uid));
    }

    /// Brings changes to the API server until shutdown.
    pub async fn run(self: Arc<Self>, client: Client, clock: Arc<dyn Clock>, shutdown: Shutdown) {
        let mut changes = self.changed.subscribe();
        while !shutdown.is_triggered() {
            let dirty = std::mem::take(&mut self.lock().dirty);
            let mut failed = BTreeSet::new();
            for uid in dirty {
                if let Err(error) = self.bring(&client, &uid).await {
                    tracing::warn!(uid, %error, "cannot update pod status, trying again");
                    failed.insert(uid);
                }
            }
            if failed.is_empty() {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = shutdown.wait() => {}
                }
            } else {
                self.lock().dirty.extend(failed);
                tokio::select! {
                    _ = changes.changed() => {}
                    () = clock.sleep(RETRY) => {}
                    () = shutdown.wait() => {}
                }
            }
        }
    }

    async fn bring(&self, client: &Client, uid: &str) -> Result<(), client::Error> {
        let Some(work) = self.work(uid) else { return Ok(()) };
        let api: Api<Pod> = client.api::<Pod>().namespace(&work.namespace);
        if let Some(patch) = patch::between(&work.confirmed, &work.latest, &work.api_uid) {
            match api
                .patch_status(&work.name, &Patch::Strategic(patch), &PatchParams::default())
                .await
            {
                Ok(pod) => self.confirm(uid, pod.status),
                // The pod is gone, or another one has its name: its source will say so.
                Err(error) if error.is_not_found() || error.is_conflict() => {
                    tracing::debug!(uid, %error, "pod is gone");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if work.may_be_deleted {
            let options = DeleteOptions {
                grace_period_seconds: Some(0),
                preconditions: Some(Box::new(Preconditions {
                    uid: Some(work.api_uid.clone()),
                    ..Preconditions::default()
                })),
                ..DeleteOptions::default()
            };
            match api.delete(&work.name, &options).await {
                Err(error) if !error.is_not_found() && !error.is_conflict() => return Err(error),
                _ => {
                    tracing::info!(pod = %format!("{}/{}", work.namespace, work.name), uid, "pod fully terminated and removed from etcd");
                    if let Some(entry) = self.lock().entries.get_mut(uid) {
                        entry.deleted = true;
                    }
                }
            }
        }
        Ok(())
    }

    /// What there is to do for a pod; a static pod's status is its mirror's.
    fn work(&self, uid: &str) -> Option<Work> {
        let table = self.lock();
        let entry = table.entries.get(uid)?;
        let target = if pod::is_static(&entry.spec) {
            self.mirrors.of_static(&entry.spec)?
        } else {
            entry.spec.clone()
        };
        let meta = &target.metadata;
        Some(Work {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            api_uid: meta.uid.clone(),
            confirmed: entry.confirmed.clone().unwrap_or_else(|| target.status.clone()),
            latest: with_foreign_conditions(&entry.latest, &target.status),
            may_be_deleted: entry.finished
                && !entry.deleted
                && !pod::is_static(&entry.spec)
                && entry.spec.metadata.deletion_timestamp.is_some(),
        })
    }

    fn confirm(&self, uid: &str, status: PodStatus) {
        if let Some(entry) = self.lock().entries.get_mut(uid) {
            entry.confirmed = Some(status);
        }
    }
}

struct Work {
    namespace: String,
    name: String,
    api_uid: String,
    confirmed: PodStatus,
    latest: PodStatus,
    may_be_deleted: bool,
}

/// Conditions of others are theirs: as the API has them now, not as they were when the status was computed.
fn with_foreign_conditions(latest: &PodStatus, api: &PodStatus) -> PodStatus {
    let mut merged = latest.clone();
    let foreign =
        |kind: &str| !super::conditions::is_owned(kind) && kind != super::conditions::DISRUPTION_TARGET;
    merged.conditions.retain(|condition| !foreign(&condition.type_));
    let theirs = api
        .conditions
        .iter()
        .filter(|condition| foreign(&condition.type_))
        .cloned();
    merged.conditions = theirs.chain(merged.conditions).collect();
    merged
}
