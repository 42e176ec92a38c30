//! The variables by which containers find services that existed when they started. Upstream: `kubelet/envvars`.

use crate::probe::action::authority;
use api::core::v1::Service;
use std::collections::BTreeMap;

/// The service that every pod learns about, whatever it asked for.
const MASTER_SERVICE: &str = "kubernetes";

/// The variables for a pod of `namespace`.
pub fn variables<'a>(
    services: impl IntoIterator<Item = &'a Service>,
    namespace: &str,
    service_links: bool,
) -> BTreeMap<String, String> {
    let mut chosen: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services {
        if service.spec.cluster_ip.is_empty()
            || service.spec.cluster_ip == "None"
            || service.spec.ports.is_empty()
        {
            continue;
        }
        let name = service.metadata.name.as_str();
        if service.metadata.namespace == namespace && service_links {
            chosen.insert(name, service);
        } else if service.metadata.namespace == "default" && name == MASTER_SERVICE {
            chosen.entry(name).or_insert(service);
        }
    }
    chosen.values().flat_map(|service| of_service(service)).collect()
}

fn of_service(service: &Service) -> Vec<(String, String)> {
    let name = variable_name(&service.metadata.name);
    let ip = &service.spec.cluster_ip;
    let mut result = vec![(format!("{name}_SERVICE_HOST"), ip.clone())];
    for (index, port) in service.spec.ports.iter().enumerate() {
        let number = port.port;
        let protocol = if port.protocol.is_empty() {
            "TCP"
        } else {
            &port.protocol
        };
        let lower = protocol.to_lowercase();
        let address = authority(ip, u16::try_from(number).unwrap_or(0));
        if index == 0 {
            result.push((format!("{name}_SERVICE_PORT"), number.to_string()));
            result.push((format!("{name}_PORT"), format!("{lower}://{address}")));
        }
        if !port.name.is_empty() {
            result.push((
                format!("{name}_SERVICE_PORT_{}", variable_name(&port.name)),
                number.to_string(),
            ));
        }
        let prefix = format!("{name}_PORT_{number}_{}", protocol.to_uppercase());
        result.push((prefix.clone(), format!("{lower}://{address}")));
        result.push((format!("{prefix}_PROTO"), lower));
        result.push((format!("{prefix}_PORT"), number.to_string()));
        result.push((format!("{prefix}_ADDR"), ip.clone()));
    }
    result
}

fn variable_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::core::v1::ServicePort;

    fn service(namespace: &str, name: &str, ip: &str, ports: &[(&str, i32)]) -> Service {
        let mut service = Service::default();
        service.metadata.namespace = namespace.into();
        service.metadata.name = name.into();
        service.spec.cluster_ip = ip.into();
        service.spec.ports = ports
            .iter()
            .map(|(name, port)| ServicePort {
                name: (*name).into(),
                port: *port,
                ..ServicePort::default()
            })
            .collect();
        service
    }

    #[test]
    fn announces_services() {
        let services = [
            service("default", "kubernetes", "10.0.0.1", &[("https", 443)]),
            service("shop", "red-is", "10.0.0.9", &[("", 6379), ("tls", 6380)]),
            service("shop", "headless", "None", &[("", 1)]),
            service("other", "hidden", "10.0.0.7", &[("", 1)]),
        ];
        let with = variables(&services, "shop", true);
        assert_eq!(with["KUBERNETES_SERVICE_HOST"], "10.0.0.1");
        assert_eq!(with["RED_IS_SERVICE_PORT"], "6379");
        assert_eq!(with["RED_IS_SERVICE_PORT_TLS"], "6380");
        assert_eq!(with["RED_IS_PORT"], "tcp://10.0.0.9:6379");
        assert_eq!(with["RED_IS_PORT_6380_TCP_ADDR"], "10.0.0.9");
        assert!(
            !with
                .keys()
                .any(|key| key.starts_with("HEADLESS") || key.starts_with("HIDDEN"))
        );
        let without = variables(&services, "shop", false);
        assert!(without.contains_key("KUBERNETES_PORT_443_TCP") && !without.contains_key("RED_IS_PORT"));
    }
}
