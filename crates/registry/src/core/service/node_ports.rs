//! Which node ports a Service needs, as a plan: what it asks for, what the server picks, what becomes free.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::Service;

use super::fields::{needs_health_check, needs_node_ports};

/// Changes of the range of node ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Ports that the client names and that the service did not have.
    pub reserve: Vec<Wanted>,
    /// Indices of `spec.ports` for which the server picks one.
    pub pick: Vec<Pick>,
    /// The port for health checks, if one is due: named, or picked.
    pub health_check: Option<HealthCheck>,
    /// Free once the write is committed.
    pub release: Vec<i32>,
}

/// A port that is asked for at an index of `spec.ports`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub index: usize,
    pub port: i32,
}

/// A port to pick for all of these indices, which share a service port under several protocols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    pub indices: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    Named(i32),
    Any,
}

fn used(service: &Service) -> BTreeSet<i32> {
    service
        .spec
        .ports
        .iter()
        .map(|port| port.node_port)
        .filter(|&port| port != 0)
        .collect()
}

fn has_node_ports(service: &Service) -> bool {
    matches!(service.spec.type_.as_str(), "NodePort" | "LoadBalancer")
}

/// Ports that the client left out keep their numbers, by name.
pub fn keep_allotted(service: &mut Service, old: &Service) {
    if !has_node_ports(service) || !has_node_ports(old) {
        return;
    }
    let mut taken: BTreeSet<i32> = used(service).intersection(&used(old)).copied().collect();
    let by_name: BTreeMap<&str, i32> = old
        .spec
        .ports
        .iter()
        .map(|port| (port.name.as_str(), port.node_port))
        .collect();
    for port in service.spec.ports.iter_mut().filter(|port| port.node_port == 0) {
        let Some(&number) = by_name.get(port.name.as_str()) else {
            continue;
        };
        if number != 0 && taken.insert(number) {
            port.node_port = number;
        }
    }
}

/// What a new service needs. Ports with the same number and another protocol share a node port.
pub fn plan_create(service: &mut Service) -> Plan {
    let mut plan = Plan::default();
    if has_node_ports(service) {
        plan_new_ports(service, &mut plan);
    }
    if needs_health_check(service) {
        plan.health_check = Some(health_check(service));
    }
    plan
}

fn plan_new_ports(service: &mut Service, plan: &mut Plan) {
    let allot = needs_node_ports(service);
    let ports = &mut service.spec.ports;
    // The node port that each service port has got, or the pick that will give it one.
    let mut settled: BTreeMap<i32, Settled> = BTreeMap::new();
    for index in 0..ports.len() {
        let (port, number) = (ports[index].port, ports[index].node_port);
        if number == 0 && !allot {
            continue;
        }
        match settled.get(&port) {
            Some(&Settled::Number(shared)) if number == 0 => ports[index].node_port = shared,
            Some(&Settled::Number(shared)) if number == shared => {}
            Some(&Settled::Pick(pick)) => plan.pick[pick].indices.push(index),
            Some(Settled::Number(_)) => plan.reserve.push(Wanted { index, port: number }),
            None => {
                let named = ports
                    .iter()
                    .find(|other| other.port == port && other.node_port != 0);
                let settle = match named.map(|other| other.node_port) {
                    Some(number) => {
                        plan.reserve.push(Wanted { index, port: number });
                        ports[index].node_port = number;
                        Settled::Number(number)
                    }
                    None => {
                        plan.pick.push(Pick { indices: vec![index] });
                        Settled::Pick(plan.pick.len() - 1)
                    }
                };
                settled.insert(port, settle);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Settled {
    Number(i32),
    Pick(usize),
}

/// What a changed service needs beyond what it has.
pub fn plan_update(service: &Service, old: &Service) -> Plan {
    let mut plan = Plan::default();
    let old_ports = used(old);
    if has_node_ports(service) {
        let allot = needs_node_ports(service);
        let mut reserved = BTreeSet::new();
        for (index, port) in service.spec.ports.iter().enumerate() {
            match port.node_port {
                0 if allot => plan.pick.push(Pick { indices: vec![index] }),
                0 => {}
                number if !old_ports.contains(&number) && reserved.insert(number) => {
                    plan.reserve.push(Wanted { index, port: number });
                }
                _ => {}
            }
        }
        plan.release = old_ports.difference(&used(service)).copied().collect();
    } else if has_node_ports(old) {
        plan.release = old_ports.into_iter().collect();
    }
    match (needs_health_check(old), needs_health_check(service)) {
        (false, true) => plan.health_check = Some(health_check(service)),
        (true, false) => plan
            .release
            .extend(Some(old.spec.health_check_node_port).filter(|&port| port > 0)),
        _ => {}
    }
    plan
}

fn health_check(service: &Service) -> HealthCheck {
    match service.spec.health_check_node_port {
        0 => HealthCheck::Any,
        named => HealthCheck::Named(named),
    }
}

/// All ports of a service that is gone.
pub fn held(service: &Service) -> Vec<i32> {
    let mut ports: Vec<i32> = used(service).into_iter().collect();
    if needs_health_check(service) && service.spec.health_check_node_port > 0 {
        ports.push(service.spec.health_check_node_port);
    }
    ports
}
