//! The objects that a cluster starts with, and those that the server keeps up while it runs.
//!
//! Each task first makes what is missing and opens its post-start hook, then comes back from time to time: what an
//! administrator deletes by mistake is made again.

mod access;
mod api_services;
mod endpoints;
mod flow_control;
mod identity;
mod kubernetes_service;
mod namespaces;
mod priority_classes;
mod service_cidr;
mod service_repair;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::status::Status;
use apiserver::local::Local;
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use futures_util::future::BoxFuture;
use storage::Store;
use tokio::sync::oneshot;

use crate::options::Options;

use kubernetes_service::KubernetesService;
pub use kubernetes_service::first_address;
pub use trust::ClusterTrust;

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// What the tasks share.
#[derive(Clone)]
pub struct Bootstrap {
    pub local: Local,
    /// Where servers note beside the API's objects that they are there.
    pub store: Arc<dyn Store>,
    pub options: Arc<Options>,
    /// Where the cluster's members reach this server.
    pub address: SocketAddr,
    pub trust: Arc<ClusterTrust>,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
}

/// The tasks run.
pub struct Started {
    /// Resolves once each has succeeded.
    pub complete: BoxFuture<'static, ()>,
    /// Resolves once, after the shutdown, other servers and clients were told that this one goes.
    pub left: BoxFuture<'static, ()>,
}

impl Bootstrap {
    /// Starts all tasks.
    pub fn start(self) -> Started {
        let mut first_runs = Vec::new();
        let mut keep = |first: oneshot::Receiver<()>| first_runs.push(first);
        keep(
            self.keep("rbac/bootstrap-roles", Duration::MAX, |this| async move {
                access::reconcile(&this.local).await
            }),
        );
        keep(self.keep(
            "start-system-namespaces-controller",
            Duration::from_secs(60),
            |this| async move { namespaces::ensure(&this.local).await },
        ));
        keep(self.keep(
            "scheduling/bootstrap-system-priority-classes",
            Duration::MAX,
            |this| async move { priority_classes::ensure(&this.local).await },
        ));
        keep(self.keep(
            "kube-apiserver-autoregistration",
            Duration::MAX,
            |this| async move { api_services::ensure(&this.local).await },
        ));
        keep(self.keep(
            "start-kubernetes-service-cidr-controller",
            Duration::from_secs(60),
            |this| async move {
                service_cidr::ensure(
                    &this.local,
                    &this.options.service_cluster_ip_ranges,
                    this.clock.now(),
                )
                .await
            },
        ));
        keep(self.keep(
            "priority-and-fairness-config-producer",
            Duration::from_secs(60),
            |this| async move { flow_control::ensure(&this.local).await },
        ));
        keep(self.keep(
            "start-cluster-authentication-info-controller",
            Duration::from_secs(60),
            |this| async move { trust::publish(&this.local, &this.trust).await },
        ));
        keep(self.keep(
            "start-legacy-token-tracking-controller",
            Duration::from_secs(3600),
            |this| async move { trust::track_legacy_tokens(&this.local, this.clock.now()).await },
        ));
        keep(self.keep(
            "start-kube-apiserver-identity-lease-garbage-collector",
            identity::COLLECT_INTERVAL,
            |this| async move { identity::collect(&this.local, this.clock.now()).await },
        ));
        let identity = identity::Identity::of_this_host();
        keep(self.keep(
            "start-kube-apiserver-identity-lease-controller",
            identity::RENEW_INTERVAL,
            move |this| {
                let identity = identity.clone();
                async move { identity.renew(&this.local, this.clock.now()).await }
            },
        ));
        let repair = Arc::new(service_repair::ServiceRepair::new(&self));
        keep(self.keep(
            "start-service-ip-repair-controllers",
            Duration::from_secs(180),
            move |this| {
                let repair = repair.clone();
                async move { repair.run(&this).await }
            },
        ));
        let (done, first) = oneshot::channel();
        first_runs.push(first);
        apiextensions::Controller::new(self.local.clone()).start(done, self.shutdown.clone());
        let (done, first) = oneshot::channel();
        first_runs.push(first);
        let service = KubernetesService::new(self.clone(), self.store.clone());
        let service = tokio::spawn(service.run(done));
        Started {
            complete: Box::pin(async move {
                for first in first_runs {
                    // A task that ends before that ends with the server.
                    first.await.ok();
                }
            }),
            left: Box::pin(async move {
                if let Err(error) = service.await {
                    tracing::error!(%error, "the kubernetes service is not looked after any more");
                }
            }),
        }
    }

    /// Runs a step until it succeeds, opens its hook, and runs it again each `interval` (`MAX`: once is enough).
    fn keep<F, R>(&self, hook: &'static str, interval: Duration, step: F) -> oneshot::Receiver<()>
    where
        F: Fn(Bootstrap) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let this = self.clone();
        let (done, first) = oneshot::channel();
        let mut done = Some(done);
        let work = async move {
            let mut delay = RETRY;
            loop {
                match step(this.clone()).await {
                    Ok(()) => {
                        this.local.api().health.done(hook);
                        // Nobody may be waiting.
                        done.take().map(|done| done.send(()));
                        if interval == Duration::MAX {
                            return;
                        }
                        delay = interval;
                    }
                    Err(error) => {
                        tracing::warn!(hook, %error, "bootstrap step failed and is tried again");
                        delay = delay.min(RETRY);
                    }
                }
                this.clock.sleep(delay).await;
            }
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move { shutdown.guard(work).await });
        first
    }
}

/// What [`ensure`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ensured {
    Created,
    /// It was there.
    Found,
}

/// Creates an object unless it is there.
async fn ensure<T: api::Resource>(local: &Local, object: T) -> Result<Ensured, Status> {
    let (namespace, name) = (
        object.metadata().namespace.clone(),
        object.metadata().name.clone(),
    );
    match local.get::<T>(&namespace, &name).await {
        Ok(_) => Ok(Ensured::Found),
        Err(status) if status.is_not_found() => match local.create(object).await {
            Ok(_) => Ok(Ensured::Created),
            Err(status) if status.is_already_exists() => Ok(Ensured::Found),
            Err(status) => Err(status),
        },
        Err(status) => Err(status),
    }
}
