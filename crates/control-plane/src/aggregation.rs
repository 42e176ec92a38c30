//! Extension servers looked after: whether they are there, and what they have. What is found becomes the condition of
//! the APIService, and a part of discovery.
//!
//! Upstream: `kube-aggregator/pkg/controllers/status`, `pkg/apiserver/handler_discovery.go`.

mod custom_groups;

use std::time::Duration;

use api::apiregistration::v1::APIService;
use api::core::v1::Service;
use api::discovery::v1::EndpointSlice;
use apimachinery::status::Status;
use apiserver::aggregation::availability::{Verdict, obstacle, record};
use apiserver::aggregation::{Aggregation, Backend, GroupVersion, discovery, get};
use apiserver::local::Local;
use component_base::metrics::{IntCounterVec, IntGaugeVec};
use component_base::shutdown::Shutdown;
use futures_util::future::join_all;

/// How often all are asked if nothing happens.
const RESYNC: Duration = Duration::from_secs(30);
/// How soon again after one was not available; twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(500);
/// What happens within that time is answered by one pass.
const SETTLE: Duration = Duration::from_millis(50);
/// The forms of discovery that an extension server may have.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

/// Starts the task, and opens its hooks.
pub fn start(local: &Local, shutdown: &Shutdown) {
    let health = &local.api().health;
    for hook in [
        "apiservice-status-local-available-controller",
        "apiservice-status-remote-available-controller",
        "apiservice-discovery-controller",
    ] {
        health.done(hook);
    }
    let keeper = Keeper::new(local.clone());
    let shutdown = shutdown.clone();
    tokio::spawn(async move { shutdown.guard(keeper.run()).await });
}

struct Keeper {
    local: Local,
    unavailable: IntGaugeVec,
    became_unavailable: IntCounterVec,
}

impl Keeper {
    fn new(local: Local) -> Self {
        let registry = &local.api().metrics.registry;
        let unavailable = registry.gauge_vec(
            "aggregator_unavailable_apiservice",
            "[ALPHA] Gauge of APIServices which are marked as unavailable broken down by APIService name.",
            &["name"],
        );
        let became_unavailable = registry.counter_vec(
            "aggregator_unavailable_apiservice_total",
            "[ALPHA] Counter of APIServices which are marked as unavailable broken down by APIService name and reason.",
            &["name", "reason"],
        );
        Self {
            local,
            unavailable,
            became_unavailable,
        }
    }

    fn aggregation(&self) -> &Aggregation {
        &self.local.api().aggregation
    }

    async fn run(self) {
        let mut retry = FIRST_RETRY;
        // Before the first custom groups are known none is known to be gone.
        let mut custom_known = false;
        loop {
            let registered = !custom_known || self.register().await;
            let wait = if self.look().await && registered {
                retry = FIRST_RETRY;
                RESYNC
            } else {
                let next = (retry * 2).min(RESYNC);
                std::mem::replace(&mut retry, next)
            };
            tokio::time::sleep(SETTLE).await;
            tokio::select! {
                () = self.aggregation().changed.notified() => {}
                () = self.local.api().groups.changed.notified() => custom_known = true,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn register(&self) -> bool {
        match custom_groups::reconcile(&self.local).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "custom groups are not registered");
                false
            }
        }
    }

    /// One pass over all; false if one of them is not available.
    async fn look(&self) -> bool {
        let services = self.aggregation().services.objects.cached_all::<APIService>("");
        let looked = services.iter().map(|service| self.look_at(service));
        join_all(looked).await.into_iter().all(|available| available)
    }

    async fn look_at(&self, service: &APIService) -> bool {
        let verdict = self.judge(service).await;
        let name = service.metadata.name.as_str();
        self.unavailable
            .with_label_values(&[name])
            .set(i64::from(!verdict.available));
        if let Err(error) = self.write(service, &verdict).await {
            tracing::warn!(name, %error, "the availability of an APIService is not written");
            return false;
        }
        verdict.available
    }

    async fn judge(&self, service: &APIService) -> Verdict {
        let state = self.aggregation().state();
        let registered = state.registered.get(&service.metadata.name);
        let Some(reference) = service.spec.service.as_deref() else {
            return Verdict::local();
        };
        let objects = &self.aggregation().services.objects;
        let behind = objects.cached::<Service>(&reference.namespace, &reference.name);
        let slices = objects.cached_all::<EndpointSlice>(&reference.namespace);
        if let Some(obstacle) = obstacle(service, behind.as_deref(), &slices) {
            return obstacle;
        }
        let Some(backend) = registered.and_then(|registered| registered.backend.clone()) else {
            return Verdict::failed("the APIService is not registered yet".to_owned());
        };
        let of = (service.spec.group.clone(), service.spec.version.clone());
        match self.ask(&backend, &of).await {
            Ok(()) => Verdict::passed(),
            Err(why) => Verdict::failed(why),
        }
    }

    /// Asks what every extension server must have, then for all that it has.
    async fn ask(&self, backend: &Backend, of: &GroupVersion) -> Result<(), String> {
        let (group, version) = of;
        let services = &self.aggregation().services;
        let path = format!("/apis/{group}/{version}");
        let answer = get(services, backend, &path, "application/json").await?;
        if !answer.status.is_success() {
            let (url, code) = (answer.url, answer.status.as_u16());
            return Err(format!(
                "failing or missing response from {url}: bad status from {url}: {code}"
            ));
        }
        let all = get(services, backend, "/apis", AGGREGATED).await?;
        let aggregated = discovery::read_aggregated(&all.body).unwrap_or_default();
        let found = aggregated.into_iter().find(|(known, _)| known == of);
        let found = found
            .map(|(_, found)| found)
            .or_else(|| discovery::read_legacy(&answer.body, version));
        if let Some(found) = found {
            self.aggregation().discovered(of.clone(), found);
        }
        Ok(())
    }

    async fn write(&self, service: &APIService, verdict: &Verdict) -> Result<(), Status> {
        let now = self.local.api().clock.now();
        let mut conditions = service.status.conditions.clone();
        if !record(&mut conditions, verdict, now) {
            return Ok(());
        }
        let name = service.metadata.name.as_str();
        tracing::info!(
            name,
            available = verdict.available,
            reason = verdict.reason,
            message = verdict.message,
            "the availability of an APIService changes"
        );
        if !verdict.available {
            self.became_unavailable
                .with_label_values(&[name, verdict.reason])
                .inc();
        }
        let edit = |service: &mut APIService| {
            record(&mut service.status.conditions, verdict, now);
        };
        match self.local.update_status("", name, edit).await {
            // What has gone needs no condition.
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}
