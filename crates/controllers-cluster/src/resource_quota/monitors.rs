//! Which resources can be counted, and the tallies of those that some quota counts.
//!
//! A resource is watched from the first quota that names it on: a cluster without quotas pays for none.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Service};
use api::quota::{Devices, Evaluator};
use api::resource::v1::{DeviceClass, ResourceClaim};
use apimachinery::gvk::GroupVersionResource;
use apimachinery::time::Time;
use client::discovery::{self, Discovered, ServedResource};
use client::metadata::MetadataApi;
use client::{ResourcePath, Scope};
use component_base::shutdown::Shutdown;
use controller_runtime::{Context, Store, WorkQueue, watcher};
use controller_runtime::{Informer, ObjectKey};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::plan::Share;
use super::tallies::{Names, Replenished, Tally, whole};

/// Never counted: many, and short-lived.
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// Pause between attempts while the server tells of no resources.
const DISCOVERY_RETRY: Duration = Duration::from_secs(1);
/// How long a count waits for a first list before it does without.
const FIRST_LIST_LIMIT: Duration = Duration::from_secs(5);

/// Group and plural.
type Name = (String, String);
type Start = fn(&Context, Replenished) -> Arc<dyn Tally>;

/// Resources of which it matters what is in the objects.
const WHOLE: [(&str, &str, Start); 4] = [
    ("", "pods", whole::<Pod>),
    ("", "services", whole::<Service>),
    ("", "persistentvolumeclaims", whole::<PersistentVolumeClaim>),
    ("resource.k8s.io", "resourceclaims", whole::<ResourceClaim>),
];

struct Running {
    tally: Arc<dyn Tally>,
    /// None for shared informers, which go on for others.
    shutdown: Option<Shutdown>,
}

pub(super) struct Monitors {
    context: Context,
    quotas: Store<ResourceQuota>,
    queue: WorkQueue<ObjectKey>,
    served: Mutex<BTreeMap<Name, GroupVersionResource>>,
    running: Mutex<HashMap<Name, Running>>,
    devices: Mutex<Option<Informer<DeviceClass>>>,
    discovered: watch::Sender<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Monitors {
    /// `queue` takes the quotas that are to be counted anew.
    pub(super) fn new(
        context: Context,
        quotas: Store<ResourceQuota>,
        queue: WorkQueue<ObjectKey>,
    ) -> Arc<Self> {
        Arc::new(Monitors {
            context,
            quotas,
            queue,
            served: Mutex::default(),
            running: Mutex::default(),
            devices: Mutex::default(),
            discovered: watch::Sender::new(false),
        })
    }

    /// Completes once it is known which resources there are.
    pub(super) async fn discovered(&self) {
        // An error means that the sender is gone, which `self` holds.
        let _ = self.discovered.subscribe().wait_for(|known| *known).await;
    }

    /// Reads the list of resources again and again, until shutdown.
    pub(super) async fn run(self: Arc<Self>) {
        let shutdown = self.context.shutdown.clone();
        loop {
            let discovered = shutdown.guard(discovery::preferred_resources(&self.context.client));
            match discovered.await {
                None => return,
                Some(Ok(discovered)) => self.follow(discovered),
                Some(Err(error)) => warn!(%error, "cannot discover resources to count"),
            }
            let pause = if *self.discovered.borrow() {
                DISCOVERY_PERIOD
            } else {
                DISCOVERY_RETRY
            };
            if shutdown.guard(self.context.clock.sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn follow(&self, discovered: Discovered) {
        let counted = discovered.resources.iter().filter(|r| is_countable(r));
        let mut now: BTreeMap<Name, GroupVersionResource> = counted
            .map(|resource| (name_of(&resource.gvr), resource.gvr.clone()))
            .collect();
        let mut served = lock(&self.served);
        // A group that can't be asked keeps its resources: absence of an answer isn't absence of the resource.
        for (name, gvr) in served.iter() {
            if discovered.stale_groups.iter().any(|stale| is_of(gvr, stale)) {
                now.entry(name.clone()).or_insert_with(|| gvr.clone());
            }
        }
        let added = now.keys().any(|name| !served.contains_key(name));
        *served = now;
        drop(served);
        if discovered.resources.iter().any(is_device_classes) {
            lock(&self.devices).get_or_insert_with(|| self.context.informers.of());
        }
        self.drop_unused();
        if added && self.discovered.send_replace(true) {
            self.quotas
                .list()
                .iter()
                .for_each(|quota| self.queue.add(ObjectKey::of(&quota.metadata)));
        }
        self.discovered.send_replace(true);
    }

    /// Ends the monitors that no quota needs any more, or whose resource is gone.
    fn drop_unused(&self) {
        let quotas = self.quotas.list();
        let served = lock(&self.served);
        lock(&self.running).retain(|name, running| {
            let Some(shutdown) = &running.shutdown else {
                return true;
            };
            let evaluator = self.evaluator(name);
            let counts = |quota: &Arc<ResourceQuota>| !evaluator.matching(quota.spec.hard.keys()).is_empty();
            let keep = served.contains_key(name) && quotas.iter().any(counts);
            if !keep {
                shutdown.trigger();
            }
            keep
        });
    }

    fn evaluator<'a>(&'a self, (group, resource): &'a Name) -> Evaluator<'a> {
        Evaluator {
            group,
            resource,
            devices: self,
        }
    }

    /// Can anything that is served use this?
    pub(super) fn is_counted(&self, name: &String) -> bool {
        let served = lock(&self.served);
        served
            .keys()
            .any(|resource| !self.evaluator(resource).matching([name].into_iter()).is_empty())
    }

    /// What each resource uses of the quota.
    pub(super) async fn shares(self: &Arc<Self>, quota: &ResourceQuota, now: Time) -> Vec<Share> {
        let mut shares = Vec::new();
        for (name, names, tally) in self.concerned(quota) {
            let limit = self.context.clock.sleep(FIRST_LIST_LIMIT);
            tokio::select! {
                () = tally.synced() => {}
                () = limit => debug!(resource = %name.1, group = %name.0, "not listed yet"),
                () = self.context.shutdown.wait() => {}
            }
            let usage = tally
                .is_synced()
                .then(|| tally.usage(quota, self.evaluator(&name), now));
            shares.push(Share { names, usage });
        }
        shares
    }

    /// The resources that the quota counts, with its names for them.
    fn concerned(self: &Arc<Self>, quota: &ResourceQuota) -> Vec<(Name, Vec<String>, Arc<dyn Tally>)> {
        let served = lock(&self.served);
        let mut running = lock(&self.running);
        let concerned = served.iter().filter_map(|(name, gvr)| {
            let names = self.evaluator(name).matching(quota.spec.hard.keys());
            let start = || self.start(name, gvr);
            (!names.is_empty()).then(|| {
                let running = running.entry(name.clone()).or_insert_with(start);
                (name.clone(), names, running.tally.clone())
            })
        });
        concerned.collect()
    }

    fn start(self: &Arc<Self>, name: &Name, gvr: &GroupVersionResource) -> Running {
        debug!(resource = %gvr, "counting for quotas");
        let replenished = self.replenisher(name.clone());
        let row = WHOLE
            .iter()
            .find(|(group, resource, _)| name.0 == *group && name.1 == *resource);
        if let Some((_, _, start)) = row {
            return Running {
                tally: start(&self.context, replenished),
                shutdown: None,
            };
        }
        let names = Arc::new(Names::new());
        let tally = names.clone();
        let sink = move |change| {
            for namespace in names.take(change) {
                replenished(&namespace);
            }
        };
        let shutdown = self.context.shutdown.child();
        let path = ResourcePath::new(gvr.clone(), Scope::All);
        let source = Arc::new(MetadataApi::new(self.context.client.clone(), path));
        tokio::spawn(watcher::run(
            source,
            watcher::Options::default(),
            sink,
            shutdown.clone(),
        ));
        Running {
            tally,
            shutdown: Some(shutdown),
        }
    }

    /// Queues the quotas of a namespace that count this resource.
    fn replenisher(self: &Arc<Self>, name: Name) -> Replenished {
        let monitors = Arc::downgrade(self);
        Box::new(move |namespace| {
            let Some(monitors) = monitors.upgrade() else {
                return;
            };
            for quota in monitors.quotas.namespace(namespace) {
                let evaluator = monitors.evaluator(&name);
                if !evaluator.matching(quota.status.hard.keys()).is_empty() {
                    monitors.queue.add(ObjectKey::of(&quota.metadata));
                }
            }
        })
    }
}

impl Devices for Monitors {
    fn extended_resource(&self, class: &str) -> Option<String> {
        let classes = lock(&self.devices).as_ref()?.store();
        let class = classes.get(&ObjectKey::cluster(class))?;
        class.spec.extended_resource_name.clone()
    }

    fn has_class_for(&self, extended_resource: &str) -> bool {
        let Some(classes) = lock(&self.devices).as_ref().map(Informer::store) else {
            return false;
        };
        classes
            .list()
            .iter()
            .any(|class| class.spec.extended_resource_name.as_deref() == Some(extended_resource))
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let pods = self.context.informers.of::<Pod>().store();
        pods.get(&ObjectKey::new(namespace, name))
    }

    fn claims(&self, namespace: &str) -> Vec<Arc<ResourceClaim>> {
        // Only asked about a claim, so that the informer runs.
        let claims = self.context.informers.of::<ResourceClaim>().store();
        claims.namespace(namespace)
    }
}

fn name_of(gvr: &GroupVersionResource) -> Name {
    (gvr.group.clone(), gvr.resource.clone())
}

fn is_of(gvr: &GroupVersionResource, group_version: &str) -> bool {
    group_version
        .split_once('/')
        .is_some_and(|(group, _)| group == gvr.group)
}

fn is_countable(resource: &ServedResource) -> bool {
    let name = (resource.gvr.group.as_str(), resource.gvr.resource.as_str());
    resource.namespaced
        && resource.supports(&["create", "list", "watch", "delete"])
        && !IGNORED.contains(&name)
}

fn is_device_classes(resource: &ServedResource) -> bool {
    let gvr = &resource.gvr;
    gvr.group == "resource.k8s.io" && gvr.version == "v1" && gvr.resource == "deviceclasses"
}
