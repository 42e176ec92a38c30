//! Which endpoints may take a service port's traffic on this node: readiness, traffic policy and hints.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::model::{Endpoint, ServicePort};

/// The node as hints see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTopology {
    pub name: String,
    /// Label `topology.kubernetes.io/zone`, empty when absent.
    pub zone: String,
}

/// A service port's endpoints, sorted by address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Categorized<'a> {
    /// For traffic under the `Cluster` policy.
    pub cluster: Vec<&'a Endpoint>,
    /// For traffic under the `Local` policy.
    pub local: Vec<&'a Endpoint>,
    /// Every endpoint that this node may send to: the union of the two.
    pub reachable: Vec<&'a Endpoint>,
    /// Whether any node has an endpoint; decides between reject and drop.
    pub any: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hints {
    Ignored,
    SameNode,
    SameZone,
}

/// Sorts `endpoints` (one service port's, in address order) into the sets that the rules need.
pub fn categorize<'a>(endpoints: &'a [Endpoint], port: &ServicePort, node: &NodeTopology) -> Categorized<'a> {
    let mut result = Categorized::default();
    if endpoints.is_empty() {
        return result;
    }
    let mut hints = Hints::Ignored;
    if port.uses_cluster_endpoints() {
        hints = usable_hints(endpoints, node);
        result.cluster = cluster_endpoints(endpoints, hints, node);
        result.any = !result.cluster.is_empty();
    }
    if port.uses_local_endpoints() {
        result.local = local_endpoints(endpoints);
        result.any |= endpoints.iter().any(|e| e.ready || e.serving_terminating());
    }
    result.reachable = reachable(&result, port, hints);
    result
}

fn cluster_endpoints<'a>(endpoints: &'a [Endpoint], hints: Hints, node: &NodeTopology) -> Vec<&'a Endpoint> {
    let chosen: Vec<_> = endpoints
        .iter()
        .filter(|e| e.ready && admitted(e, hints, node))
        .collect();
    if !chosen.is_empty() {
        return chosen;
    }
    // Hints are only used when they leave something, so nothing is ready anywhere.
    endpoints.iter().filter(|e| e.serving_terminating()).collect()
}

fn local_endpoints(endpoints: &[Endpoint]) -> Vec<&Endpoint> {
    let ready: Vec<_> = endpoints.iter().filter(|e| e.local && e.ready).collect();
    if !ready.is_empty() {
        return ready;
    }
    endpoints
        .iter()
        .filter(|e| e.local && e.serving_terminating())
        .collect()
}

fn reachable<'a>(sets: &Categorized<'a>, port: &ServicePort, hints: Hints) -> Vec<&'a Endpoint> {
    if !port.uses_local_endpoints() {
        return sets.cluster.clone();
    }
    if !port.uses_cluster_endpoints() {
        return sets.local.clone();
    }
    if hints == Hints::Ignored && sets.local.iter().all(|e| e.ready) {
        // Every ready endpoint is in `cluster` already.
        return sets.cluster.clone();
    }
    let union: BTreeMap<SocketAddr, &Endpoint> = sets
        .cluster
        .iter()
        .chain(&sets.local)
        .map(|e| (e.address, *e))
        .collect();
    union.into_values().collect()
}

/// Hints count only when every ready endpoint has one and at least one names this node or zone: otherwise a
/// slice caught between two controllers' views could leave the node without a backend.
fn usable_hints(endpoints: &[Endpoint], node: &NodeTopology) -> Hints {
    let ready = || endpoints.iter().filter(|e| e.ready);
    if ready().next().is_none() {
        return Hints::Ignored;
    }
    if ready().all(|e| !e.node_hints.is_empty()) && ready().any(|e| e.node_hints.contains(&node.name)) {
        return Hints::SameNode;
    }
    if ready().all(|e| !e.zone_hints.is_empty()) && ready().any(|e| e.zone_hints.contains(&node.zone)) {
        return Hints::SameZone;
    }
    Hints::Ignored
}

fn admitted(endpoint: &Endpoint, hints: Hints, node: &NodeTopology) -> bool {
    match hints {
        Hints::Ignored => true,
        Hints::SameNode => endpoint.node_hints.contains(&node.name),
        Hints::SameZone => endpoint.zone_hints.contains(&node.zone),
    }
}

#[cfg(test)]
mod tests;
