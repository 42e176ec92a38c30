//! Watches the metadata of everything that can be deleted, and feeds the graph.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use apimachinery::gvk::GroupVersionResource;
use client::discovery::{self, ServedResource};
use client::metadata::{MetadataApi, PartialObject};
use client::{ResourcePath, Scope};
use component_base::shutdown::Shutdown;
use controller_runtime::Context;
use controller_runtime::watcher::{self, Change};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::Shared;
use super::graph::Kind;

/// Resources of which the collector needs to know nothing: they own and are owned by nothing, and are many.
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];

/// How long the first lists may take before work begins without some: an aggregated server that is away must not
/// stop garbage collection for all.
const FIRST_SYNC_LIMIT: Duration = Duration::from_secs(30);

/// Where objects of each kind are.
#[derive(Debug, Default)]
pub(super) struct Resources(HashMap<Kind, (GroupVersionResource, bool)>);

impl Resources {
    /// The resource of a kind and whether it is namespaced.
    pub(super) fn get(&self, kind: &Kind) -> Option<(GroupVersionResource, bool)> {
        self.0.get(kind).cloned()
    }
}

pub(super) struct Monitors {
    context: Context,
    shared: Arc<Shared>,
    running: HashMap<GroupVersionResource, Shutdown>,
    /// How many monitors were started and have their first list.
    progress: watch::Sender<(usize, usize)>,
}

impl Monitors {
    pub(super) fn new(context: Context, shared: Arc<Shared>) -> Self {
        Monitors {
            context,
            shared,
            running: HashMap::new(),
            progress: watch::Sender::new((0, 0)),
        }
    }

    /// Completes once every monitor of the first discovery has its list, or a while has passed.
    pub(super) fn first_sync(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut progress = self.progress.subscribe();
        let clock = self.context.clock.clone();
        async move {
            let all = async {
                // An error means that the monitors are gone: shutdown, which the caller sees.
                let _ = progress
                    .wait_for(|(started, synced)| *started > 0 && started == synced)
                    .await;
            };
            tokio::select! {
                () = all => {}
                () = clock.sleep(FIRST_SYNC_LIMIT) => warn!("garbage collection begins before all lists are read"),
            }
        }
    }

    /// Reads the list of resources again and again, starting and ending monitors as it changes.
    pub(super) async fn run(mut self, period: Duration) {
        let shutdown = self.context.shutdown.clone();
        loop {
            match shutdown
                .guard(discovery::preferred_resources(&self.context.client))
                .await
            {
                None => return,
                Some(Ok(discovered)) => self.follow(discovered),
                Some(Err(error)) => warn!(%error, "cannot discover resources to collect"),
            }
            let pause = if self.running.is_empty() {
                Duration::from_secs(1)
            } else {
                period
            };
            if shutdown.guard(self.context.clock.sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn follow(&mut self, discovered: discovery::Discovered) {
        let stale: HashSet<&str> = discovered
            .stale_groups
            .iter()
            .filter_map(|group_version| group_version.split_once('/').map(|(group, _)| group))
            .collect();
        let wanted: Vec<&ServedResource> = discovered.resources.iter().filter(|r| is_collected(r)).collect();
        let names: HashSet<&GroupVersionResource> = wanted.iter().map(|resource| &resource.gvr).collect();
        // A group that can't be asked keeps its monitors: absence of an answer isn't absence of the resource.
        self.running.retain(|gvr, monitor| {
            let keep = names.contains(gvr) || stale.contains(gvr.group.as_str());
            if !keep {
                monitor.trigger();
            }
            keep
        });
        let mut resources = self
            .shared
            .resources
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for resource in &discovered.resources {
            let kind = Kind::new(&resource.gvr.group, &resource.kind);
            resources
                .0
                .insert(kind, (resource.gvr.clone(), resource.namespaced));
        }
        drop(resources);
        let new: Vec<&ServedResource> = wanted
            .into_iter()
            .filter(|resource| !self.running.contains_key(&resource.gvr))
            .collect();
        self.progress.send_modify(|(started, _)| *started += new.len());
        for resource in new {
            self.start(resource);
        }
    }

    fn start(&mut self, resource: &ServedResource) {
        debug!(resource = %resource.gvr, "monitoring for garbage collection");
        let path = ResourcePath::new(resource.gvr.clone(), Scope::All);
        let source = Arc::new(MetadataApi::new(self.context.client.clone(), path));
        let (shared, progress) = (self.shared.clone(), self.progress.clone());
        let kind = Kind::new(&resource.gvr.group, &resource.kind);
        let mut synced = false;
        let sink = move |change| {
            take(&shared, &kind, change);
            if !synced {
                synced = true;
                progress.send_modify(|(_, synced)| *synced += 1);
            }
        };
        let shutdown = self.context.shutdown.child();
        self.running.insert(resource.gvr.clone(), shutdown.clone());
        tokio::spawn(watcher::run(source, watcher::Options::default(), sink, shutdown));
    }
}

fn is_collected(resource: &ServedResource) -> bool {
    let name = (resource.gvr.group.as_str(), resource.gvr.resource.as_str());
    resource.supports(&["delete", "list", "watch"]) && !IGNORED.contains(&name)
}

fn take(shared: &Shared, kind: &Kind, change: Change<PartialObject>) {
    let work = {
        let mut graph = shared.graph();
        match change {
            Change::Apply(object) => graph.observe(kind, &object.metadata),
            Change::Delete(object) => graph.forget(&object.metadata.uid),
            Change::Replace(objects) => {
                let present: HashSet<&str> = objects
                    .iter()
                    .map(|object| object.metadata.uid.as_str())
                    .collect();
                let gone: Vec<String> = graph
                    .uids_of(kind)
                    .into_iter()
                    .filter(|uid| !present.contains(uid.as_str()))
                    .collect();
                let mut work: Vec<_> = objects
                    .iter()
                    .flat_map(|object| graph.observe(kind, &object.metadata))
                    .collect();
                work.extend(gone.iter().flat_map(|uid| graph.forget(uid)));
                work
            }
        }
    };
    shared.enqueue(work);
}
