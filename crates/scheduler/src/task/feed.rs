//! Watches, each feeding one kind into the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::Resource;
use api::apps::v1::{ReplicaSet, StatefulSet};
use api::core::v1::{Namespace, Node, Pod, ReplicationController, Service};
use api::meta::v1::LabelSelector;
use api::policy::v1::PodDisruptionBudget;
use apimachinery::labels::{Requirement, Selector};
use client::Client;
use component_base::health::Latch;
use component_base::shutdown::Shutdown;
use controller_runtime::watcher::{self, Change, Scope};
use jiff::Timestamp;

use super::Shared;
use crate::machine::{Input, Machine};
use crate::owners::OwnerKind;
use crate::pod_info::compile_selector;

/// Starts all watches; the latch opens once each has delivered its first list.
pub(super) fn start(client: &Client, shared: &Arc<Shared>, shutdown: &Shutdown) -> Latch {
    let feeder = Feeder {
        client: client.clone(),
        shared: shared.clone(),
        shutdown: shutdown.clone(),
        pending: Arc::default(),
        synced: Latch::default(),
    };
    let living = Scope {
        field_selector: Some("status.phase!=Succeeded,status.phase!=Failed".to_owned()),
        ..Scope::default()
    };
    // The count of watches to wait for must be complete before the first of them can finish.
    feeder.pending.store(8, Ordering::Release);
    feeder.watch::<Pod>(living, |machine, change, now| machine.pods(input(change), now));
    feeder.watch::<Node>(Scope::default(), |machine, change, now| {
        machine.nodes(input(change), now)
    });
    feeder.watch::<Namespace>(Scope::default(), namespaces);
    feeder.watch::<Service>(Scope::default(), services);
    feeder.watch::<ReplicationController>(Scope::default(), |machine, change, _| {
        workloads(machine, OwnerKind::ReplicationController, change, |rc| {
            let equals = rc
                .spec
                .selector
                .iter()
                .map(|(key, value)| Requirement::equals(key, value))
                .collect();
            Selector::from_requirements(equals)
        });
    });
    feeder.watch::<ReplicaSet>(Scope::default(), |machine, change, _| {
        workloads(machine, OwnerKind::ReplicaSet, change, |rs| {
            of_labels(rs.spec.selector.as_deref())
        });
    });
    feeder.watch::<StatefulSet>(Scope::default(), |machine, change, _| {
        workloads(machine, OwnerKind::StatefulSet, change, |sts| {
            of_labels(sts.spec.selector.as_deref())
        });
    });
    feeder.watch::<PodDisruptionBudget>(Scope::default(), budgets);
    feeder.synced
}

struct Feeder {
    client: Client,
    shared: Arc<Shared>,
    shutdown: Shutdown,
    /// Watches that have not delivered their first list.
    pending: Arc<AtomicUsize>,
    synced: Latch,
}

impl Feeder {
    fn watch<K: Resource>(
        &self,
        scope: Scope,
        apply: impl Fn(&mut Machine, Change<K>, Timestamp) + Send + 'static,
    ) {
        let source = Arc::new(self.client.api::<K>());
        let (shared, pending, synced) = (self.shared.clone(), self.pending.clone(), self.synced.clone());
        let mut first = true;
        let sink = move |change: Change<K>| {
            let listed = matches!(change, Change::Replace(_));
            shared.change(|machine, now| apply(machine, change, now));
            if listed && std::mem::take(&mut first) && pending.fetch_sub(1, Ordering::AcqRel) == 1 {
                synced.open();
                shared.changed.notify_one();
            }
        };
        tokio::spawn(watcher::run(
            source,
            watcher::Options { scope },
            sink,
            self.shutdown.clone(),
        ));
    }
}

fn input<K>(change: Change<K>) -> Input<K> {
    match change {
        Change::Replace(all) => Input::Replace(all),
        Change::Apply(object) => Input::Apply(object),
        Change::Delete(object) => Input::Delete(object),
    }
}

fn of_labels(selector: Option<&LabelSelector>) -> Selector {
    compile_selector(selector)
}

fn namespaces(machine: &mut Machine, change: Change<Namespace>, now: Timestamp) {
    let set = |machine: &mut Machine, namespace: Namespace| {
        machine.namespace(&namespace.metadata.name, Some(namespace.metadata.labels), now);
    };
    match change {
        Change::Replace(all) => {
            machine.retain_namespaces(|name| all.iter().any(|namespace| namespace.metadata.name == name));
            all.into_iter().for_each(|namespace| set(machine, namespace));
        }
        Change::Apply(namespace) => set(machine, namespace),
        Change::Delete(namespace) => machine.namespace(&namespace.metadata.name, None, now),
    }
}

fn services(machine: &mut Machine, change: Change<Service>, _now: Timestamp) {
    let owners = machine.owners_mut();
    match change {
        Change::Replace(all) => {
            owners.clear_services();
            for service in all {
                owners.set_service(
                    &service.metadata.namespace,
                    &service.metadata.name,
                    service.spec.selector,
                );
            }
        }
        Change::Apply(service) => {
            owners.set_service(
                &service.metadata.namespace,
                &service.metadata.name,
                service.spec.selector,
            );
        }
        Change::Delete(service) => owners.remove_service(&service.metadata.namespace, &service.metadata.name),
    }
}

fn workloads<K: Resource>(
    machine: &mut Machine,
    kind: OwnerKind,
    change: Change<K>,
    selector: impl Fn(&K) -> Selector,
) {
    let owners = machine.owners_mut();
    let mut set = |owner: &K| {
        let metadata = owner.metadata();
        owners.set_workload(kind, &metadata.namespace, &metadata.name, selector(owner));
    };
    match change {
        Change::Apply(owner) => set(&owner),
        Change::Delete(owner) => {
            owners.remove_workload(kind, &owner.metadata().namespace, &owner.metadata().name)
        }
        Change::Replace(all) => {
            owners.clear_workloads(kind);
            for owner in &all {
                let metadata = owner.metadata();
                owners.set_workload(kind, &metadata.namespace, &metadata.name, selector(owner));
            }
        }
    }
}

fn budgets(machine: &mut Machine, change: Change<PodDisruptionBudget>, _now: Timestamp) {
    let budgets = machine.budgets_mut();
    match change {
        Change::Replace(all) => {
            budgets.clear();
            all.iter().for_each(|budget| budgets.set(budget));
        }
        Change::Apply(budget) => budgets.set(&budget),
        Change::Delete(budget) => budgets.remove(&budget.metadata.namespace, &budget.metadata.name),
    }
}
