//! Which fields a type of Service uses, and dropping those that a change of type leaves over.

use api::core::v1::Service;

pub const NONE: &str = "None";

pub fn needs_cluster_ip(service: &Service) -> bool {
    service.spec.type_ != "ExternalName"
}

pub fn needs_node_ports(service: &Service) -> bool {
    match service.spec.type_.as_str() {
        "NodePort" => true,
        "LoadBalancer" => service.spec.allocate_load_balancer_node_ports.unwrap_or(true),
        _ => false,
    }
}

/// Whether the service has a port on which nodes say if they have endpoints.
pub fn needs_health_check(service: &Service) -> bool {
    service.spec.type_ == "LoadBalancer" && service.spec.external_traffic_policy == "Local"
}

pub fn is_headless(service: &Service) -> bool {
    service.spec.cluster_ips == [NONE]
}

pub fn is_externally_accessible(service: &Service) -> bool {
    let spec = &service.spec;
    matches!(spec.type_.as_str(), "LoadBalancer" | "NodePort")
        || (spec.type_ == "ClusterIP" && !spec.external_ips.is_empty())
}

fn same_cluster_ips(service: &Service, old: &Service) -> bool {
    service.spec.cluster_ip == old.spec.cluster_ip && service.spec.cluster_ips == old.spec.cluster_ips
}

fn same_node_ports(service: &Service, old: &Service) -> bool {
    let sorted = |service: &Service| {
        let mut ports: Vec<i32> = service
            .spec
            .ports
            .iter()
            .map(|port| port.node_port)
            .filter(|&port| port != 0)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    sorted(service) == sorted(old)
}

/// A client that changes only the type leaves the fields of the old type standing: they are dropped if they are
/// as they were.
pub fn drop_unused(service: &mut Service, old: &Service) {
    if needs_cluster_ip(old) && !needs_cluster_ip(service) {
        if same_cluster_ips(service, old) {
            service.spec.cluster_ip.clear();
            service.spec.cluster_ips.clear();
        }
        if service.spec.ip_families == old.spec.ip_families {
            service.spec.ip_families.clear();
        }
        if service.spec.ip_family_policy == old.spec.ip_family_policy {
            service.spec.ip_family_policy = None;
        }
    }
    let typed_node_ports =
        |service: &Service| matches!(service.spec.type_.as_str(), "NodePort" | "LoadBalancer");
    if typed_node_ports(old) && !typed_node_ports(service) && same_node_ports(service, old) {
        service.spec.ports.iter_mut().for_each(|port| port.node_port = 0);
    }
    let same_health_check = service.spec.health_check_node_port == old.spec.health_check_node_port;
    if needs_health_check(old) && !needs_health_check(service) && same_health_check {
        service.spec.health_check_node_port = 0;
    }
    let was_balanced = old.spec.type_ == "LoadBalancer" && service.spec.type_ != "LoadBalancer";
    if was_balanced {
        let (spec, old) = (&mut service.spec, &old.spec);
        if spec.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            spec.allocate_load_balancer_node_ports = None;
        }
        if spec.load_balancer_class == old.load_balancer_class {
            spec.load_balancer_class = None;
        }
    }
    let same_policy = service.spec.external_traffic_policy == old.spec.external_traffic_policy;
    if is_externally_accessible(old) && !is_externally_accessible(service) && same_policy {
        service.spec.external_traffic_policy.clear();
    }
    if service.spec.type_ != "LoadBalancer" {
        service.status.load_balancer = Default::default();
    }
}
