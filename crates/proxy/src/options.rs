//! The command line. With `--config`, the file's settings hold, except for the host name.

use std::path::PathBuf;

use component_base::features;
use component_base::options::{FlagSet, Values};
use component_base::upstream::flags::KUBE_PROXY;

use crate::config::watch::Watched;
use crate::config::{self, Config, Error, Mode, address, detect_local, ip, node_port_addresses};

#[derive(Clone, Debug)]
pub struct Options {
    pub config: Config,
    /// The file that the configuration is from.
    pub file: Option<Watched>,
    /// Remove all rules and exit.
    pub cleanup: bool,
    /// Do what needs full privileges and exit.
    pub init_only: bool,
}

pub fn flags() -> FlagSet {
    let mut set = FlagSet::new("kube-proxy", "Makes services reachable on a node.");
    set.string(
        "config",
        "",
        "Path to a KubeProxyConfiguration; most flags are then ignored.",
    );
    set.switch("cleanup", false, "Remove the rules of every mode and exit.");
    set.switch(
        "init-only",
        false,
        "Make the settings that need full privileges, and exit.",
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
    set.float("kube-api-qps", 5.0, "Requests a second to the API server.");
    set.int("kube-api-burst", 10, "Requests at once to the API server.");
    set.string(
        "hostname-override",
        "",
        "Name of the Node, if it isn't the host name.",
    );
    set.string(
        "bind-address",
        "0.0.0.0",
        "The node's primary address, if it isn't the Node object's.",
    );
    set.string(
        "healthz-bind-address",
        "0.0.0.0:10256",
        "Where health is served; empty for nowhere.",
    );
    set.string(
        "metrics-bind-address",
        "127.0.0.1:10249",
        "Where metrics are served; empty for nowhere.",
    );
    set.switch(
        "bind-address-hard-fail",
        false,
        "Exit when a port can't be opened.",
    );
    set.string("proxy-mode", "", "iptables (default) or nftables.");
    set.int(
        "iptables-masquerade-bit",
        14,
        "Bit of the packet mark that asks for source NAT.",
    );
    set.switch(
        "masquerade-all",
        false,
        "Use source NAT for all traffic to cluster IPs.",
    );
    set.switch(
        "iptables-localhost-nodeports",
        true,
        "Open node ports on 127.0.0.1 (iptables, IPv4).",
    );
    set.duration(
        "iptables-sync-period",
        "30s",
        "How often rules are checked for flushes, and failures retried.",
    );
    set.duration("iptables-min-sync-period", "1s", "Least time between two syncs.");
    set.string(
        "detect-local-mode",
        "",
        "ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix.",
    );
    set.string(
        "pod-bridge-interface",
        "",
        "The bridge that pods are on, in mode BridgeInterface.",
    );
    set.string(
        "pod-interface-name-prefix",
        "",
        "How pods' interfaces begin, in mode InterfaceNamePrefix.",
    );
    set.string("cluster-cidr", "", "Ranges of all pods, in mode ClusterCIDR.");
    set.strings(
        "nodeport-addresses",
        "",
        "Ranges of the addresses that have node ports, or 'primary'.",
    );
    set.int("oom-score-adj", -999, "Adjustment of the process's OOM score.");
    set.int(
        "conntrack-max-per-core",
        32_768,
        "Tracked connections a core; 0 leaves the limit.",
    );
    set.int("conntrack-min", 131_072, "Tracked connections at least.");
    set.duration(
        "conntrack-tcp-timeout-established",
        "24h0m0s",
        "Idle timeout of TCP connections; 0 leaves it.",
    );
    set.duration(
        "conntrack-tcp-timeout-close-wait",
        "1h0m0s",
        "Timeout of half-closed TCP connections.",
    );
    set.switch(
        "conntrack-tcp-be-liberal",
        false,
        "Tolerate out-of-window TCP packets.",
    );
    set.duration(
        "conntrack-udp-timeout",
        "0s",
        "Timeout of unanswered UDP flows; 0 leaves it.",
    );
    set.duration(
        "conntrack-udp-timeout-stream",
        "0s",
        "Timeout of answered UDP flows; 0 leaves it.",
    );
    features::add_flag(&mut set);
    set.known(KUBE_PROXY);
    set
}

impl Options {
    pub fn new(values: &Values) -> Result<Self, Error> {
        let path = values.non_empty("config").map(PathBuf::from);
        // Noted before it is read: a change in between is noticed then.
        let file = path.clone().map(Watched::new).transpose()?;
        let mut config = match path {
            Some(path) => config::read(&path)?,
            None => from_flags(values)?,
        };
        let name = values.string("hostname-override").trim().to_lowercase();
        if !name.is_empty() {
            config.hostname_override = name;
        }
        config.client.server = values.non_empty("master").map(str::to_owned);
        config.validate()?;
        Ok(Self {
            config,
            file,
            cleanup: values.bool("cleanup"),
            init_only: values.bool("init-only"),
        })
    }
}

fn from_flags(values: &Values) -> Result<Config, Error> {
    let mut config = Config::default();
    config.gates.set_from(values)?;
    config.client.kubeconfig = values.non_empty("kubeconfig").map(PathBuf::from);
    config.client.qps = values.float("kube-api-qps") as f32;
    config.client.burst = integer(values, "kube-api-burst")?;
    config.bind_address = ip("bind-address", values.string("bind-address"))?;
    let at = |name, port| {
        values
            .non_empty(name)
            .map(|text| address(name, text, port))
            .transpose()
    };
    config.healthz_bind_address = at("healthz-bind-address", 10256)?;
    config.metrics_bind_address = at("metrics-bind-address", 10249)?;
    config.bind_address_hard_fail = values.bool("bind-address-hard-fail");
    config.mode = Mode::parse(values.string("proxy-mode"))?;
    config.masquerade_bit = integer(values, "iptables-masquerade-bit")?;
    config.masquerade_all = values.bool("masquerade-all");
    config.localhost_node_ports = values.bool("iptables-localhost-nodeports");
    config.sync_period = values.duration("iptables-sync-period");
    config.min_sync_period = values.duration("iptables-min-sync-period");
    config.detect_local = detect_local(
        values.string("detect-local-mode"),
        values.string("cluster-cidr"),
        values.string("pod-bridge-interface").to_owned(),
        values.string("pod-interface-name-prefix").to_owned(),
    )?;
    config.node_port_addresses = node_port_addresses(values.strings("nodeport-addresses"))?;
    config.oom_score_adj = Some(integer(values, "oom-score-adj")?);
    conntrack_from_flags(values, &mut config)?;
    Ok(config)
}

fn conntrack_from_flags(values: &Values, config: &mut Config) -> Result<(), Error> {
    let conntrack = &mut config.conntrack;
    conntrack.max_per_core = Some(integer(values, "conntrack-max-per-core")?);
    conntrack.min = Some(integer(values, "conntrack-min")?);
    conntrack.tcp_established_timeout = Some(values.duration("conntrack-tcp-timeout-established"));
    conntrack.tcp_close_wait_timeout = Some(values.duration("conntrack-tcp-timeout-close-wait"));
    conntrack.tcp_be_liberal = values.bool("conntrack-tcp-be-liberal");
    conntrack.udp_timeout = values.duration("conntrack-udp-timeout");
    conntrack.udp_stream_timeout = values.duration("conntrack-udp-timeout-stream");
    Ok(())
}

fn integer<N: TryFrom<i64>>(values: &Values, flag: &'static str) -> Result<N, Error> {
    let value = values.int(flag);
    N::try_from(value).map_err(|_| Error::Invalid {
        field: flag,
        value: value.to_string(),
        reason: "is out of range",
    })
}
