use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};

use super::rules::{ContainerKind, Elements, compile};
use super::transaction::{Applied, Found, difference};
use crate::scenario::Scenario;

/// Per-service chains and all elements of a state.
fn check(text: &str, expected: Expect) {
    let scenario = Scenario::parse(text);
    let (rules, _) = compile(&scenario.input());
    let mut shown = String::new();
    for (name, chain) in rules.chains.iter().filter(|(name, _)| name.contains('/')) {
        for rule in &chain.rules {
            shown.push_str(&format!("{name}: {rule}\n"));
        }
    }
    for (name, container) in &rules.containers {
        match &container.elements {
            Elements::Dynamic => shown.push_str(&format!("@{name} dynamic\n")),
            Elements::Listed(elements) => {
                for (key, value) in elements {
                    shown.push_str(&format!("@{name} {key} {value}\n"));
                }
            }
        }
    }
    expected.assert_eq(&shown);
}

fn check_change(from: &str, to: &str, expected: Expect) {
    let (from, to) = (Scenario::parse(from), Scenario::parse(to));
    let applied = Applied::Known(compile(&from.input()).0);
    let transaction = difference(&applied, &compile(&to.input()).0);
    expected.assert_eq(&format!(
        "{}stale: {:?}",
        transaction.text, transaction.stale_chains
    ));
}

#[test]
fn a_cluster_ip_is_balanced_over_its_endpoints() {
    check(
        "service ns1/svc1:p80 tcp 172.30.0.41:80 nodeport=3001
         endpoint 10.180.0.1:80 local
         endpoint 10.180.0.2:80",
        expect![[r#"
            external-ULMVA6XW-ns1/svc1/tcp/p80: meta mark set meta mark or 0x00004000 comment "masquerade"
            external-ULMVA6XW-ns1/svc1/tcp/p80: goto service-ULMVA6XW-ns1/svc1/tcp/p80
            service-ULMVA6XW-ns1/svc1/tcp/p80: meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.180.0.1 . 80, 1 : 10.180.0.2 . 80 }
            @cluster-ips 172.30.0.41 
            @hairpin-connections 10.180.0.1 . 10.180.0.1 . tcp . 80 
            @service-ips 172.30.0.41 . tcp . 80 goto service-ULMVA6XW-ns1/svc1/tcp/p80
            @service-nodeports tcp . 3001 goto external-ULMVA6XW-ns1/svc1/tcp/p80
        "#]],
    );
}

#[test]
fn a_local_policy_keeps_sources_and_short_circuits_the_node() {
    check(
        "node cidr=10.0.0.0/8
         service ns1/svc1:p80 tcp 172.30.0.41:80 nodeport=3001 external=Local vip=1.2.3.4 source=203.0.113.0/25 source=192.0.2.0/24
         endpoint 10.180.0.1:80
         endpoint 10.180.0.2:80 local",
        expect![[r#"
            external-ULMVA6XW-ns1/svc1/tcp/p80: ip saddr 10.0.0.0/8 goto service-ULMVA6XW-ns1/svc1/tcp/p80 comment "short-circuit pod traffic"
            external-ULMVA6XW-ns1/svc1/tcp/p80: fib saddr type local meta mark set meta mark or 0x00004000 comment "masquerade local traffic"
            external-ULMVA6XW-ns1/svc1/tcp/p80: fib saddr type local goto service-ULMVA6XW-ns1/svc1/tcp/p80 comment "short-circuit local traffic"
            external-ULMVA6XW-ns1/svc1/tcp/p80: goto local-ULMVA6XW-ns1/svc1/tcp/p80
            firewall-ULMVA6XW-ns1/svc1/tcp/p80: ip saddr != { 203.0.113.0/25, 192.0.2.0/24, 1.2.3.4 } drop
            local-ULMVA6XW-ns1/svc1/tcp/p80: meta l4proto tcp dnat ip addr . port to numgen random mod 1 map { 0 : 10.180.0.2 . 80 }
            service-ULMVA6XW-ns1/svc1/tcp/p80: meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.180.0.1 . 80, 1 : 10.180.0.2 . 80 }
            @cluster-ips 172.30.0.41 
            @firewall-ips 1.2.3.4 . tcp . 80 goto firewall-ULMVA6XW-ns1/svc1/tcp/p80
            @hairpin-connections 10.180.0.2 . 10.180.0.2 . tcp . 80 
            @service-ips 1.2.3.4 . tcp . 80 goto external-ULMVA6XW-ns1/svc1/tcp/p80
            @service-ips 172.30.0.41 . tcp . 80 goto service-ULMVA6XW-ns1/svc1/tcp/p80
            @service-nodeports tcp . 3001 goto external-ULMVA6XW-ns1/svc1/tcp/p80
        "#]],
    );
}

#[test]
fn traffic_that_nobody_serves_is_refused() {
    check(
        "service ns1/svc1:p80 tcp 172.30.0.41:80 nodeport=3001 external-ip=192.168.99.11 vip=1.2.3.4
         service ns1/svc2 udp 172.30.0.42:53 nodeport=3002 external=Local
         endpoint 10.180.0.1:53",
        expect![[r#"
            external-FZBRUHDI-ns1/svc2/udp/: fib saddr type local meta mark set meta mark or 0x00004000 comment "masquerade local traffic"
            external-FZBRUHDI-ns1/svc2/udp/: fib saddr type local goto service-FZBRUHDI-ns1/svc2/udp/ comment "short-circuit local traffic"
            service-FZBRUHDI-ns1/svc2/udp/: meta l4proto udp dnat ip addr . port to numgen random mod 1 map { 0 : 10.180.0.1 . 53 }
            @cluster-ips 172.30.0.41 
            @cluster-ips 172.30.0.42 
            @no-endpoint-nodeports tcp . 3001 goto reject-chain
            @no-endpoint-nodeports udp . 3002 drop
            @no-endpoint-services 1.2.3.4 . tcp . 80 goto reject-chain
            @no-endpoint-services 172.30.0.41 . tcp . 80 goto reject-chain
            @no-endpoint-services 192.168.99.11 . tcp . 80 goto reject-chain
            @service-ips 172.30.0.42 . udp . 53 goto service-FZBRUHDI-ns1/svc2/udp/
            @service-nodeports udp . 3002 goto external-FZBRUHDI-ns1/svc2/udp/
        "#]],
    );
}

#[test]
fn affinity_remembers_clients() {
    check(
        "node family=IPv6\n service ns1/svc1:p80 tcp [fd00::41]:80 affinity=10800\n endpoint [fd00:10::1]:80",
        expect![[r#"
            endpoint-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80: update @affinity-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80 { ip6 saddr timeout 10800s }
            endpoint-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80: meta l4proto tcp dnat to [fd00:10::1]:80
            service-ULMVA6XW-ns1/svc1/tcp/p80: ip6 saddr @affinity-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80 goto endpoint-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80
            service-ULMVA6XW-ns1/svc1/tcp/p80: numgen random mod 1 vmap { 0 : goto endpoint-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80 }
            @affinity-YO76WRLM-ns1/svc1/tcp/p80__fd00.10..1/80 dynamic
            @cluster-ips fd00::41 
            @service-ips fd00::41 . tcp . 80 goto service-ULMVA6XW-ns1/svc1/tcp/p80
        "#]],
    );
}

#[test]
fn the_whole_table() {
    let scenario =
        Scenario::parse("node cidr=10.0.0.0/8 nodeports=192.0.2.1,127.0.0.1 service-cidr=172.30.0.0/16");
    let found = Found {
        chains: BTreeSet::from(["nat-output".to_owned(), "service-OLD-a/b/tcp/c".to_owned()]),
        containers: BTreeMap::from([
            ("service-ips".to_owned(), ContainerKind::Map),
            ("affinity-OLD".to_owned(), ContainerKind::Set),
        ]),
    };
    let transaction = difference(&Applied::Found(found), &compile(&scenario.input()).0);
    assert_eq!(transaction.stale_chains, ["service-OLD-a/b/tcp/c"]);
    expect![[r#"
        add table ip kube-proxy
        delete chain ip kube-proxy nat-output
        add set ip kube-proxy cluster-ips { type ipv4_addr; }
        add map ip kube-proxy firewall-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
        add set ip kube-proxy hairpin-connections { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }
        add map ip kube-proxy no-endpoint-nodeports { type inet_proto . inet_service : verdict; }
        add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict; }
        add set ip kube-proxy nodeport-ips { type ipv4_addr; }
        add map ip kube-proxy service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }
        flush map ip kube-proxy service-ips
        add map ip kube-proxy service-nodeports { type inet_proto . inet_service : verdict; }
        add chain ip kube-proxy cluster-ips-check
        flush chain ip kube-proxy cluster-ips-check
        add chain ip kube-proxy filter-forward { type filter hook forward priority filter; }
        flush chain ip kube-proxy filter-forward
        add chain ip kube-proxy filter-input { type filter hook input priority filter; }
        flush chain ip kube-proxy filter-input
        add chain ip kube-proxy filter-output { type filter hook output priority filter; }
        flush chain ip kube-proxy filter-output
        add chain ip kube-proxy filter-output-pre-dnat { type filter hook output priority -110; }
        flush chain ip kube-proxy filter-output-pre-dnat
        add chain ip kube-proxy filter-prerouting-pre-dnat { type filter hook prerouting priority dstnat - 10; }
        flush chain ip kube-proxy filter-prerouting-pre-dnat
        add chain ip kube-proxy firewall-check
        flush chain ip kube-proxy firewall-check
        add chain ip kube-proxy masquerading
        flush chain ip kube-proxy masquerading
        add chain ip kube-proxy nat-output { type nat hook output priority -100; }
        flush chain ip kube-proxy nat-output
        add chain ip kube-proxy nat-postrouting { type nat hook postrouting priority srcnat; }
        flush chain ip kube-proxy nat-postrouting
        add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority dstnat; }
        flush chain ip kube-proxy nat-prerouting
        add chain ip kube-proxy nodeport-endpoints-check
        flush chain ip kube-proxy nodeport-endpoints-check
        add chain ip kube-proxy reject-chain
        flush chain ip kube-proxy reject-chain
        add chain ip kube-proxy service-endpoints-check
        flush chain ip kube-proxy service-endpoints-check
        add chain ip kube-proxy services
        flush chain ip kube-proxy services
        flush chain ip kube-proxy service-OLD-a/b/tcp/c
        add rule ip kube-proxy cluster-ips-check ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
        add rule ip kube-proxy cluster-ips-check ip daddr { 172.30.0.0/16 } drop comment "Drop traffic to unallocated ClusterIPs"
        add rule ip kube-proxy filter-forward ct state new jump service-endpoints-check
        add rule ip kube-proxy filter-forward ct state new jump cluster-ips-check
        add rule ip kube-proxy filter-input ct state new jump nodeport-endpoints-check
        add rule ip kube-proxy filter-input ct state new jump service-endpoints-check
        add rule ip kube-proxy filter-output ct state new jump service-endpoints-check
        add rule ip kube-proxy filter-output ct state new jump cluster-ips-check
        add rule ip kube-proxy filter-output-pre-dnat ct state new jump firewall-check
        add rule ip kube-proxy filter-prerouting-pre-dnat ct state new jump firewall-check
        add rule ip kube-proxy firewall-check ip daddr . meta l4proto . th dport vmap @firewall-ips
        add rule ip kube-proxy masquerading meta mark and 0x00004000 != 0 meta mark set meta mark xor 0x00004000 masquerade fully-random
        add rule ip kube-proxy masquerading ct status dnat ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random
        add rule ip kube-proxy nat-output jump services
        add rule ip kube-proxy nat-postrouting jump masquerading
        add rule ip kube-proxy nat-prerouting jump services
        add rule ip kube-proxy nodeport-endpoints-check ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
        add rule ip kube-proxy reject-chain reject
        add rule ip kube-proxy service-endpoints-check ip daddr . meta l4proto . th dport vmap @no-endpoint-services
        add rule ip kube-proxy services ip daddr @cluster-ips ip saddr != 10.0.0.0/8 meta mark set meta mark or 0x00004000 comment "masquerade clusterIP traffic from outside cluster"
        add rule ip kube-proxy services ip daddr . meta l4proto . th dport vmap @service-ips
        add rule ip kube-proxy services ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
        add element ip kube-proxy nodeport-ips { 192.0.2.1 }
        delete set ip kube-proxy affinity-OLD
    "#]].assert_eq(&transaction.text);
}

const ONE: &str = "service ns1/svc1:p80 tcp 172.30.0.41:80\n endpoint 10.180.0.1:80";
const TWO: &str = "service ns1/svc1:p80 tcp 172.30.0.41:80\n endpoint 10.180.0.1:80\n endpoint 10.180.0.2:80
                   service ns2/svc2 tcp 172.30.0.42:80";

#[test]
fn only_differences_are_applied() {
    check_change(ONE, ONE, expect!["stale: []"]);
    check_change(
        ONE,
        TWO,
        expect![[r#"
        add chain ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80
        flush chain ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80
        add rule ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80 meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.180.0.1 . 80, 1 : 10.180.0.2 . 80 }
        add element ip kube-proxy cluster-ips { 172.30.0.42 }
        add element ip kube-proxy no-endpoint-services { 172.30.0.42 . tcp . 80 : goto reject-chain }
        stale: []"#]],
    );
    check_change(
        TWO,
        "",
        expect![[r#"
        flush chain ip kube-proxy service-ULMVA6XW-ns1/svc1/tcp/p80
        delete element ip kube-proxy cluster-ips { 172.30.0.41, 172.30.0.42 }
        delete element ip kube-proxy no-endpoint-services { 172.30.0.42 . tcp . 80 : goto reject-chain }
        delete element ip kube-proxy service-ips { 172.30.0.41 . tcp . 80 : goto service-ULMVA6XW-ns1/svc1/tcp/p80 }
        stale: ["service-ULMVA6XW-ns1/svc1/tcp/p80"]"#]],
    );
}
