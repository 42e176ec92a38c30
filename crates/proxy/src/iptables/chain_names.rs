//! Names of chains. Tools, docs and kubelet know them, so they are upstream's to the letter, hashes included.

use std::net::SocketAddr;

use crate::base32::sha256_prefix;
use crate::model::ServicePortName;

pub const SERVICES: &str = "KUBE-SERVICES";
pub const EXTERNAL_SERVICES: &str = "KUBE-EXTERNAL-SERVICES";
pub const NODE_PORTS: &str = "KUBE-NODEPORTS";
pub const POSTROUTING: &str = "KUBE-POSTROUTING";
pub const MARK_MASQ: &str = "KUBE-MARK-MASQ";
pub const FORWARD: &str = "KUBE-FORWARD";
pub const PROXY_FIREWALL: &str = "KUBE-PROXY-FIREWALL";
/// Empty chains whose absence shows that someone flushed the tables.
pub const CANARY: &str = "KUBE-PROXY-CANARY";
/// Shared with kubelet, which makes the same rule in it; never deleted by the proxy.
pub const KUBELET_FIREWALL: &str = "KUBE-FIREWALL";

const CLUSTER_POLICY: &str = "KUBE-SVC-";
const LOCAL_POLICY: &str = "KUBE-SVL-";
const FIREWALL: &str = "KUBE-FW-";
const EXTERNAL: &str = "KUBE-EXT-";
const ENDPOINT: &str = "KUBE-SEP-";

/// The chains of one service port.
pub struct ServiceChains {
    /// Balances over the endpoints of the `Cluster` policy.
    pub cluster: String,
    /// Balances over this node's endpoints.
    pub local: String,
    /// Enforces source ranges.
    pub firewall: String,
    /// Takes traffic to external destinations.
    pub external: String,
}

impl ServiceChains {
    pub fn new(name: &ServicePortName) -> Self {
        let hash = hash(&format!("{name}{}", name.protocol));
        let chain = |prefix: &str| format!("{prefix}{hash}");
        Self {
            cluster: chain(CLUSTER_POLICY),
            local: chain(LOCAL_POLICY),
            firewall: chain(FIREWALL),
            external: chain(EXTERNAL),
        }
    }
}

/// The chain that sends to one endpoint of a service port.
pub fn endpoint_chain(name: &ServicePortName, endpoint: SocketAddr) -> String {
    format!(
        "{ENDPOINT}{}",
        hash(&format!("{name}{}{endpoint}", name.protocol))
    )
}

/// Whether a chain found in the nat table belongs to some service port.
pub fn is_service_chain(chain: &str) -> bool {
    [CLUSTER_POLICY, LOCAL_POLICY, FIREWALL, EXTERNAL, ENDPOINT]
        .iter()
        .any(|prefix| chain.starts_with(prefix))
}

/// Chain names may have 28 characters, hence 16 of the hash.
fn hash(text: &str) -> String {
    sha256_prefix(text, 16)
}
