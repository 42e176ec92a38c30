//! How the node tells its own pods' traffic from the rest (`detectLocalMode`).

use ipnet::IpNet;

/// Recognizes packets that come from a pod of this node (or of the cluster, by range).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalDetector {
    /// No way to tell: rules that need to are left out.
    Unknown,
    Cidr(IpNet),
    BridgeInterface(String),
    InterfaceNamePrefix(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Local,
    NotLocal,
}

impl LocalDetector {
    /// The iptables match, `None` when the detector can't tell.
    pub fn iptables(&self, origin: Origin) -> Option<String> {
        let not = if origin == Origin::NotLocal { "! " } else { "" };
        match self {
            LocalDetector::Unknown => None,
            LocalDetector::Cidr(net) => Some(format!("{not}-s {net}")),
            LocalDetector::BridgeInterface(name) => Some(format!("{not}-i {name}")),
            LocalDetector::InterfaceNamePrefix(prefix) => Some(format!("{not}-i {prefix}+")),
        }
    }

    /// The nftables match, `None` when the detector can't tell.
    pub fn nftables(&self, origin: Origin) -> Option<String> {
        let not = if origin == Origin::NotLocal { "!= " } else { "" };
        match self {
            LocalDetector::Unknown => None,
            LocalDetector::Cidr(net) if net.addr().is_ipv4() => Some(format!("ip saddr {not}{net}")),
            LocalDetector::Cidr(net) => Some(format!("ip6 saddr {not}{net}")),
            LocalDetector::BridgeInterface(name) => Some(format!("iifname {not}\"{name}\"")),
            LocalDetector::InterfaceNamePrefix(prefix) => Some(format!("iifname {not}\"{prefix}*\"")),
        }
    }
}
