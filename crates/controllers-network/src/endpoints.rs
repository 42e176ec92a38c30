//! Keeps the Endpoints objects of services that select pods: the older form of EndpointSlices.
//!
//! [`plan`] decides. A service that is gone takes its Endpoints with it; those left over from a time when we didn't
//! look are found at the start.
//!
//! Upstream: pkg/controller/endpoint

pub mod plan;

use std::sync::Arc;

use api::core::v1::{Endpoints, Pod, Service};
use api::meta::v1::DeleteOptions;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;

use crate::service_pods;
use plan::Action;

const NAME: &str = "endpoint";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let services = context.informers.of::<Service>();
    let pods = context.informers.of::<Pod>();
    let endpoints = context.informers.of::<Endpoints>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    services.add_handler(move |event| own.add(ObjectKey::of(&event.object().metadata)));
    service_pods::watch_pods(&pods, &services, &queue);
    let others = queue.clone();
    endpoints.add_handler(move |event| others.add(ObjectKey::of(&event.object().metadata)));
    let controller = Controller {
        services: services.store(),
        pods: pods.store(),
        endpoints: endpoints.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    services: Store<Service>,
    pods: Store<Pod>,
    endpoints: Store<Endpoints>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            match self.services.get(key) {
                Some(service) if service_pods::is_managed(&service) => self.sync(key, &service).await,
                Some(_) => Ok(Outcome::Done),
                None => self.clean_up(key).await,
            }
        })
    }
}

impl Controller {
    async fn sync(&self, key: &ObjectKey, service: &Service) -> Result<Outcome, driver::Error> {
        let mut pods = self.pods.namespace(&key.namespace);
        pods.retain(|pod| service_pods::selects(service, pod));
        let current = self.endpoints.get(key);
        let api = self.context.client.api::<Endpoints>().namespace(&key.namespace);
        let (outcome, reason) = match plan::plan(service, &pods, current.as_deref()) {
            Action::None => return Ok(Outcome::Done),
            Action::Create(endpoints) => (api.create(&endpoints).await, "FailedToCreateEndpoint"),
            Action::Update(endpoints) => (api.update(&endpoints).await, "FailedToUpdateEndpoint"),
        };
        match outcome {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_namespace_terminating() => Ok(Outcome::Done),
            // The cache hasn't seen our own object yet.
            Err(error) if error.is_already_exists() => Ok(Outcome::Retry),
            Err(error) if error.is_conflict() => Err(error.into()),
            Err(error) => {
                let verb = if reason.contains("Create") {
                    "create"
                } else {
                    "update"
                };
                let message = format!("Failed to {verb} endpoint {key}: {error}");
                service_pods::tell_failure(&self.context.recorder, service, reason, message);
                Err(error.into())
            }
        }
    }

    async fn clean_up(&self, key: &ObjectKey) -> Result<Outcome, driver::Error> {
        // Endpoints that lock an election or were made by hand for no service are nobody's business.
        let ours = self
            .endpoints
            .get(key)
            .is_some_and(|endpoints| plan::is_ours(&endpoints));
        if ours {
            let api = self.context.client.api::<Endpoints>().namespace(&key.namespace);
            match api.delete(&key.name, &DeleteOptions::default()).await {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        Ok(Outcome::Done)
    }
}
