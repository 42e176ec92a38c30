//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use component_base::options::{FlagSet, Values};
use hickory_proto::rr::Name;

use crate::lookup::Domain;

#[derive(Clone, Debug)]
pub struct Options {
    /// None means the service account of the pod that the daemon runs in.
    pub kubeconfig: Option<PathBuf>,
    pub server: Option<String>,
    pub domain: Domain,
    pub bind_address: SocketAddr,
    pub health_address: SocketAddr,
    pub ready_address: SocketAddr,
    pub metrics_address: SocketAddr,
    /// Asked instead of the servers in `resolv_conf`.
    pub upstream: Vec<SocketAddr>,
    pub resolv_conf: PathBuf,
    pub lame_duck: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{flag}: {value:?} is not an address and port")]
    Address { flag: &'static str, value: String },
    #[error("--cluster-domain: {0:?} is not a domain name")]
    Domain(String),
    #[error("--ttl: {0} is not within 0 and 3600")]
    Ttl(i64),
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::new(
        "kube-dns",
        "Answers for the names of services and pods, and forwards the rest.",
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
    set.string(
        "cluster-domain",
        "cluster.local",
        "The domain that the cluster's names end in.",
    );
    set.int("ttl", 30, "Seconds that answers may be kept.");
    set.string(
        "bind-address",
        "[::]:53",
        "Where queries are answered, by UDP and TCP.",
    );
    set.string("health-bind-address", "[::]:8080", "Where /health is served.");
    set.string("ready-bind-address", "[::]:8181", "Where /ready is served.");
    set.string("metrics-bind-address", "[::]:9153", "Where /metrics is served.");
    set.strings(
        "upstream",
        "",
        "Servers to ask for other names, with ports, in place of those in --resolv-conf.",
    );
    set.string(
        "resolv-conf",
        "/etc/resolv.conf",
        "File that names the servers to ask for other names.",
    );
    set.duration(
        "lame-duck",
        "5s",
        "How long to go on answering after being told to stop.",
    );
    set
}

impl Options {
    pub fn new(values: &Values) -> Result<Self, Error> {
        let at = |flag: &'static str| address(flag, values.string(flag));
        let ttl = values.int("ttl");
        Ok(Self {
            kubeconfig: values.non_empty("kubeconfig").map(PathBuf::from),
            server: values.non_empty("master").map(str::to_owned),
            domain: Domain {
                name: domain(values.string("cluster-domain"))?,
                ttl: u32::try_from(ttl)
                    .ok()
                    .filter(|ttl| *ttl <= 3600)
                    .ok_or(Error::Ttl(ttl))?,
            },
            bind_address: at("bind-address")?,
            health_address: at("health-bind-address")?,
            ready_address: at("ready-bind-address")?,
            metrics_address: at("metrics-bind-address")?,
            upstream: values
                .strings("upstream")
                .iter()
                .map(|text| address("upstream", text))
                .collect::<Result<_, _>>()?,
            resolv_conf: values.string("resolv-conf").into(),
            lame_duck: values.duration("lame-duck"),
        })
    }
}

fn address(flag: &'static str, value: &str) -> Result<SocketAddr, Error> {
    value.parse().map_err(|_| Error::Address {
        flag,
        value: value.to_owned(),
    })
}

fn domain(text: &str) -> Result<Name, Error> {
    let name = Name::from_ascii(format!("{}.", text.trim_end_matches('.').to_lowercase()));
    name.ok()
        .filter(|name| !name.is_root())
        .ok_or_else(|| Error::Domain(text.to_owned()))
}
