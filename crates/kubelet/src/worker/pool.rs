//! Starts and finds workers.

use super::{
    inbox::Inbox,
    machine::{Kill, Machine, Stage},
    pass::Passes,
    task::Task,
};
use crate::pod;
use api::core::v1::Pod;
use component_base::shutdown::Shutdown;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

struct Worker {
    inbox: Arc<Inbox>,
    stage: watch::Receiver<Stage>,
    spec: Option<Arc<Pod>>,
}

#[derive(Default)]
struct Table {
    workers: HashMap<String, Worker>,
    /// Static pods, by full name, that wait until the version before has finished.
    waiting: HashMap<String, Arc<Pod>>,
}

/// What is known of one pod's worker.
#[derive(Debug, Clone)]
pub struct Known {
    pub uid: String,
    pub stage: Stage,
    pub spec: Option<Arc<Pod>>,
}

pub struct Pool {
    passes: Arc<Passes>,
    shutdown: Shutdown,
    table: Mutex<Table>,
}

impl Pool {
    pub fn new(passes: Arc<Passes>, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            passes,
            shutdown,
            table: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pod is new or has changed.
    pub fn update(self: &Arc<Self>, spec: Arc<Pod>) {
        let mut table = self.lock();
        if let Some(worker) = table.workers.get_mut(&spec.metadata.uid) {
            worker.spec = Some(spec.clone());
            worker.inbox.update(spec);
            return;
        }
        if pod::is_static(&spec) {
            let name = pod::full_name(&spec);
            let before = |worker: &Worker| {
                worker
                    .spec
                    .as_deref()
                    .is_some_and(|other| pod::full_name(other) == name)
            };
            if table.workers.values().any(before) {
                table.waiting.insert(name, spec);
                return;
            }
        }
        let uid = spec.metadata.uid.clone();
        self.spawn(&mut table, uid, Machine::new(spec.clone()), Some(spec));
    }

    /// Ends what runs of a pod that nobody knows.
    pub fn end_orphan(self: &Arc<Self>, uid: &str, grace_seconds: i64) {
        let mut table = self.lock();
        if !table.workers.contains_key(uid) {
            self.spawn(&mut table, uid.to_owned(), Machine::orphan(grace_seconds), None);
        }
    }

    fn spawn(self: &Arc<Self>, table: &mut Table, uid: String, machine: Machine, spec: Option<Arc<Pod>>) {
        let inbox = Arc::new(Inbox::default());
        let (stage, stages) = watch::channel(machine.stage());
        table.workers.insert(
            uid.clone(),
            Worker {
                inbox: inbox.clone(),
                stage: stages,
                spec,
            },
        );
        let shutdown = self.shutdown.clone();
        let task = Task {
            uid: uid.clone(),
            machine,
            inbox,
            passes: self.passes.clone(),
            stage,
            shutdown,
        };
        let pool = self.clone();
        tokio::spawn(async move {
            task.run().await;
            pool.ended(&uid);
        });
    }

    /// A worker is done with its pod: whatever waited for its name can start.
    fn ended(self: &Arc<Self>, uid: &str) {
        if self.shutdown.is_triggered() {
            return;
        }
        let mut table = self.lock();
        let spec = table.workers.remove(uid).and_then(|worker| worker.spec);
        let next = spec.and_then(|spec| table.waiting.remove(&pod::full_name(&spec)));
        drop(table);
        if let Some(next) = next {
            self.update(next);
        }
    }

    /// The pod is gone from its source.
    pub fn remove(&self, uid: &str) {
        let mut table = self.lock();
        table.waiting.retain(|_, spec| spec.metadata.uid != uid);
        if let Some(worker) = table.workers.get(uid) {
            worker.inbox.remove();
        }
    }

    pub fn kill(&self, uid: &str, kill: Kill) {
        if let Some(worker) = self.lock().workers.get(uid) {
            worker.inbox.kill(kill);
        }
    }

    /// Something about the pod may have changed.
    pub fn poke(&self, uid: &str) {
        if let Some(worker) = self.lock().workers.get(uid) {
            worker.inbox.poke();
        }
    }

    pub fn known(&self) -> Vec<Known> {
        let table = self.lock();
        let known = table.workers.iter().map(|(uid, worker)| Known {
            uid: uid.clone(),
            stage: *worker.stage.borrow(),
            spec: worker.spec.clone(),
        });
        known.collect()
    }

    /// Pods that use the node's resources, now or soon.
    pub fn active(&self) -> Vec<Arc<Pod>> {
        let running = |known: &Known| matches!(known.stage, Stage::Sync | Stage::Terminating);
        self.known()
            .into_iter()
            .filter(running)
            .filter_map(|known| known.spec)
            .collect()
    }

    /// Whether something of the pod may still be on the node.
    pub fn holds(&self, uid: &str) -> bool {
        let table = self.lock();
        let waits = table.waiting.values().any(|spec| spec.metadata.uid == uid);
        waits
            || table
                .workers
                .get(uid)
                .is_some_and(|worker| *worker.stage.borrow() != Stage::Finished)
    }
}
