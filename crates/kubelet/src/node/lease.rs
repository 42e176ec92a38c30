//! The node's heartbeat: a Lease renewed every few seconds. Upstream: `component-helpers/apimachinery/lease`.

use api::{coordination::v1::Lease, core::v1::Node, meta::v1::OwnerReference};
use apimachinery::time::MicroTime;
use client::Client;
use component_base::{clock::Clock, shutdown::Shutdown};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

const NAMESPACE: &str = "kube-node-lease";
/// How often a lease is renewed while it lasts.
const RENEWALS: u32 = 4;
/// The wait after a failure, at most.
const LAST_RETRY: Duration = Duration::from_secs(7);

pub struct Heartbeat {
    pub client: Client,
    pub clock: Arc<dyn Clock>,
    pub node_name: String,
    pub duration_seconds: i32,
    pub node: watch::Receiver<Option<Arc<Node>>>,
}

impl Heartbeat {
    pub async fn run(self, shutdown: Shutdown) {
        let period = Duration::from_secs(u64::try_from(self.duration_seconds).unwrap_or(40)) / RENEWALS;
        let mut last: Option<Lease> = None;
        let mut retry = Duration::from_millis(200);
        while !shutdown.is_triggered() {
            let Some(result) = shutdown.guard(self.renew(last.take())).await else {
                return;
            };
            let wait = match result {
                Ok(lease) => {
                    last = Some(lease);
                    retry = Duration::from_millis(200);
                    period
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to ensure lease exists, will retry");
                    retry = (retry * 2).min(LAST_RETRY);
                    retry
                }
            };
            shutdown.guard(self.clock.sleep(wait)).await;
        }
    }

    /// Renews the lease that was renewed last; after a failure, whichever there is.
    async fn renew(&self, last: Option<Lease>) -> Result<Lease, client::Error> {
        let api = self.client.api::<Lease>().namespace(NAMESPACE);
        if let Some(last) = last {
            match api.update(&self.renewed(last)).await {
                Ok(lease) => return Ok(lease),
                Err(error) => tracing::debug!(%error, "cannot renew the lease as it was, reading it"),
            }
        }
        match api.get(&self.node_name).await {
            Ok(lease) => api.update(&self.renewed(lease)).await,
            Err(error) if error.is_not_found() => {
                let mut lease = Lease::default();
                lease.metadata.name.clone_from(&self.node_name);
                lease.metadata.namespace = NAMESPACE.into();
                api.create(&self.renewed(lease)).await
            }
            Err(error) => Err(error),
        }
    }

    fn renewed(&self, mut lease: Lease) -> Lease {
        lease.spec.holder_identity = Some(self.node_name.clone());
        lease.spec.lease_duration_seconds = Some(self.duration_seconds);
        lease.spec.renew_time = Some(MicroTime::from(self.clock.now()));
        let node = self.node.borrow().clone();
        if let Some(node) = node.filter(|_| lease.metadata.owner_references.is_empty()) {
            lease.metadata.owner_references = vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Node".into(),
                name: self.node_name.clone(),
                uid: node.metadata.uid.clone(),
                ..OwnerReference::default()
            }];
        }
        lease
    }
}
