//! Reading `KubeProxyConfiguration` from a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use component_base::config::{self as document, Object};

use super::{
    Config, Error, HEALTHZ_PORT, METRICS_PORT, Mode, address, detect_local, ip, node_port_addresses,
};

const API_VERSION: &str = "kubeproxy.config.k8s.io/v1alpha1";
const KIND: &str = "KubeProxyConfiguration";

/// Reads a file strictly: a field that doesn't exist is an error. Zero values mean the default, as upstream.
pub fn read(path: &Path) -> Result<Config, Error> {
    from_object(document::load(path)?.expect(KIND, &[API_VERSION])?)
}

pub(super) fn from_object(mut root: Object) -> Result<Config, Error> {
    let mut config = Config::default();
    if let Some(gates) = root.map("featureGates")? {
        config.gates.set(&gates)?;
    }
    read_client(&mut root, &mut config)?;
    config.hostname_override = root.string("hostnameOverride")?.unwrap_or_default();
    read_addresses(&mut root, &mut config)?;
    config.mode = Mode::parse(&root.string("mode")?.unwrap_or_default())?;
    read_backends(&mut root, &mut config)?;
    read_detect_local(&mut root, &mut config)?;
    config.node_port_addresses =
        node_port_addresses(&root.strings("nodePortAddresses")?.unwrap_or_default())?;
    if let Some(score) = root.int("oomScoreAdj")? {
        config.oom_score_adj = Some(narrow("oomScoreAdj", score)?);
    }
    read_conntrack(&mut root, &mut config)?;
    for field in root.ignore(&[
        "logging",
        "enableProfiling",
        "showHiddenMetricsForVersion",
        "ipvs",
        "winkernel",
        "configSyncPeriod",
        "portRange",
        "windowsRunAsService",
    ]) {
        tracing::debug!(field, "configuration field has no effect");
    }
    root.finish()?;
    Ok(config)
}

fn read_client(root: &mut Object, config: &mut Config) -> Result<(), Error> {
    let Some(mut client) = root.object("clientConnection")? else {
        return Ok(());
    };
    config.client.kubeconfig = client
        .string("kubeconfig")?
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    if let Some(qps) = client.float("qps")?.filter(|qps| *qps != 0.0) {
        config.client.qps = qps as f32;
    }
    if let Some(burst) = client.int("burst")?.filter(|burst| *burst != 0) {
        config.client.burst = narrow("clientConnection.burst", burst)?;
    }
    client.ignore(&["acceptContentTypes", "contentType"]);
    Ok(client.finish()?)
}

fn read_addresses(root: &mut Object, config: &mut Config) -> Result<(), Error> {
    if let Some(bind) = non_empty(root.string("bindAddress")?) {
        config.bind_address = ip("bindAddress", &bind)?;
    }
    let (healthz, metrics) = Config::default_addresses(config.bind_address);
    config.healthz_bind_address = Some(match non_empty(root.string("healthzBindAddress")?) {
        Some(text) => address("healthzBindAddress", &text, HEALTHZ_PORT)?,
        None => healthz,
    });
    config.metrics_bind_address = Some(match non_empty(root.string("metricsBindAddress")?) {
        Some(text) => address("metricsBindAddress", &text, METRICS_PORT)?,
        None => metrics,
    });
    config.bind_address_hard_fail = root.bool("bindAddressHardFail")?.unwrap_or(false);
    Ok(())
}

/// The section of the mode that is in use; the other is checked as well.
fn read_backends(root: &mut Object, config: &mut Config) -> Result<(), Error> {
    for (name, mode) in [("iptables", Mode::IpTables), ("nftables", Mode::NfTables)] {
        let Some(mut section) = root.object(name)? else {
            continue;
        };
        let mut copy = config.clone();
        if let Some(bit) = section.int("masqueradeBit")? {
            copy.masquerade_bit = narrow("masqueradeBit", bit)?;
        }
        copy.masquerade_all = section.bool("masqueradeAll")?.unwrap_or(copy.masquerade_all);
        copy.sync_period = set(section.duration("syncPeriod")?).unwrap_or(copy.sync_period);
        copy.min_sync_period = set(section.duration("minSyncPeriod")?).unwrap_or(copy.min_sync_period);
        if mode == Mode::IpTables {
            copy.localhost_node_ports = section
                .bool("localhostNodePorts")?
                .unwrap_or(copy.localhost_node_ports);
        }
        section.finish()?;
        if config.mode == mode {
            *config = copy;
        }
    }
    Ok(())
}

fn read_detect_local(root: &mut Object, config: &mut Config) -> Result<(), Error> {
    let mode = root.string("detectLocalMode")?.unwrap_or_default();
    let cluster_cidrs = root.string("clusterCIDR")?.unwrap_or_default();
    let (mut bridge, mut prefix) = (String::new(), String::new());
    if let Some(mut section) = root.object("detectLocal")? {
        bridge = section.string("bridgeInterface")?.unwrap_or_default();
        prefix = section.string("interfaceNamePrefix")?.unwrap_or_default();
        section.finish()?;
    }
    config.detect_local = detect_local(&mode, &cluster_cidrs, bridge, prefix)?;
    Ok(())
}

fn read_conntrack(root: &mut Object, config: &mut Config) -> Result<(), Error> {
    let Some(mut section) = root.object("conntrack")? else {
        return Ok(());
    };
    let conntrack = &mut config.conntrack;
    if let Some(value) = section.int("maxPerCore")? {
        conntrack.max_per_core = Some(narrow("conntrack.maxPerCore", value)?);
    }
    if let Some(value) = section.int("min")? {
        conntrack.min = Some(narrow("conntrack.min", value)?);
    }
    // Here a zero says "leave the kernel's", and only absence means the default.
    if let Some(timeout) = section.duration("tcpEstablishedTimeout")? {
        conntrack.tcp_established_timeout = Some(timeout);
    }
    if let Some(timeout) = section.duration("tcpCloseWaitTimeout")? {
        conntrack.tcp_close_wait_timeout = Some(timeout);
    }
    conntrack.tcp_be_liberal = section.bool("tcpBeLiberal")?.unwrap_or(false);
    conntrack.udp_timeout = section.duration("udpTimeout")?.unwrap_or_default();
    conntrack.udp_stream_timeout = section.duration("udpStreamTimeout")?.unwrap_or_default();
    Ok(section.finish()?)
}

fn non_empty(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn set(duration: Option<Duration>) -> Option<Duration> {
    duration.filter(|duration| !duration.is_zero())
}

fn narrow<N: TryFrom<i64>>(field: &'static str, value: i64) -> Result<N, Error> {
    N::try_from(value).map_err(|_| Error::Invalid {
        field,
        value: value.to_string(),
        reason: "is out of range",
    })
}
