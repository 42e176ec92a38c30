//! Allots addresses and node ports while a Service is written: taken before the write, given back if it fails;
//! what the service no longer has is given back once the write stands.

use std::net::IpAddr;
use std::sync::Arc;

use api::Object;
use api::core::v1::Service;
use apimachinery::field::{Error as FieldError, ErrorList, Path};
use apimachinery::gvk::GroupKind;
use apimachinery::quote::quote;
use apimachinery::status::Status;
use apimachinery::validation::parse_ip_sloppy;
use apiserver::strategy::{Context, Hooks, Outcome, Transaction};
use futures_util::future::BoxFuture;

use super::addresses::{self, Addresses};
use super::families::{self, Families, Family};
use super::fields::{NONE, needs_cluster_ip};
use super::node_ports::{self, Plan};
use super::ports::{self, NodePorts};

/// See the module.
pub struct Allotment {
    held: Arc<Held>,
    families: Families,
}

/// Where addresses and ports are recorded.
struct Held {
    addresses: Addresses,
    ports: NodePorts,
}

impl Allotment {
    pub fn new(addresses: Addresses, ports: NodePorts, families: Families) -> Allotment {
        Allotment {
            held: Arc::new(Held { addresses, ports }),
            families,
        }
    }

    async fn create(&self, cx: &Context<'_>, service: &mut Service) -> Result<Box<dyn Transaction>, Status> {
        families::normalize_new(service);
        families::settle(service, None, self.families).map_err(|errors| invalid(service, errors))?;
        let mut reserved = Reserved::new(&self.held, cx.dry_run);
        self.allot_addresses(cx, service, &mut reserved).await?;
        let plan = node_ports::plan_create(service);
        self.allot_ports(service, plan, &mut reserved).await?;
        Ok(Box::new(reserved))
    }

    async fn update(
        &self,
        cx: &Context<'_>,
        service: &mut Service,
        old: &Service,
    ) -> Result<Box<dyn Transaction>, Status> {
        let mut old = old.clone();
        families::default_on_read(&mut old, self.families);
        families::keep_allotted(service, &old);
        families::normalize_update(service, &old);
        families::settle(service, Some(&old), self.families).map_err(|errors| invalid(service, errors))?;
        let mut reserved = Reserved::new(&self.held, cx.dry_run);
        self.change_addresses(cx, service, &old, &mut reserved).await?;
        let plan = node_ports::plan_update(service, &old);
        self.allot_ports(service, plan, &mut reserved).await?;
        Ok(Box::new(reserved))
    }

    /// An address for each family, as asked for or picked.
    async fn allot_addresses(
        &self,
        cx: &Context<'_>,
        service: &mut Service,
        reserved: &mut Reserved,
    ) -> Result<(), Status> {
        if !needs_cluster_ip(service) || service.spec.cluster_ips.first().is_some_and(|ip| ip == NONE) {
            return Ok(());
        }
        for index in 0..service.spec.ip_families.len() {
            self.allot_address(cx, service, index, reserved).await?;
        }
        Ok(())
    }

    async fn allot_address(
        &self,
        cx: &Context<'_>,
        service: &mut Service,
        index: usize,
        reserved: &mut Reserved,
    ) -> Result<(), Status> {
        let family = if service.spec.ip_families[index] == Family::V6.name() {
            Family::V6
        } else {
            Family::V4
        };
        let wanted = service
            .spec
            .cluster_ips
            .get(index)
            .filter(|ip| !ip.is_empty())
            .cloned();
        let ip = match wanted {
            Some(text) => {
                let ip = parse_ip_sloppy(&text).ok_or_else(|| {
                    Status::internal(format!("failed to parse service IP {}", quote(&text)))
                })?;
                let taken = self.held.addresses.take(service, ip, cx.now, cx.dry_run).await;
                taken.map_err(|error| {
                    not_allotted(service, &format!("failed to allocate IP {text}: {error}"))
                })?;
                ip
            }
            None => {
                let picked = self
                    .held
                    .addresses
                    .pick(service, family, cx.now, cx.dry_run)
                    .await;
                let ip = picked.map_err(|error| none_picked(service, &error))?;
                let text = ip.to_string();
                if index == 0 {
                    service.spec.cluster_ip.clone_from(&text);
                }
                match service.spec.cluster_ips.get_mut(index) {
                    Some(slot) => *slot = text,
                    None => service.spec.cluster_ips.push(text),
                }
                ip
            }
        };
        reserved.addresses.push(ip);
        Ok(())
    }

    async fn change_addresses(
        &self,
        cx: &Context<'_>,
        service: &mut Service,
        old: &Service,
        reserved: &mut Reserved,
    ) -> Result<(), Status> {
        if families::is_unchanged_dual_stack(service, old) {
            return Ok(());
        }
        if !needs_cluster_ip(old) && needs_cluster_ip(service) {
            return self.allot_addresses(cx, service, reserved).await;
        }
        let old_ips = &old.spec.cluster_ips;
        if old_ips.first().is_some_and(|ip| ip == NONE) {
            return Ok(());
        }
        if needs_cluster_ip(old) && !needs_cluster_ip(service) {
            reserved.obsolete_addresses = old_ips.iter().filter_map(|ip| parse_ip_sloppy(ip)).collect();
            return Ok(());
        }
        match (old.spec.ip_families.len(), service.spec.ip_families.len()) {
            (1, 2) => self.allot_address(cx, service, 1, reserved).await,
            (2, 1) => {
                reserved.obsolete_addresses = old_ips
                    .iter()
                    .skip(1)
                    .filter_map(|ip| parse_ip_sloppy(ip))
                    .collect();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn allot_ports(
        &self,
        service: &mut Service,
        plan: Plan,
        reserved: &mut Reserved,
    ) -> Result<(), Status> {
        let allotted = self.held.ports.allot(&plan, reserved.dry_run).await;
        let allotted = allotted.map_err(|error| port_error(service, &error))?;
        for (pick, port) in plan.pick.iter().zip(&allotted.picked) {
            for &index in &pick.indices {
                service.spec.ports[index].node_port = *port;
            }
        }
        if let Some(port) = allotted.health_check {
            service.spec.health_check_node_port = port;
        }
        reserved.ports = allotted.taken;
        reserved.obsolete_ports = plan.release;
        Ok(())
    }

    async fn delete(&self, service: &Service) {
        let mut service = service.clone();
        families::default_on_read(&mut service, self.families);
        let ips: Vec<IpAddr> = service
            .spec
            .cluster_ips
            .iter()
            .filter_map(|ip| parse_ip_sloppy(ip))
            .collect();
        self.held.release(&ips, &node_ports::held(&service)).await;
    }
}

fn service_kind() -> GroupKind {
    GroupKind::new("", "Service")
}

fn invalid(service: &Service, errors: ErrorList) -> Status {
    Status::invalid(&service_kind(), &service.metadata.name, errors)
}

fn not_allotted(service: &Service, detail: &str) -> Status {
    let path = Path::new("spec").child("clusterIPs");
    invalid(
        service,
        vec![FieldError::invalid(
            &path,
            service.spec.cluster_ips.as_slice(),
            detail,
        )],
    )
}

fn none_picked(service: &Service, error: &addresses::Error) -> Status {
    match error {
        addresses::Error::Full => {
            let name = quote(&service.metadata.name);
            Status::internal(format!(
                "failed to allocate a serviceIP for Service {name}: {error}"
            ))
        }
        error => not_allotted(service, &format!("failed to allocate IP: {error}")),
    }
}

fn port_error(service: &Service, error: &ports::Error) -> Status {
    match error {
        ports::Error::Taken {
            index: Some(index),
            port,
        }
        | ports::Error::OutOfRange {
            index: Some(index),
            port,
            ..
        } => {
            let path = Path::new("spec").child("ports").index(*index).child("nodePort");
            invalid(
                service,
                vec![FieldError::invalid(&path, *port, error.to_string())],
            )
        }
        ports::Error::Taken { index: None, port }
        | ports::Error::OutOfRange {
            index: None, port, ..
        } => Status::internal(format!(
            "failed to allocate requested HealthCheck NodePort {port}: {error}"
        )),
        error => Status::internal(format!("failed to allocate a nodePort: {error}")),
    }
}

impl Held {
    async fn release(&self, addresses: &[IpAddr], ports: &[i32]) {
        if let Err(error) = self.addresses.release(addresses).await {
            tracing::error!(?addresses, %error, "failed to release cluster IPs");
        }
        if let Err(error) = self.ports.release(ports).await {
            tracing::error!(?ports, %error, "failed to release node ports");
        }
    }
}

/// What one write has taken, and what it makes free. Dropped without an outcome, it counts as aborted.
struct Reserved {
    held: Arc<Held>,
    dry_run: bool,
    addresses: Vec<IpAddr>,
    ports: Vec<i32>,
    obsolete_addresses: Vec<IpAddr>,
    obsolete_ports: Vec<i32>,
}

impl Reserved {
    fn new(held: &Arc<Held>, dry_run: bool) -> Reserved {
        Reserved {
            held: held.clone(),
            dry_run,
            addresses: Vec::new(),
            ports: Vec::new(),
            obsolete_addresses: Vec::new(),
            obsolete_ports: Vec::new(),
        }
    }

    /// Gives back in the background: the outcome of the write does not wait for it.
    fn release(&mut self) {
        let (addresses, ports) = (
            std::mem::take(&mut self.addresses),
            std::mem::take(&mut self.ports),
        );
        if self.dry_run || (addresses.is_empty() && ports.is_empty()) {
            return;
        }
        let held = self.held.clone();
        tokio::spawn(async move { held.release(&addresses, &ports).await });
    }
}

impl Transaction for Reserved {
    fn finish(mut self: Box<Self>, outcome: Outcome) {
        if outcome == Outcome::Committed {
            self.addresses = std::mem::take(&mut self.obsolete_addresses);
            self.ports = std::mem::take(&mut self.obsolete_ports);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.release();
    }
}

const OWN_KIND: &str = "invariant: the hooks of services only see services";

impl Hooks for Allotment {
    fn begin_create<'a>(
        &'a self,
        cx: &'a Context<'a>,
        object: &'a mut dyn Object,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Transaction>>, Status>> {
        Box::pin(async move {
            self.create(cx, object.downcast_mut().expect(OWN_KIND))
                .await
                .map(Some)
        })
    }

    fn begin_update<'a>(
        &'a self,
        cx: &'a Context<'a>,
        object: &'a mut dyn Object,
        old: &'a dyn Object,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Transaction>>, Status>> {
        Box::pin(async move {
            if cx.subresource == "status" {
                return Ok(None);
            }
            let old = old.downcast_ref().expect(OWN_KIND);
            self.update(cx, object.downcast_mut().expect(OWN_KIND), old)
                .await
                .map(Some)
        })
    }

    fn after_delete<'a>(&'a self, object: &'a dyn Object) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.delete(object.downcast_ref().expect(OWN_KIND)).await })
    }
}
