//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use component_base::options::{FlagSet, Values};
use ipnet::IpNet;

use crate::cni::Paths;
use crate::kernel::TunnelSettings;
use crate::plan::Backend;
use crate::reconciler::Settings;

#[derive(Clone, Debug)]
pub struct Options {
    /// Empty means the service account of the pod that the daemon runs in.
    pub kubeconfig: Option<PathBuf>,
    pub server: Option<String>,
    pub bind_address: Option<SocketAddr>,
    pub cleanup: bool,
    pub settings: Settings,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--node-name is required")]
    NodeName,
    #[error("--cluster-cidr: {0:?} is not a range of addresses")]
    ClusterCidr(String),
    #[error("--backend must be host-gw or vxlan, not {0:?}")]
    Backend(String),
    #[error("--bind-address: {0:?} is not an address and port")]
    BindAddress(String),
    #[error("--{flag}: {value} is out of range")]
    Range { flag: &'static str, value: i64 },
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::new(
        "pod-network",
        "Gives a node's pods addresses and routes to all other pods.",
    );
    set.string(
        "kubeconfig",
        "",
        "Path to a kubeconfig file; without it the pod's service account is used.",
    );
    set.string(
        "master",
        "",
        "Address of the API server, in place of the kubeconfig's.",
    );
    set.string("node-name", "", "Name of the Node that this daemon runs on.");
    set.strings(
        "cluster-cidr",
        "",
        "Ranges of all pods: their traffic among each other is not masqueraded.",
    );
    set.string(
        "cni-conf-dir",
        "/etc/cni/net.d",
        "Where the container runtime looks for network configuration.",
    );
    set.string(
        "cni-data-dir",
        "/var/lib/cni/networks",
        "Where the addresses given to pods are recorded.",
    );
    set.string(
        "backend",
        "host-gw",
        "host-gw: routes through the other nodes, which must be on one link; vxlan: a tunnel to each.",
    );
    set.int("vxlan-id", 1, "Network identifier of the tunnel.");
    set.int("vxlan-port", 8472, "UDP port of the tunnel.");
    set.switch(
        "masquerade",
        true,
        "Hide pods' addresses from destinations outside the cluster.",
    );
    set.string(
        "bind-address",
        "127.0.0.1:10266",
        "Where /healthz and /metrics are served; empty for nowhere.",
    );
    set.switch(
        "cleanup",
        false,
        "Remove routes, masquerading and CNI configuration, and exit.",
    );
    set
}

impl Options {
    pub fn new(values: &Values) -> Result<Self, Error> {
        let node = values.non_empty("node-name").ok_or(Error::NodeName)?.to_owned();
        let cidr = |text: &String| {
            text.parse::<IpNet>()
                .map_err(|_| Error::ClusterCidr(text.clone()))
        };
        let bind = |text: &str| text.parse().map_err(|_| Error::BindAddress(text.to_owned()));
        let settings = Settings {
            node,
            cluster_cidrs: values
                .strings("cluster-cidr")
                .iter()
                .map(cidr)
                .collect::<Result<_, _>>()?,
            backend: match values.string("backend") {
                "host-gw" => Backend::HostGateway,
                "vxlan" => Backend::Vxlan,
                other => return Err(Error::Backend(other.to_owned())),
            },
            masquerade: values.bool("masquerade"),
            tunnel: TunnelSettings {
                id: number(values, "vxlan-id")?,
                port: number(values, "vxlan-port")?,
            },
            cni: Paths {
                configuration: values.string("cni-conf-dir").into(),
                data: values.string("cni-data-dir").into(),
            },
        };
        Ok(Self {
            kubeconfig: values.non_empty("kubeconfig").map(PathBuf::from),
            server: values.non_empty("master").map(str::to_owned),
            bind_address: values.non_empty("bind-address").map(bind).transpose()?,
            cleanup: values.bool("cleanup"),
            settings,
        })
    }
}

fn number<N: TryFrom<i64>>(values: &Values, flag: &'static str) -> Result<N, Error> {
    let value = values.int(flag);
    N::try_from(value).map_err(|_| Error::Range { flag, value })
}
