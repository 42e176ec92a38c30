use component_base::config::Document;
use component_base::options::Invocation;

use super::*;
use crate::options::{Options, flags};

fn read(text: &str) -> Result<Config, Error> {
    let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";
    let document = Document::parse(&format!("{head}{text}"))?;
    file::from_object(document.expect("KubeProxyConfiguration", &["kubeproxy.config.k8s.io/v1alpha1"])?)
}

fn parse(arguments: &[&str]) -> Config {
    let Invocation::Run(values) = flags().parse(arguments.iter().copied()).unwrap() else {
        panic!("printed")
    };
    Options::new(&values).unwrap().config
}

#[test]
fn an_empty_file_means_upstreams_defaults() {
    let config = read("").unwrap();
    assert_eq!(
        config.healthz_bind_address,
        Some("0.0.0.0:10256".parse().unwrap())
    );
    assert_eq!(
        config.metrics_bind_address,
        Some("127.0.0.1:10249".parse().unwrap())
    );
    assert_eq!(
        (config.mode, config.masquerade_bit, config.localhost_node_ports),
        (Mode::IpTables, 14, true)
    );
    config.validate().unwrap();
}

#[test]
fn a_file_is_read_in_full() {
    let config = read(
        "mode: nftables
clientConnection: {kubeconfig: /etc/proxy.conf, qps: 50, burst: 100, contentType: application/json}
bindAddress: '::'
metricsBindAddress: 0.0.0.0
iptables: {masqueradeAll: true}
nftables: {masqueradeBit: 15, syncPeriod: 10s, minSyncPeriod: 0s}
detectLocalMode: InterfaceNamePrefix
detectLocal: {interfaceNamePrefix: veth}
nodePortAddresses: [192.0.2.0/24]
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s}
featureGates: {AllowServiceExternalIPs: false}",
    )
    .unwrap();
    assert_eq!(config.healthz_bind_address, Some("[::]:10256".parse().unwrap()));
    assert_eq!(
        config.metrics_bind_address,
        Some("0.0.0.0:10249".parse().unwrap())
    );
    assert_eq!(
        (config.mode, config.masquerade_bit, config.masquerade_all),
        (Mode::NfTables, 15, false)
    );
    assert_eq!(
        (config.sync_period.as_secs(), config.min_sync_period.as_secs()),
        (10, 1)
    );
    assert_eq!(
        config.detect_local,
        DetectLocal::InterfaceNamePrefix("veth".to_owned())
    );
    assert_eq!(
        config.node_port_addresses,
        NodePortAddresses::Ranges(vec!["192.0.2.0/24".parse().unwrap()])
    );
    assert_eq!(config.conntrack.max_per_core, Some(0));
    assert!(!config.gates.enabled("AllowServiceExternalIPs"));
}

#[test]
fn mistakes_are_named() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(
        error("nftable: {}"),
        r#"strict decoding error: unknown field "nftable""#
    );
    assert_eq!(
        error("mode: ipvs"),
        "mode ipvs is deprecated upstream and not supported: use nftables"
    );
    assert!(error("clusterCIDR: 10.0.0.0/33").contains("must be a valid CIDR value"));
    assert!(error("iptables: {masqueradeBit: 1000}").contains("out of range"));
    let config = read("iptables: {masqueradeBit: 32}").unwrap();
    assert!(config.validate().unwrap_err().to_string().contains("[0, 31]"));
}

#[test]
fn flags_say_the_same() {
    let config = parse(&[
        "--proxy-mode=nftables",
        "--cluster-cidr=10.244.0.0/16,fd00::/48",
        "--iptables-min-sync-period=2s",
        "--metrics-bind-address=",
        "--nodeport-addresses=primary",
        "--hostname-override= Node-1 ",
        "--masquerade-all",
    ]);
    assert_eq!(
        (
            config.mode,
            config.masquerade_all,
            config.min_sync_period.as_secs()
        ),
        (Mode::NfTables, true, 2)
    );
    assert_eq!(config.metrics_bind_address, None);
    assert_eq!(config.node_port_addresses, NodePortAddresses::Primary);
    assert_eq!(config.hostname_override, "node-1");
    let DetectLocal::ClusterCidr(cidrs) = config.detect_local else {
        panic!("another mode")
    };
    assert_eq!(cidrs.len(), 2);
}
