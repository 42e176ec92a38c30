//! Keeps the EndpointSlices of services that select pods.
//!
//! [`plan`] compares what should be with what is, [`packing`] spreads endpoints over slices with few writes,
//! [`desired`] makes endpoints from pods, [`tracker`] knows when the cache lags behind our own writes.
//!
//! Upstream: staging/src/k8s.io/endpointslice, pkg/controller/endpointslice

pub mod desired;
pub mod packing;
pub mod plan;
pub mod tracker;

use std::sync::Arc;

use api::core::v1::{Node, Pod, Service};
use api::discovery::v1::EndpointSlice;
use api::meta::v1::DeleteOptions;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, Informer, ObjectKey, Store, WorkQueue};
use futures_util::future::BoxFuture;

use crate::service_pods;
use desired::{MANAGED_BY_LABEL, MANAGER, SERVICE_LABEL};
use plan::{Action, Observed, Plan};
use tracker::Tracker;

const NAME: &str = "endpoint_slice";
/// The index of slices by their service.
const SERVICE_INDEX: &str = "service";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize, max_endpoints: usize) {
    let services = context.informers.of::<Service>();
    let pods = context.informers.of::<Pod>();
    let nodes = context.informers.of::<Node>();
    let slices = context.informers.of::<EndpointSlice>();
    slices.store().add_index(SERVICE_INDEX, |slice: &EndpointSlice| {
        service_key(slice)
            .map(|key| key.to_string())
            .into_iter()
            .collect()
    });
    let queue = context.queue(NAME);
    let tracker = Arc::new(Tracker::default());
    register(&services, &pods, &nodes, &slices, &queue, &tracker);
    let controller = Controller {
        services: services.store(),
        pods: pods.store(),
        nodes: nodes.store(),
        slices: slices.store(),
        tracker,
        max_endpoints,
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

/// The service of a slice that this controller manages.
fn service_key(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = &slice.metadata.labels;
    let service = labels.get(SERVICE_LABEL).filter(|name| !name.is_empty())?;
    let ours = labels
        .get(MANAGED_BY_LABEL)
        .is_some_and(|manager| manager == MANAGER);
    ours.then(|| ObjectKey::new(&slice.metadata.namespace, service))
}

fn register(
    services: &Informer<Service>,
    pods: &Informer<Pod>,
    nodes: &Informer<Node>,
    slices: &Informer<EndpointSlice>,
    queue: &WorkQueue<ObjectKey>,
    tracker: &Arc<Tracker>,
) {
    let own = queue.clone();
    services.add_handler(move |event| own.add(ObjectKey::of(&event.object().metadata)));
    service_pods::watch_pods(pods, services, queue);
    watch_nodes(nodes, services, queue);
    let (queue, tracker) = (queue.clone(), tracker.clone());
    slices.add_handler(move |event| {
        let former = match event {
            Event::Updated { old, .. } => service_key(old),
            _ => None,
        };
        let current = service_key(event.object());
        for key in former.iter().chain(&current) {
            // An event of our own write needs no sync; anyone else's does.
            if tracker.observe(key, event.object(), event.is_deleted()) {
                queue.add(key.clone());
            }
        }
    });
}

/// A node that appears may be the one that a pod's endpoint waits for; a zone that changes is copied to endpoints.
fn watch_nodes(nodes: &Informer<Node>, services: &Informer<Service>, queue: &WorkQueue<ObjectKey>) {
    let (services, queue) = (services.store(), queue.clone());
    nodes.add_handler(move |event| {
        let changed = match event {
            Event::Updated { old, new } => desired::zone(old) != desired::zone(new),
            Event::Added(_) | Event::Deleted(_) => true,
        };
        if changed {
            services.keys().into_iter().for_each(|key| queue.add(key));
        }
    });
}

struct Controller {
    context: Context,
    services: Store<Service>,
    pods: Store<Pod>,
    nodes: Store<Node>,
    slices: Store<EndpointSlice>,
    tracker: Arc<Tracker>,
    max_endpoints: usize,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(service) = self.services.get(key) else {
                // The slices go with their owner.
                self.tracker.forget(key);
                return Ok(Outcome::Done);
            };
            if !service_pods::is_managed(&service) {
                return Ok(Outcome::Done);
            }
            self.sync(key, &service).await
        })
    }
}

impl Controller {
    async fn sync(&self, key: &ObjectKey, service: &Service) -> Result<Outcome, driver::Error> {
        let slices = self.slices.by_index(SERVICE_INDEX, &key.to_string());
        if self.tracker.is_stale(key, &slices) {
            return Ok(Outcome::Retry);
        }
        let plan = self.plan(service, slices);
        for action in plan.actions {
            if let Err(error) = self.execute(key, action).await {
                if error.is_namespace_terminating() {
                    return Ok(Outcome::Done);
                }
                let message = format!(
                    "Error updating Endpoint Slices for Service {}/{}: {error}",
                    key.namespace, key.name
                );
                let recorder = &self.context.recorder;
                service_pods::tell_failure(recorder, service, "FailedToUpdateEndpointSlices", message);
                return Err(error.into());
            }
        }
        match plan.missing_node {
            Some(node) => Err(format!("a pod of the service is on node {node}, which is unknown").into()),
            None => Ok(Outcome::Done),
        }
    }

    fn plan(&self, service: &Service, mut slices: Vec<Arc<EndpointSlice>>) -> Plan {
        slices.retain(|slice| slice.metadata.deletion_timestamp.is_none());
        let mut pods = self.pods.namespace(&service.metadata.namespace);
        pods.retain(|pod| service_pods::selects(service, pod));
        let node = |name: &str| self.nodes.get(&ObjectKey::cluster(name));
        plan::plan(
            &Observed {
                service,
                pods,
                slices,
                node: &node,
            },
            self.max_endpoints,
        )
    }

    async fn execute(&self, key: &ObjectKey, action: Action) -> Result<(), Error> {
        let api = self
            .context
            .client
            .api::<EndpointSlice>()
            .namespace(&key.namespace);
        match action {
            Action::Create(slice) => self.tracker.wrote(key, &api.create(&slice).await?),
            Action::Update(slice) => self.tracker.wrote(key, &api.update(&slice).await?),
            Action::Delete(slice) => {
                match api.delete(&slice.metadata.name, &DeleteOptions::default()).await {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => self.tracker.deleted(key, &slice),
                }
            }
        }
        Ok(())
    }
}
