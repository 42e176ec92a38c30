//! The endpoints of the Service `kubernetes`: the API servers that are there.
//!
//! Each server keeps a lease in the store (`leases`) and writes the addresses of all leases into the Endpoints and the
//! EndpointSlice (`plan` says which, and is pure); a server that dies is taken out by the others when its lease ends.
//!
//! Upstream: `pkg/controlplane/reconcilers`.

mod leases;
mod plan;

use std::net::IpAddr;

use api::core::v1::{EndpointPort, Endpoints};
use api::discovery::v1::EndpointSlice;
use apimachinery::status::Status;
use apiserver::local::Local;

use crate::options::EndpointReconcilerType;
pub use leases::Leases;

pub const NAMESPACE: &str = "default";
pub const NAME: &str = "kubernetes";

/// How many servers there are where nobody counts them: `master-count` knows of itself alone.
const MASTER_COUNT: usize = 1;

/// Keeps this server among the endpoints.
pub struct Reconciler {
    pub kind: EndpointReconcilerType,
    pub local: Local,
    pub leases: Leases,
    /// Where others reach this server.
    pub address: IpAddr,
    pub ports: Vec<EndpointPort>,
}

/// Whether ports that differ are set right: not each time, since servers may be configured apart while they are
/// replaced one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    Keep,
    Set,
}

impl Reconciler {
    /// Says that this server is there, and takes out those that are not.
    pub async fn reconcile(&self) -> Result<(), Status> {
        let address = self.address.to_string();
        match self.kind {
            EndpointReconcilerType::None => Ok(()),
            EndpointReconcilerType::MasterCount => {
                let current = self.current().await?;
                let add = |current: Option<&Endpoints>| {
                    plan::add(current, &address, &self.ports, MASTER_COUNT, Ports::Keep)
                };
                self.put(current, add).await
            }
            EndpointReconcilerType::Lease => {
                self.leases.renew(&address).await?;
                let addresses = self.leases.addresses().await?;
                if addresses.is_empty() {
                    // Our own was just written: a store that says so is not to be believed.
                    return Err(Status::internal(
                        "no API server IP addresses were listed in storage, refusing to erase all endpoints for the kubernetes Service",
                    ));
                }
                self.put_all(&addresses, Ports::Keep).await
            }
        }
    }

    /// Takes this server out; `false` if it was not in.
    pub async fn remove(&self) -> Result<bool, Status> {
        let address = self.address.to_string();
        match self.kind {
            EndpointReconcilerType::None => Ok(false),
            EndpointReconcilerType::MasterCount => {
                let current = self.current().await?;
                let listed = current
                    .as_deref()
                    .is_some_and(|endpoints| plan::lists(endpoints, &address));
                if listed {
                    self.put(current, |current| plan::remove(current?, &address))
                        .await?;
                }
                Ok(listed)
            }
            EndpointReconcilerType::Lease => {
                let held = self.leases.remove(&address).await?;
                if held {
                    self.put_all(&self.leases.addresses().await?, Ports::Set).await?;
                }
                Ok(held)
            }
        }
    }

    async fn put_all(&self, addresses: &[String], ports: Ports) -> Result<(), Status> {
        let current = self.current().await?;
        self.put(current, |current| {
            plan::replace(current, addresses, &self.ports, ports)
        })
        .await
    }

    async fn current(&self) -> Result<Option<Box<Endpoints>>, Status> {
        found(self.local.get::<Endpoints>(NAMESPACE, NAME).await)
    }

    /// Writes what the plan makes of the Endpoints, unless it is the same, and the slice that goes with them.
    async fn put(
        &self,
        current: Option<Box<Endpoints>>,
        plan: impl Fn(Option<&Endpoints>) -> Option<Endpoints>,
    ) -> Result<(), Status> {
        let wanted = plan(current.as_deref());
        let endpoints = match (current, wanted) {
            (current, None) => current,
            (None, Some(wanted)) => match self.local.create(wanted).await {
                Ok(created) => Some(created),
                Err(status) if status.is_already_exists() => self.current().await?,
                Err(status) => return Err(status),
            },
            (Some(current), Some(wanted)) => {
                tracing::info!(subsets = ?wanted.subsets, "resetting endpoints for the kubernetes service");
                Some(self.replace(&current, wanted).await?)
            }
        };
        match endpoints {
            Some(endpoints) => self.put_slice(&endpoints).await,
            None => Ok(()),
        }
    }

    /// Another server's write in between is a conflict, after which the next round looks anew.
    async fn replace(&self, current: &Endpoints, wanted: Endpoints) -> Result<Box<Endpoints>, Status> {
        let version = current.metadata.resource_version.clone();
        self.local
            .update::<Endpoints>(NAMESPACE, NAME, move |endpoints| {
                endpoints.metadata.labels.clone_from(&wanted.metadata.labels);
                endpoints.metadata.resource_version.clone_from(&version);
                endpoints.subsets.clone_from(&wanted.subsets);
            })
            .await
    }

    async fn put_slice(&self, endpoints: &Endpoints) -> Result<(), Status> {
        let wanted = plan::slice_of(endpoints);
        let Some(current) = found(self.local.get::<EndpointSlice>(NAMESPACE, NAME).await)? else {
            return match self.local.create(wanted).await {
                Err(status) if !status.is_already_exists() => Err(status),
                _ => Ok(()),
            };
        };
        if current.address_type != wanted.address_type {
            // The type of a slice never changes.
            self.local.delete::<EndpointSlice>(NAMESPACE, NAME).await?;
            return self.local.create(wanted).await.map(drop);
        }
        if plan::same_slice(&current, &wanted) {
            return Ok(());
        }
        self.local
            .update::<EndpointSlice>(NAMESPACE, NAME, move |slice| {
                slice.metadata.labels.clone_from(&wanted.metadata.labels);
                slice.endpoints.clone_from(&wanted.endpoints);
                slice.ports.clone_from(&wanted.ports);
            })
            .await
            .map(drop)
    }
}

/// An object, or `None` if there is none.
fn found<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(status) if status.is_not_found() => Ok(None),
        Err(status) => Err(status),
    }
}
