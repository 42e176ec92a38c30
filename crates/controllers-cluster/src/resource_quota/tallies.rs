//! What there is of a resource: whole objects where it matters what is in them, else only how many.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use api::Resource;
use api::core::v1::ResourceQuota;
use api::quota::{Counted, Evaluator, ResourceList, add, is_scoped, replenishes};
use apimachinery::time::Time;
use client::metadata::PartialObject;
use controller_runtime::watcher::Change;
use controller_runtime::{Context, Event, Informer};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// The objects of one resource, as far as quotas need to know them.
pub(super) trait Tally: Send + Sync {
    /// Completes once the objects are listed.
    fn synced(&self) -> BoxFuture<'static, ()>;

    fn is_synced(&self) -> bool;

    /// What the objects of the quota's namespace use that are within its scopes.
    fn usage(&self, quota: &ResourceQuota, evaluator: Evaluator<'_>, now: Time) -> ResourceList;
}

/// Hears of a namespace in which something was given back.
pub(super) type Replenished = Box<dyn Fn(&str) + Send + Sync>;

struct Whole<K>(Informer<K>);

/// A tally over the informer that all controllers share.
pub(super) fn whole<K: Resource>(context: &Context, replenished: Replenished) -> Arc<dyn Tally> {
    let informer = context.informers.of::<K>();
    let clock = context.clock.clone();
    informer.add_handler(move |event| {
        let gives_back = match event {
            Event::Added(_) => false,
            Event::Updated { old, new } => replenishes(&**old, &**new, Time(clock.now())),
            Event::Deleted(_) => true,
        };
        if gives_back {
            replenished(&event.object().metadata().namespace);
        }
    });
    Arc::new(Whole(informer))
}

impl<K: Resource> Tally for Whole<K> {
    fn synced(&self) -> BoxFuture<'static, ()> {
        let informer = self.0.clone();
        Box::pin(async move { informer.synced().await })
    }

    fn is_synced(&self) -> bool {
        self.0.has_synced()
    }

    fn usage(&self, quota: &ResourceQuota, evaluator: Evaluator<'_>, now: Time) -> ResourceList {
        let mut sum = ResourceList::new();
        for object in self.0.store().namespace(&quota.metadata.namespace) {
            let counted = Counted {
                evaluator,
                object: &*object,
            };
            if counted.is_in_scope(quota) {
                add(&mut sum, &counted.usage(now));
            }
        }
        sum
    }
}

/// The names of objects by namespace.
pub(super) struct Names {
    names: Mutex<HashMap<Box<str>, HashSet<Box<str>>>>,
    synced: watch::Sender<bool>,
}

impl Names {
    pub(super) fn new() -> Self {
        Names {
            names: Mutex::default(),
            synced: watch::Sender::new(false),
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<Box<str>, HashSet<Box<str>>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a change; gives the namespaces in which objects went.
    pub(super) fn take(&self, change: Change<PartialObject>) -> Vec<Box<str>> {
        let mut names = self.names();
        match change {
            Change::Apply(object) => {
                insert(&mut names, object);
                Vec::new()
            }
            Change::Delete(object) => {
                let namespace: Box<str> = object.metadata.namespace.into();
                if let Some(present) = names.get_mut(&namespace) {
                    present.remove(object.metadata.name.as_str());
                    if present.is_empty() {
                        names.remove(&namespace);
                    }
                }
                vec![namespace]
            }
            Change::Replace(objects) => {
                let old = std::mem::take(&mut *names);
                objects.into_iter().for_each(|object| insert(&mut names, object));
                let is_less = |(namespace, gone): &(Box<str>, HashSet<Box<str>>)| {
                    names.get(namespace).is_none_or(|now| !gone.is_subset(now))
                };
                let less = old.into_iter().filter(is_less).map(|(namespace, _)| namespace);
                let less = less.collect();
                self.synced.send_replace(true);
                less
            }
        }
    }
}

fn insert(names: &mut HashMap<Box<str>, HashSet<Box<str>>>, object: PartialObject) {
    let metadata = object.metadata;
    names
        .entry(metadata.namespace.into())
        .or_default()
        .insert(metadata.name.into());
}

impl Tally for Names {
    fn synced(&self) -> BoxFuture<'static, ()> {
        let mut synced = self.synced.subscribe();
        Box::pin(async move {
            // An error means that the monitor is gone; who waits then looks whether it is synced.
            let _ = synced.wait_for(|synced| *synced).await;
        })
    }

    fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    fn usage(&self, quota: &ResourceQuota, evaluator: Evaluator<'_>, _now: Time) -> ResourceList {
        // Kinds of which only the number matters have no scopes.
        if is_scoped(quota) {
            return ResourceList::new();
        }
        let names = self.names();
        evaluator.count(names.get(&*quota.metadata.namespace).map_or(0, HashSet::len))
    }
}

#[cfg(test)]
mod tests {
    use api::quota::NoDevices;

    use super::*;

    fn object(key: &str) -> PartialObject {
        let (namespace, name) = key.split_once('/').expect("a key");
        let mut object = PartialObject::default();
        object.metadata.namespace = namespace.into();
        object.metadata.name = name.into();
        object
    }

    fn count(names: &Names, namespace: &str) -> String {
        let mut quota = ResourceQuota::default();
        quota.metadata.namespace = namespace.into();
        let evaluator = Evaluator {
            group: "apps",
            resource: "deployments",
            devices: &NoDevices,
        };
        let usage = names.usage(&quota, evaluator, Time(jiff::Timestamp::UNIX_EPOCH));
        usage["count/deployments.apps"].to_string()
    }

    #[test]
    fn names_are_counted_and_losses_told() {
        let names = Names::new();
        assert!(!names.is_synced());
        let lost = names.take(Change::Replace(vec![object("a/1"), object("a/2"), object("b/1")]));
        assert!(names.is_synced() && lost.is_empty());
        assert_eq!((count(&names, "a"), count(&names, "c")), ("2".into(), "0".into()));
        // An update is no second object.
        names.take(Change::Apply(object("a/1")));
        assert_eq!(count(&names, "a"), "2");
        assert_eq!(names.take(Change::Delete(object("a/2"))), ["a".into()]);
        assert_eq!(count(&names, "a"), "1");
        // A fresh list after a gap tells what went meanwhile.
        assert_eq!(names.take(Change::Replace(vec![object("a/1")])), ["b".into()]);
        assert_eq!(count(&names, "b"), "0");
    }

    #[test]
    fn what_has_no_scopes_is_outside_of_all() {
        let names = Names::new();
        names.take(Change::Replace(vec![object("/1")]));
        let mut quota = ResourceQuota::default();
        quota.spec.scopes = vec!["BestEffort".into()];
        let evaluator = Evaluator {
            group: "",
            resource: "secrets",
            devices: &NoDevices,
        };
        let usage = names.usage(&quota, evaluator, Time(jiff::Timestamp::UNIX_EPOCH));
        assert!(usage.is_empty());
    }
}
