//! What services use: themselves, node ports, load balancers.

use apimachinery::quantity::{Format, Quantity};

use super::ResourceList;
use crate::core::v1::Service;

pub(super) fn is_resource(name: &str) -> bool {
    matches!(name, "services" | "services.nodeports" | "services.loadbalancers")
}

/// Kinds of services that use different resources.
pub(super) fn charged_type(service: &Service) -> &str {
    match service.spec.type_.as_str() {
        type_ @ ("NodePort" | "LoadBalancer") => type_,
        _ => "",
    }
}

pub(super) fn usage(service: &Service) -> ResourceList {
    let count = |count: usize| Quantity::from_i64(count as i64, Format::DecimalSi);
    let ports = service.spec.ports.len();
    let (node_ports, balancers) = match service.spec.type_.as_str() {
        "NodePort" => (ports, 0),
        // Without the wish for node ports, those that are stated count.
        "LoadBalancer" if service.spec.allocate_load_balancer_node_ports == Some(false) => (
            service
                .spec
                .ports
                .iter()
                .filter(|port| port.node_port != 0)
                .count(),
            1,
        ),
        "LoadBalancer" => (ports, 1),
        _ => (0, 0),
    };
    [
        ("services.nodeports".to_owned(), count(node_ports)),
        ("services.loadbalancers".to_owned(), count(balancers)),
    ]
    .into()
}
