//! What the daemon is told: `KubeProxyConfiguration`, from a file or from flags.
//!
//! Upstream: staging/src/k8s.io/kube-proxy/config, pkg/proxy/apis/config

mod file;
#[cfg(test)]
mod tests;
pub mod watch;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use component_base::features::FeatureGates;
use component_base::upstream::GATES;
use ipnet::IpNet;

use crate::sysctl::Conntrack;

pub use file::read;

const HEALTHZ_PORT: u16 = 10256;
const METRICS_PORT: u16 = 10249;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    IpTables,
    NfTables,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::IpTables => "iptables",
            Mode::NfTables => "nftables",
        }
    }

    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "" | "iptables" => Ok(Mode::IpTables),
            "nftables" => Ok(Mode::NfTables),
            "ipvs" => Err(Error::Ipvs),
            other => Err(Error::Mode(other.to_owned())),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectLocal {
    ClusterCidr(Vec<IpNet>),
    NodeCidr,
    BridgeInterface(String),
    InterfaceNamePrefix(String),
}

/// Which of the node's addresses node ports are opened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// All of them.
    All,
    /// The addresses of the Node object.
    Primary,
    Ranges(Vec<IpNet>),
}

/// How to reach the API server.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConnection {
    /// None means the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    pub server: Option<String>,
    pub qps: f32,
    pub burst: u32,
}

/// The complete configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub client: ClientConnection,
    pub gates: FeatureGates,
    pub hostname_override: String,
    pub bind_address: IpAddr,
    pub healthz_bind_address: Option<SocketAddr>,
    pub metrics_bind_address: Option<SocketAddr>,
    pub bind_address_hard_fail: bool,
    pub mode: Mode,
    pub masquerade_bit: u8,
    pub masquerade_all: bool,
    pub localhost_node_ports: bool,
    pub sync_period: Duration,
    pub min_sync_period: Duration,
    pub detect_local: DetectLocal,
    pub node_port_addresses: NodePortAddresses,
    pub oom_score_adj: Option<i32>,
    pub conntrack: Conntrack,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    File(#[from] component_base::config::Error),
    #[error(transparent)]
    FeatureGates(#[from] component_base::features::Error),
    #[error("mode must be iptables or nftables, not {0:?}")]
    Mode(String),
    #[error("mode ipvs is deprecated upstream and not supported: use nftables")]
    Ipvs,
    #[error("{field}: Invalid value: {value:?}: {reason}")]
    Invalid {
        field: &'static str,
        value: String,
        reason: &'static str,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            client: ClientConnection {
                kubeconfig: None,
                server: None,
                qps: 5.0,
                burst: 10,
            },
            gates: FeatureGates::new(GATES),
            hostname_override: String::new(),
            bind_address: Ipv4Addr::UNSPECIFIED.into(),
            healthz_bind_address: Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), HEALTHZ_PORT)),
            metrics_bind_address: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), METRICS_PORT)),
            bind_address_hard_fail: false,
            mode: Mode::IpTables,
            masquerade_bit: 14,
            masquerade_all: false,
            localhost_node_ports: true,
            sync_period: Duration::from_secs(30),
            min_sync_period: Duration::from_secs(1),
            detect_local: DetectLocal::ClusterCidr(Vec::new()),
            node_port_addresses: NodePortAddresses::All,
            oom_score_adj: Some(-999),
            conntrack: Conntrack::default(),
        }
    }
}

impl Config {
    /// Where health and metrics are served unless configured: everywhere and on loopback, in the family of the
    /// bind address.
    fn default_addresses(bind: IpAddr) -> (SocketAddr, SocketAddr) {
        let (all, loopback): (IpAddr, IpAddr) = match bind {
            IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        };
        (
            SocketAddr::new(all, HEALTHZ_PORT),
            SocketAddr::new(loopback, METRICS_PORT),
        )
    }

    /// Checks what parsing couldn't.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |field, value: String, reason| Err(Error::Invalid { field, value, reason });
        if self.masquerade_bit > 31 {
            return invalid(
                "masqueradeBit",
                self.masquerade_bit.to_string(),
                "must be within the range [0, 31]",
            );
        }
        if self.sync_period.is_zero() {
            return invalid("syncPeriod", "0s".to_owned(), "must be greater than 0");
        }
        if self.min_sync_period > self.sync_period {
            let value = format!("{:?}", self.sync_period);
            return invalid(
                "syncPeriod",
                value,
                "must be greater than or equal to minSyncPeriod",
            );
        }
        if self
            .oom_score_adj
            .is_some_and(|adj| !(-1000..=1000).contains(&adj))
        {
            let value = self.oom_score_adj.unwrap_or_default().to_string();
            return invalid("oomScoreAdj", value, "must be within the range [-1000, 1000]");
        }
        match &self.detect_local {
            DetectLocal::BridgeInterface(name) if name.is_empty() => invalid(
                "detectLocal.bridgeInterface",
                String::new(),
                "bridge interface cannot be empty",
            ),
            DetectLocal::InterfaceNamePrefix(prefix) if prefix.is_empty() => invalid(
                "detectLocal.interfaceNamePrefix",
                String::new(),
                "interface prefix cannot be empty",
            ),
            _ => Ok(()),
        }
    }
}

/// `detectLocalMode` with what it needs.
pub(crate) fn detect_local(
    mode: &str,
    cluster_cidrs: &str,
    bridge: String,
    prefix: String,
) -> Result<DetectLocal, Error> {
    match mode {
        "" | "ClusterCIDR" => Ok(DetectLocal::ClusterCidr(ranges(
            "clusterCIDR",
            cluster_cidrs.split(','),
        )?)),
        "NodeCIDR" => Ok(DetectLocal::NodeCidr),
        "BridgeInterface" => Ok(DetectLocal::BridgeInterface(bridge)),
        "InterfaceNamePrefix" => Ok(DetectLocal::InterfaceNamePrefix(prefix)),
        other => Err(Error::Invalid {
            field: "detectLocalMode",
            value: other.to_owned(),
            reason: "must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
        }),
    }
}

pub(crate) fn node_port_addresses(list: &[String]) -> Result<NodePortAddresses, Error> {
    match list {
        [] => Ok(NodePortAddresses::All),
        [only] if only == "primary" => Ok(NodePortAddresses::Primary),
        list => ranges("nodePortAddresses", list.iter().map(String::as_str)).map(NodePortAddresses::Ranges),
    }
}

fn ranges<'a>(field: &'static str, texts: impl Iterator<Item = &'a str>) -> Result<Vec<IpNet>, Error> {
    let parse = |text: &str| {
        let net: Result<IpNet, _> = text.parse();
        net.map(|net| net.trunc()).map_err(|_| Error::Invalid {
            field,
            value: text.to_owned(),
            reason: "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        })
    };
    texts
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(parse)
        .collect()
}

/// An address with or without a port.
pub(crate) fn address(field: &'static str, text: &str, port: u16) -> Result<SocketAddr, Error> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let ip: Result<IpAddr, _> = text.trim_start_matches('[').trim_end_matches(']').parse();
    ip.map(|ip| SocketAddr::new(ip, port))
        .map_err(|_| Error::Invalid {
            field,
            value: text.to_owned(),
            reason: "must be IP:port",
        })
}

pub(crate) fn ip(field: &'static str, text: &str) -> Result<IpAddr, Error> {
    text.parse().map_err(|_| Error::Invalid {
        field,
        value: text.to_owned(),
        reason: "must be an IP address",
    })
}
