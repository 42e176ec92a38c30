//! What Services default.

use api::core::v1::{ClientIPConfig, Service, SessionAffinityConfig};
use apimachinery::int_or_string::IntOrString;

use super::fields;

const AFFINITY_SECONDS: i32 = 3 * 60 * 60;

pub fn service(service: &mut Service) {
    session_affinity(service);
    let spec = &mut service.spec;
    if spec.type_.is_empty() {
        spec.type_ = "ClusterIP".to_owned();
    }
    for port in &mut spec.ports {
        if port.protocol.is_empty() {
            port.protocol = "TCP".to_owned();
        }
        let unset = matches!(&port.target_port, IntOrString::Int(0))
            || matches!(&port.target_port, IntOrString::String(name) if name.is_empty());
        if unset {
            port.target_port = IntOrString::Int(port.port);
        }
    }
    if fields::is_externally_accessible(service) && service.spec.external_traffic_policy.is_empty() {
        service.spec.external_traffic_policy = "Cluster".to_owned();
    }
    let spec = &mut service.spec;
    match spec.type_.as_str() {
        "ClusterIP" | "NodePort" | "LoadBalancer" => {
            spec.internal_traffic_policy
                .get_or_insert_with(|| "Cluster".to_owned());
        }
        // Objects written before the field was dropped for this type.
        "ExternalName" => spec.internal_traffic_policy = None,
        _ => {}
    }
    if spec.type_ == "LoadBalancer" {
        spec.allocate_load_balancer_node_ports.get_or_insert(true);
        for ingress in service
            .status
            .load_balancer
            .ingress
            .iter_mut()
            .filter(|ingress| !ingress.ip.is_empty())
        {
            ingress.ip_mode.get_or_insert_with(|| "VIP".to_owned());
        }
    }
}

fn session_affinity(service: &mut Service) {
    let spec = &mut service.spec;
    if spec.session_affinity.is_empty() {
        spec.session_affinity = "None".to_owned();
    }
    match spec.session_affinity.as_str() {
        "None" => spec.session_affinity_config = None,
        "ClientIP" => {
            let configured = spec
                .session_affinity_config
                .as_deref()
                .and_then(|config| config.client_ip.as_deref());
            if configured.and_then(|client| client.timeout_seconds).is_none() {
                let client_ip = Box::new(ClientIPConfig {
                    timeout_seconds: Some(AFFINITY_SECONDS),
                });
                spec.session_affinity_config = Some(Box::new(SessionAffinityConfig {
                    client_ip: Some(client_ip),
                }));
            }
        }
        _ => {}
    }
}
