//! Mirrors Endpoints that users write themselves into EndpointSlices, for readers that know only those (KEP-0752).
//!
//! [`plan`] decides what to write; `subsets` brings Endpoints into one form.
//!
//! Upstream: pkg/controller/endpointslicemirroring

pub mod plan;
pub mod subsets;

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Endpoints, Service};
use api::discovery::v1::EndpointSlice;
use api::meta::v1::DeleteOptions;
use client::Error;
use component_base::metrics::{Histogram, IntCounterVec, Registry, exponential_buckets};
use controller_runtime::backoff::Exponential;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::work_queue::metrics::QueueMetrics;
use controller_runtime::{Context, Event, Informer, ObjectKey, Recorder, Store, WorkQueue};
use futures_util::future::BoxFuture;

use crate::endpoint_slice::desired::{MANAGED_BY_LABEL, SERVICE_LABEL};
use crate::endpoint_slice::plan::Action;
use crate::endpoint_slice::tracker::Tracker;
use plan::{MANAGER, Plan};

const NAME: &str = "endpoint_slice_mirroring";
const COMPONENT: &str = "endpoint-slice-mirroring-controller";
/// The index of mirrored slices by their service.
const MIRROR_INDEX: &str = "mirrored-service";
/// Slower than others: a sync may write many slices.
const BACKOFF: Exponential = Exponential {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(100),
    factor: 2.0,
};

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub workers: usize,
    /// Endpoints of a subset that are mirrored.
    pub max_endpoints: usize,
    /// How long changes of slices are gathered before they are looked at.
    pub batch_period: Duration,
}

/// Runs the controller until shutdown.
pub async fn run(context: Context, options: Options) {
    let services = context.informers.of::<Service>();
    let endpoints = context.informers.of::<Endpoints>();
    let slices = context.informers.of::<EndpointSlice>();
    slices.store().add_index(MIRROR_INDEX, |slice: &EndpointSlice| {
        mirrored_service(slice)
            .map(|key| key.to_string())
            .into_iter()
            .collect()
    });
    let queue = WorkQueue::with(BACKOFF, QueueMetrics::new(&context.metrics, NAME));
    let tracker = Arc::new(Tracker::default());
    watch_sources(&services, &endpoints, &queue);
    watch_slices(&slices, &queue, &tracker, options.batch_period);
    let controller = Controller {
        services: services.store(),
        endpoints: endpoints.store(),
        slices: slices.store(),
        tracker,
        max_endpoints: options.max_endpoints,
        metrics: Metrics::new(&context.metrics),
        recorder: context.recorder.for_component(COMPONENT),
        context: context.clone(),
    };
    context
        .drive(NAME, queue, options.workers, Arc::new(controller))
        .await;
}

/// The service of a slice that this controller manages.
fn mirrored_service(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = &slice.metadata.labels;
    let service = labels.get(SERVICE_LABEL).filter(|name| !name.is_empty())?;
    let ours = labels
        .get(MANAGED_BY_LABEL)
        .is_some_and(|manager| manager == MANAGER);
    ours.then(|| ObjectKey::new(&slice.metadata.namespace, service))
}

/// Services with a selector have slices of their own.
fn has_selector(service: &Service) -> bool {
    !service.spec.selector.is_empty()
}

fn watch_sources(
    services: &Informer<Service>,
    endpoints: &Informer<Endpoints>,
    queue: &WorkQueue<ObjectKey>,
) {
    let own = queue.clone();
    services.add_handler(move |event| {
        let concerns = match event {
            Event::Updated { old, new } => has_selector(old) != has_selector(new),
            Event::Added(service) | Event::Deleted(service) => !has_selector(service),
        };
        if concerns {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
    let own = queue.clone();
    endpoints.add_handler(move |event| {
        let was = matches!(event, Event::Updated { old, .. } if plan::is_mirrored(old));
        if was || plan::is_mirrored(event.object()) {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
}

fn watch_slices(
    slices: &Informer<EndpointSlice>,
    queue: &WorkQueue<ObjectKey>,
    tracker: &Arc<Tracker>,
    batch_period: Duration,
) {
    let (queue, tracker) = (queue.clone(), tracker.clone());
    slices.add_handler(move |event| {
        let former = match event {
            Event::Updated { old, .. } => mirrored_service(old),
            _ => None,
        };
        let current = mirrored_service(event.object());
        for key in former.iter().chain(&current) {
            // An event of our own write needs no sync; anyone else's does.
            if tracker.observe(key, event.object(), event.is_deleted()) {
                queue.add_after(key.clone(), batch_period);
            }
        }
    });
}

struct Controller {
    context: Context,
    recorder: Recorder,
    services: Store<Service>,
    endpoints: Store<Endpoints>,
    slices: Store<EndpointSlice>,
    tracker: Arc<Tracker>,
    max_endpoints: usize,
    metrics: Metrics,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let start = self.context.clock.monotonic();
            let outcome = self.sync(key).await;
            let took = self.context.clock.monotonic().saturating_sub(start);
            self.metrics.duration.observe(took.as_secs_f64());
            outcome
        })
    }
}

impl Controller {
    async fn sync(&self, key: &ObjectKey) -> Result<Outcome, driver::Error> {
        let slices = self.slices.by_index(MIRROR_INDEX, &key.to_string());
        let service = self.services.get(key);
        let source = self.endpoints.get(key).filter(|endpoints| {
            plan::is_mirrored(endpoints) && service.is_some_and(|service| !has_selector(&service))
        });
        let Some(source) = source else {
            self.tracker.forget(key);
            for slice in slices {
                self.delete(key, &slice).await?;
            }
            return Ok(Outcome::Done);
        };
        if self.tracker.is_stale(key, &slices) {
            return Ok(Outcome::Retry);
        }
        let plan = plan::plan(&source, &slices, self.max_endpoints);
        self.tell(&source, &plan);
        for action in plan.actions {
            match self.execute(key, action).await {
                Err(error) if error.is_namespace_terminating() => return Ok(Outcome::Done),
                outcome => outcome?,
            }
        }
        Ok(Outcome::Done)
    }

    fn tell(&self, source: &Endpoints, plan: &Plan) {
        self.metrics.observe(plan);
        let (invalid, skipped) = (plan.invalid, plan.skipped);
        if invalid > 0 {
            let message = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
            self.recorder
                .event(source, EventType::Warning, "InvalidIPAddress", message);
        }
        if skipped > invalid {
            let message = format!(
                "A max of {} addresses can be mirrored to EndpointSlices per Endpoints subset. {skipped} addresses were skipped",
                self.max_endpoints
            );
            self.recorder
                .event(source, EventType::Warning, "TooManyAddressesToMirror", message);
        }
    }

    async fn execute(&self, key: &ObjectKey, action: Action) -> Result<(), Error> {
        let api = self.context.client.api::<EndpointSlice>();
        let api = api.namespace(&key.namespace);
        let (operation, written) = match action {
            Action::Create(slice) => ("create", api.create(&slice).await?),
            Action::Update(slice) => ("update", api.update(&slice).await?),
            Action::Delete(slice) => return self.delete(key, &slice).await,
        };
        self.tracker.wrote(key, &written);
        self.metrics.changes.with_label_values(&[operation]).inc();
        Ok(())
    }

    async fn delete(&self, key: &ObjectKey, slice: &EndpointSlice) -> Result<(), Error> {
        let api = self.context.client.api::<EndpointSlice>();
        let api = api.namespace(&key.namespace);
        match api.delete(&slice.metadata.name, &DeleteOptions::default()).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => self.tracker.deleted(key, slice),
        }
        self.metrics.changes.with_label_values(&["delete"]).inc();
        Ok(())
    }
}

struct Metrics {
    duration: Histogram,
    added: Histogram,
    updated: Histogram,
    removed: Histogram,
    skipped: Histogram,
    changes: IntCounterVec,
}

impl Metrics {
    fn new(registry: &Registry) -> Self {
        let name = |name: &str| format!("endpoint_slice_mirroring_controller_{name}");
        let counts = exponential_buckets(2.0, 2.0, 15);
        let per_sync = |what: &str, help: &str| registry.histogram(&name(what), help, &counts);
        Metrics {
            duration: registry.histogram(
                &name("endpoints_sync_duration"),
                "Duration of a sync of Endpoints in seconds",
                &exponential_buckets(0.001, 2.0, 15),
            ),
            added: per_sync(
                "endpoints_added_per_sync",
                "Number of endpoints added on each Endpoints sync",
            ),
            updated: per_sync(
                "endpoints_updated_per_sync",
                "Number of endpoints updated on each Endpoints sync",
            ),
            removed: per_sync(
                "endpoints_removed_per_sync",
                "Number of endpoints removed on each Endpoints sync",
            ),
            skipped: per_sync(
                "addresses_skipped_per_sync",
                "Number of addresses skipped on each Endpoints sync: invalid, or beyond the limit",
            ),
            changes: registry.counter_vec(
                &name("changes"),
                "Number of EndpointSlice changes",
                &["operation"],
            ),
        }
    }

    fn observe(&self, plan: &Plan) {
        let observe = |histogram: &Histogram, count: usize| histogram.observe(count as f64);
        observe(&self.added, plan.changes.added);
        observe(&self.updated, plan.changes.updated);
        observe(&self.removed, plan.changes.removed);
        observe(&self.skipped, plan.skipped);
    }
}
