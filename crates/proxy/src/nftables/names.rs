//! Names in the table `kube-proxy`: upstream's, so that its documentation and tools describe ours as well.

use std::net::SocketAddr;

use crate::base32::sha256_prefix;
use crate::model::{Family, ServicePortName};

pub const TABLE: &str = "kube-proxy";

pub const SERVICES: &str = "services";
pub const SERVICE_IPS: &str = "service-ips";
pub const SERVICE_NODE_PORTS: &str = "service-nodeports";
pub const NODE_PORT_IPS: &str = "nodeport-ips";
pub const CLUSTER_IPS: &str = "cluster-ips";
pub const SERVICE_ENDPOINTS_CHECK: &str = "service-endpoints-check";
pub const NODE_PORT_ENDPOINTS_CHECK: &str = "nodeport-endpoints-check";
pub const NO_ENDPOINT_SERVICES: &str = "no-endpoint-services";
pub const NO_ENDPOINT_NODE_PORTS: &str = "no-endpoint-nodeports";
pub const REJECT: &str = "reject-chain";
pub const CLUSTER_IPS_CHECK: &str = "cluster-ips-check";
pub const FIREWALL_IPS: &str = "firewall-ips";
pub const FIREWALL_CHECK: &str = "firewall-check";
pub const MASQUERADING: &str = "masquerading";
pub const HAIRPIN_CONNECTIONS: &str = "hairpin-connections";

/// Longest name that fits after the longest prefix (the kernel's limit is 256).
const NAME_BASE_MAX: usize = 240;

/// The nftables spelling of a family: in rules and in the table's name.
pub fn family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

pub fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

/// The chains of one service port.
pub struct ServiceChains {
    pub cluster: String,
    pub local: String,
    pub external: String,
    pub firewall: String,
}

impl ServiceChains {
    pub fn new(name: &ServicePortName) -> Self {
        let base = hashed(service_base(name));
        let chain = |prefix: &str| format!("{prefix}-{base}");
        Self {
            cluster: chain("service"),
            local: chain("local"),
            external: chain("external"),
            firewall: chain("firewall"),
        }
    }
}

/// The chain of an endpoint, and the set of clients that stick to it; only with session affinity.
pub struct EndpointNames {
    pub chain: String,
    pub affinity: String,
}

impl EndpointNames {
    pub fn new(name: &ServicePortName, endpoint: SocketAddr) -> Self {
        // Colons may not stand in names.
        let ip = endpoint.ip().to_string().replace(':', ".");
        let base = hashed(format!("{}__{ip}/{}", service_base(name), endpoint.port()));
        Self {
            chain: format!("endpoint-{base}"),
            affinity: format!("affinity-{base}"),
        }
    }
}

fn service_base(name: &ServicePortName) -> String {
    format!("{}/{}/{}", name.service, name.protocol, name.port)
}

/// The hash goes first: it tells apart names that differ in one digit at the end, or are cut off.
fn hashed(name: String) -> String {
    let mut name = format!("{}-{name}", sha256_prefix(&name, 8));
    if name.len() > NAME_BASE_MAX {
        let cut = (0..=NAME_BASE_MAX - 3)
            .rev()
            .find(|i| name.is_char_boundary(*i))
            .unwrap_or(0);
        name.truncate(cut);
        name.push_str("...");
    }
    name
}
