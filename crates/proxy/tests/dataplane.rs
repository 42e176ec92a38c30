//! Real packets through real rules: a client, a node and a pod in network namespaces of their own.
//!
//! Needs root and the tools; says so and passes where they are missing.

#![allow(clippy::unwrap_used, clippy::panic)]

mod network;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use network::Network;
use proxy::command::Runner;
use proxy::iptables;
use proxy::local_detector::LocalDetector;
use proxy::model::*;
use proxy::nftables;
use proxy::rules::{Input, NodePortDestinations, Settings};
use proxy::topology::NodeTopology;

enum Backend {
    IpTables(iptables::backend::Backend),
    NfTables(nftables::backend::Backend),
}

struct State {
    settings: Settings,
    node: NodeTopology,
    service_ports: BTreeMap<ServicePortName, ServicePort>,
    endpoints: BTreeMap<ServicePortName, Vec<Endpoint>>,
}

impl State {
    fn new() -> Self {
        Self {
            settings: Settings {
                family: Family::V4,
                masquerade_all: false,
                masquerade_bit: 14,
                local_detector: LocalDetector::Cidr("10.180.0.0/16".parse().unwrap()),
                node_ports: NodePortDestinations::AllLocal,
                localhost_node_ports: false,
                conntrack_tcp_liberal: false,
                node_ip: network::NODE.parse().unwrap(),
                random_fully: true,
            },
            node: NodeTopology {
                name: "node".to_owned(),
                zone: String::new(),
            },
            service_ports: BTreeMap::new(),
            endpoints: BTreeMap::new(),
        }
    }

    fn service(&mut self, name: &str, protocol: Protocol, ip: &str, port: u16) -> &mut ServicePort {
        let value = ServicePort {
            cluster_ip: ip.parse().unwrap(),
            port,
            node_port: None,
            external_ips: Vec::new(),
            load_balancer_vips: Vec::new(),
            source_ranges: Vec::new(),
            affinity_seconds: None,
            health_check_node_port: None,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
        };
        self.service_ports.entry(key(name, protocol)).or_insert(value)
    }

    fn endpoints(&mut self, name: &str, protocol: Protocol, addresses: &[&str]) {
        let endpoint = |address: &&str| Endpoint {
            address: address.parse().unwrap(),
            local: true,
            ready: true,
            serving: true,
            terminating: false,
            zone_hints: [].into(),
            node_hints: [].into(),
        };
        self.endpoints
            .insert(key(name, protocol), addresses.iter().map(endpoint).collect());
    }

    fn input(&self) -> Input<'_> {
        Input {
            settings: &self.settings,
            node: &self.node,
            service_ports: &self.service_ports,
            endpoints: &self.endpoints,
            service_cidrs: &[],
        }
    }
}

fn key(name: &str, protocol: Protocol) -> ServicePortName {
    ServicePortName {
        service: ServiceName::new("test", name),
        port: "".into(),
        protocol,
    }
}

impl Backend {
    async fn sync(&mut self, state: &State) {
        match self {
            Backend::IpTables(backend) => {
                backend
                    .sync(&iptables::rules::compile(&state.input()).0)
                    .await
                    .unwrap();
            }
            Backend::NfTables(backend) => {
                backend
                    .sync(nftables::rules::compile(&state.input()).0, Instant::now())
                    .await
                    .unwrap();
            }
        }
    }

    async fn intact(&self) -> bool {
        match self {
            Backend::IpTables(backend) => backend.intact().await,
            Backend::NfTables(backend) => backend.intact().await,
        }
    }

    fn invalidate(&mut self) {
        match self {
            Backend::IpTables(backend) => backend.invalidate(),
            Backend::NfTables(backend) => backend.invalidate(),
        }
    }

    async fn cleanup(&mut self) {
        match self {
            Backend::IpTables(backend) => backend.cleanup().await.unwrap(),
            Backend::NfTables(backend) => backend.cleanup().await.unwrap(),
        }
    }
}

const WEB: &str = "172.30.0.1:80";
const DNS: &str = "172.30.0.2:53";
const NODE_PORT: &str = "192.0.2.1:30080";

/// One story, told to each backend.
async fn serves_traffic(network: &Network, mut backend: Backend, flush: &[&str]) {
    let mut state = State::new();
    state.service("web", Protocol::Tcp, "172.30.0.1", 80).node_port = Some(30080);
    state.service("dns", Protocol::Udp, "172.30.0.2", 53);
    backend.sync(&state).await;
    assert_eq!(
        network.tcp(WEB),
        Err(ErrorKind::ConnectionRefused),
        "no endpoints: rejected"
    );
    assert_eq!(
        network.tcp(NODE_PORT),
        Err(ErrorKind::ConnectionRefused),
        "no endpoints: rejected"
    );

    state.endpoints("web", Protocol::Tcp, &["10.180.0.2:8080", "10.180.0.2:8081"]);
    state.endpoints("dns", Protocol::Udp, &["10.180.0.2:5353"]);
    backend.sync(&state).await;
    let mut answers: Vec<_> = (0..40).filter_map(|_| network.tcp(WEB).ok()).collect();
    assert_eq!(answers.len(), 40, "every connection arrives");
    answers.sort();
    answers.dedup();
    assert_eq!(answers, ["8080", "8081"], "both endpoints are used");
    assert!(network.tcp(NODE_PORT).is_ok(), "the node port answers");
    assert_eq!(network.udp(DNS).as_deref(), Ok("5353"));
    assert!(
        network.tcp_from_node(WEB).is_ok(),
        "the node itself reaches the service"
    );
    assert!(
        network.tcp_from_pod(WEB).is_ok(),
        "an endpoint reaches itself through the service"
    );

    state.endpoints("web", Protocol::Tcp, &["10.180.0.2:8081"]);
    backend.sync(&state).await;
    assert!(
        (0..10).all(|_| network.tcp(WEB).as_deref() == Ok("8081")),
        "the endpoint that left gets nothing"
    );

    state.endpoints("web", Protocol::Tcp, &["10.180.0.2:8080", "10.180.0.2:8081"]);
    state
        .service("web", Protocol::Tcp, "172.30.0.1", 80)
        .affinity_seconds = Some(60);
    backend.sync(&state).await;
    let first = network.tcp(WEB).unwrap();
    assert!(
        (0..10).all(|_| network.tcp(WEB).as_ref() == Ok(&first)),
        "the client sticks to its endpoint"
    );

    assert!(backend.intact().await);
    network.in_node(flush);
    assert!(!backend.intact().await, "a flush is noticed");
    backend.invalidate();
    backend.sync(&state).await;
    assert!(network.tcp(WEB).is_ok(), "a full sync restores the rules");

    state.service_ports.clear();
    state.endpoints.clear();
    backend.sync(&state).await;
    std::thread::sleep(Duration::from_millis(1100));
    backend.sync(&state).await;
    backend.cleanup().await;
    assert!(!backend.intact().await);
}

#[tokio::test]
async fn iptables_serves_traffic() {
    let Some(network) = Network::new("ipt") else {
        return;
    };
    let backend = Backend::IpTables(iptables::backend::Backend::new(network.runner(), Family::V4));
    let flush =
        "iptables -t nat -F && iptables -t nat -X && iptables -F && iptables -X && iptables -t mangle -X";
    serves_traffic(&network, backend, &["sh", "-c", flush]).await;
    let left = network.in_node(&["iptables-save"]);
    assert!(!left.contains("KUBE-"), "cleanup leaves nothing:\n{left}");
}

#[tokio::test]
async fn nftables_serves_traffic() {
    let Some(network) = Network::new("nft") else {
        return;
    };
    let backend = Backend::NfTables(nftables::backend::Backend::new(network.runner(), Family::V4));
    serves_traffic(&network, backend, &["nft", "flush", "ruleset"]).await;
    let left = network.in_node(&["nft", "list", "tables"]);
    assert!(!left.contains("kube-proxy"), "cleanup leaves nothing:\n{left}");
}

/// A dual-stack node's other half: the same in IPv6.
async fn serves_ipv6(network: &Network, mut backend: Backend) {
    let mut state = State::new();
    state.settings.family = Family::V6;
    state.settings.local_detector = LocalDetector::Cidr("fd00:180::/64".parse().unwrap());
    state.settings.node_ip = "2001:db8::1".parse().unwrap();
    state.service("web", Protocol::Tcp, "fd00:172::1", 80).node_port = Some(30080);
    state
        .service("dns", Protocol::Udp, "fd00:172::2", 53)
        .affinity_seconds = Some(60);
    backend.sync(&state).await;
    assert_eq!(network.tcp("[fd00:172::1]:80"), Err(ErrorKind::ConnectionRefused));
    state.endpoints("web", Protocol::Tcp, &["[fd00:180::2]:8080"]);
    state.endpoints("dns", Protocol::Udp, &["[fd00:180::2]:5353"]);
    backend.sync(&state).await;
    assert_eq!(network.tcp("[fd00:172::1]:80").as_deref(), Ok("8080"));
    assert_eq!(network.tcp("[2001:db8::1]:30080").as_deref(), Ok("8080"));
    assert_eq!(network.tcp_from_pod("[fd00:172::1]:80").as_deref(), Ok("8080"));
    assert_eq!(network.udp("[fd00:172::2]:53").as_deref(), Ok("5353"));
    backend.cleanup().await;
}

#[tokio::test]
async fn ip6tables_serves_traffic() {
    let Some(network) = Network::new("ip6") else {
        return;
    };
    let backend = iptables::backend::Backend::new(network.runner(), Family::V6);
    serves_ipv6(&network, Backend::IpTables(backend)).await;
}

#[tokio::test]
async fn nftables_serves_ipv6() {
    let Some(network) = Network::new("nf6") else {
        return;
    };
    let backend = nftables::backend::Backend::new(network.runner(), Family::V6);
    serves_ipv6(&network, Backend::NfTables(backend)).await;
}

#[tokio::test]
async fn nftables_replaces_what_it_finds() {
    let Some(network) = Network::new("nfr") else {
        return;
    };
    let mut state = State::new();
    state
        .service("web", Protocol::Tcp, "172.30.0.1", 80)
        .affinity_seconds = Some(60);
    state.endpoints("web", Protocol::Tcp, &["10.180.0.2:8080", "10.180.0.2:8081"]);
    let backend = || Backend::NfTables(nftables::backend::Backend::new(network.runner(), Family::V4));
    backend().sync(&state).await;
    let first = network.tcp(WEB).unwrap();
    // A restarted proxy knows nothing, keeps clients' affinities, and removes what is no longer wanted.
    state.service("other", Protocol::Tcp, "172.30.0.3", 80);
    state.endpoints("other", Protocol::Tcp, &["10.180.0.2:8080"]);
    backend().sync(&state).await;
    assert!(
        (0..10).all(|_| network.tcp(WEB).as_ref() == Ok(&first)),
        "the client sticks to its endpoint"
    );
    state.service_ports.remove(&key("other", Protocol::Tcp));
    backend().sync(&state).await;
    let rules = network.in_node(&["nft", "list", "map", "ip", "kube-proxy", "service-ips"]);
    assert!(
        rules.contains("172.30.0.1") && !rules.contains("172.30.0.3"),
        "{rules}"
    );
}

#[test]
fn a_runner_says_what_failed() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(Runner::default().run("sh", &["-c", "echo broken >&2; exit 3"], None))
        .unwrap_err();
    assert_eq!(error.to_string(), "sh failed (exit status: 3): broken");
}
