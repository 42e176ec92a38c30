//! The objects that a cluster starts with, and those that the server keeps up while it runs.
//!
//! Each task first makes what is missing and opens its post-start hook, then comes back from time to time: what an
//! administrator deletes by mistake is made again.

mod access;
mod identity;
mod kubernetes_service;
mod namespaces;
mod priority_classes;
mod service_cidr;
mod trust;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apimachinery::status::Status;
use apiserver::local::Local;
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use tokio::sync::oneshot;

use crate::options::Options;

pub use trust::ClusterTrust;

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// What the tasks share.
#[derive(Clone)]
pub struct Bootstrap {
    pub local: Local,
    pub options: Arc<Options>,
    /// Where the cluster's members reach this server.
    pub address: SocketAddr,
    pub trust: Arc<ClusterTrust>,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
}

impl Bootstrap {
    /// Starts all tasks. The result resolves when each has succeeded once.
    pub fn start(self) -> impl Future<Output = ()> + Send + 'static {
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
            "bootstrap-controller",
            Duration::from_secs(10),
            |this| async move { kubernetes_service::reconcile(&this).await },
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
        let identity = identity::Identity::new();
        keep(self.keep(
            "start-kube-apiserver-identity-lease-controller",
            identity::RENEW_INTERVAL,
            move |this| {
                let identity = identity.clone();
                async move { identity.renew(&this.local, this.clock.now()).await }
            },
        ));
        // Addresses and ports are repaired where they are allocated: when the Service hooks open.
        self.local
            .api()
            .health
            .done("start-service-ip-repair-controllers");
        async move {
            for first in first_runs {
                // A task that ends before that ends with the server.
                first.await.ok();
            }
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

/// Creates an object unless it is there.
async fn ensure<T: api::Resource>(local: &Local, object: T) -> Result<(), Status> {
    let (namespace, name) = (
        object.metadata().namespace.clone(),
        object.metadata().name.clone(),
    );
    match local.get::<T>(&namespace, &name).await {
        Ok(_) => Ok(()),
        Err(status) if status.is_not_found() => match local.create(object).await {
            Err(status) if !status.is_already_exists() => Err(status),
            _ => Ok(()),
        },
        Err(status) => Err(status),
    }
}
