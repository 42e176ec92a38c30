//! What the API says, indexed for lookups by name and by address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::core::v1::{Namespace, Service as ApiService};
use api::discovery::v1::EndpointSlice;
use controller_runtime::watcher::Change;

use crate::service::{Endpoint, Port, Service, ServiceKey, Slice, Target, owner};

/// The contents of the cluster's zone.
#[derive(Debug, Default)]
pub struct Zone {
    namespaces: BTreeSet<Box<str>>,
    services: BTreeMap<ServiceKey, Service>,
    slices: BTreeMap<ServiceKey, BTreeMap<Box<str>, Slice>>,
    cluster_ips: BTreeSet<(IpAddr, ServiceKey)>,
    endpoint_ips: BTreeSet<(IpAddr, ServiceKey, Box<str>)>,
    synced: Synced,
}

#[derive(Clone, Copy, Debug, Default)]
struct Synced {
    namespaces: bool,
    services: bool,
    slices: bool,
}

impl Zone {
    /// Whether everything has been listed once: an answer before that could deny what exists.
    pub fn is_synced(&self) -> bool {
        self.synced.namespaces && self.synced.services && self.synced.slices
    }

    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key)
    }

    /// The endpoints of a service, from all its slices, with the ports of each.
    pub fn endpoints(&self, key: &ServiceKey) -> impl Iterator<Item = (&Endpoint, &[Port])> {
        let slices = self.slices.get(key).into_iter().flat_map(BTreeMap::values);
        slices.flat_map(|slice| {
            slice
                .endpoints
                .iter()
                .map(|endpoint| (endpoint, slice.ports.as_slice()))
        })
    }

    /// The service with this cluster IP.
    pub fn service_with_ip(&self, ip: IpAddr) -> Option<&ServiceKey> {
        let first = (ip, ServiceKey::new("", ""));
        self.cluster_ips
            .range(first..)
            .next()
            .filter(|(found, _)| *found == ip)
            .map(|(_, key)| key)
    }

    /// The services with an endpoint at this address.
    pub fn services_with_endpoint(&self, ip: IpAddr) -> BTreeSet<&ServiceKey> {
        let first = (ip, ServiceKey::new("", ""), Box::from(""));
        self.endpoint_ips
            .range(first..)
            .take_while(|(found, ..)| *found == ip)
            .map(|(_, key, _)| key)
            .collect()
    }

    pub fn take_namespace(&mut self, change: Change<Namespace>) {
        let name = |namespace: &Namespace| Box::from(namespace.metadata.name.as_str());
        match change {
            Change::Apply(namespace) => {
                self.namespaces.insert(name(&namespace));
            }
            Change::Delete(namespace) => {
                self.namespaces.remove(&name(&namespace));
            }
            Change::Replace(all) => {
                self.namespaces = all.iter().map(name).collect();
                self.synced.namespaces = true;
            }
        }
    }

    pub fn take_service(&mut self, change: Change<ApiService>) {
        match change {
            Change::Apply(service) => self.set_service(&service),
            Change::Delete(service) => self.remove_service(&key(&service)),
            Change::Replace(all) => {
                self.services.clear();
                self.cluster_ips.clear();
                for service in &all {
                    self.set_service(service);
                }
                self.synced.services = true;
            }
        }
    }

    fn set_service(&mut self, service: &ApiService) {
        let key = key(service);
        self.remove_service(&key);
        let Some(service) = Service::new(service) else {
            return;
        };
        if let Target::ClusterIps(ips) = &service.target {
            self.cluster_ips.extend(ips.iter().map(|ip| (*ip, key.clone())));
        }
        self.services.insert(key, service);
    }

    fn remove_service(&mut self, key: &ServiceKey) {
        if let Some(Service {
            target: Target::ClusterIps(ips),
            ..
        }) = self.services.remove(key)
        {
            for ip in ips {
                self.cluster_ips.remove(&(ip, key.clone()));
            }
        }
    }

    pub fn take_slice(&mut self, change: Change<EndpointSlice>) {
        match change {
            Change::Apply(slice) => self.set_slice(&slice),
            Change::Delete(slice) => {
                if let Some(key) = owner(&slice) {
                    self.remove_slice(&key, &slice.metadata.name);
                }
            }
            Change::Replace(all) => {
                self.slices.clear();
                self.endpoint_ips.clear();
                for slice in &all {
                    self.set_slice(slice);
                }
                self.synced.slices = true;
            }
        }
    }

    fn set_slice(&mut self, slice: &EndpointSlice) {
        let Some(key) = owner(slice) else { return };
        let name: Box<str> = slice.metadata.name.as_str().into();
        self.remove_slice(&key, &name);
        let slice = Slice::new(slice);
        for endpoint in &slice.endpoints {
            self.endpoint_ips.insert((endpoint.ip, key.clone(), name.clone()));
        }
        self.slices.entry(key).or_default().insert(name, slice);
    }

    fn remove_slice(&mut self, key: &ServiceKey, name: &str) {
        let Some(slices) = self.slices.get_mut(key) else {
            return;
        };
        if let Some(slice) = slices.remove(name) {
            for endpoint in slice.endpoints {
                self.endpoint_ips.remove(&(endpoint.ip, key.clone(), name.into()));
            }
        }
        if slices.is_empty() {
            self.slices.remove(key);
        }
    }
}

fn key(service: &ApiService) -> ServiceKey {
    ServiceKey::new(&service.metadata.namespace, &service.metadata.name)
}
