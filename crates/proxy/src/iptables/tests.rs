use expect_test::{Expect, expect};

use super::restore::{Applied, difference};
use super::rules::compile;
use crate::scenario::Scenario;

/// The whole restore input for a state, without the fixed chains' rules.
fn check(text: &str, expected: Expect) {
    let scenario = Scenario::parse(text);
    let (rules, _) = compile(&scenario.input());
    let mut shown = String::new();
    for (table, chains) in [("filter", &rules.filter.chains), ("nat", &rules.nat.chains)] {
        let rules = chains.values().flat_map(|chain| chain.text.lines());
        for rule in rules.filter(|rule| !fixed(rule)) {
            shown.push_str(&format!("{table} {rule}\n"));
        }
    }
    expected.assert_eq(&shown);
}

fn fixed(rule: &str) -> bool {
    ["-A KUBE-POSTROUTING", "-A KUBE-MARK-MASQ", "-A KUBE-FORWARD"]
        .iter()
        .any(|p| rule.starts_with(p))
        || rule.contains("kubernetes service nodeports")
}

/// The restore input that leads from one state to another.
fn check_change(from: &str, to: &str, expected: Expect) {
    let (from, to) = (Scenario::parse(from), Scenario::parse(to));
    let applied = Applied::of(&compile(&from.input()).0);
    expected.assert_eq(&difference(&applied, &compile(&to.input()).0).text);
}

#[test]
fn a_cluster_ip_is_balanced_over_its_endpoints() {
    check(
        "node cidr=10.0.0.0/8
         service ns1/svc1:p80 tcp 172.30.0.41:80
         endpoint 10.180.0.1:80 local
         endpoint 10.180.0.2:80",
        expect![[r#"
            nat -A KUBE-SEP-LXVODXWDISEETFEF -m comment --comment ns1/svc1:p80 -s 10.180.0.2 -j KUBE-MARK-MASQ
            nat -A KUBE-SEP-LXVODXWDISEETFEF -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.2:80
            nat -A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ
            nat -A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80
            nat -A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
            nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
            nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-SXIVWICOYRO3J4NJ
            nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.2:80" -j KUBE-SEP-LXVODXWDISEETFEF
        "#]],
    );
}

#[test]
fn the_fixed_rules() {
    let scenario = Scenario::parse("node localhost nodeports=192.0.2.1,127.0.0.1");
    let script = difference(&Applied::default(), &compile(&scenario.input()).0);
    expect![[r#"
        *filter
        :KUBE-EXTERNAL-SERVICES - [0:0]
        :KUBE-FIREWALL - [0:0]
        :KUBE-FORWARD - [0:0]
        :KUBE-NODEPORTS - [0:0]
        :KUBE-PROXY-FIREWALL - [0:0]
        :KUBE-SERVICES - [0:0]
        -A KUBE-FIREWALL -m comment --comment "block incoming localnet connections" -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
        -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
        -A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 -j ACCEPT
        -A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        COMMIT
        *nat
        :KUBE-MARK-MASQ - [0:0]
        :KUBE-NODEPORTS - [0:0]
        :KUBE-POSTROUTING - [0:0]
        :KUBE-SERVICES - [0:0]
        -A KUBE-MARK-MASQ -j MARK --or-mark 0x00004000
        -A KUBE-POSTROUTING -m mark ! --mark 0x00004000/0x00004000 -j RETURN
        -A KUBE-POSTROUTING -j MARK --xor-mark 0x00004000
        -A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
        -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -d 192.0.2.1 -j KUBE-NODEPORTS
        -A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" -d 127.0.0.1 -j KUBE-NODEPORTS
        COMMIT
    "#]].assert_eq(&script.text);
    assert_eq!((script.filter_rules, script.nat_rules), (4, 6));
}

#[test]
fn a_local_policy_keeps_sources_and_short_circuits_the_node() {
    check(
        "node cidr=10.0.0.0/8
         service ns1/svc1:p80 tcp 172.30.0.41:80 nodeport=3001 external=Local vip=1.2.3.4 health=30000 source=203.0.113.0/25 source=192.0.2.0/24
         endpoint 10.180.0.1:80
         endpoint 10.180.0.2:80 local",
        expect![[r#"
            filter -A KUBE-NODEPORTS -m comment --comment "ns1/svc1:p80 health check node port" -m tcp -p tcp --dport 30000 -j ACCEPT
            filter -A KUBE-PROXY-FIREWALL -m comment --comment "ns1/svc1:p80 traffic not accepted by KUBE-FW-XPGD46QRK7WJZT7O" -m tcp -p tcp -d 1.2.3.4 --dport 80 -j DROP
            nat -A KUBE-EXT-XPGD46QRK7WJZT7O -m comment --comment "pod traffic for ns1/svc1:p80 external destinations" -s 10.0.0.0/8 -j KUBE-SVC-XPGD46QRK7WJZT7O
            nat -A KUBE-EXT-XPGD46QRK7WJZT7O -m comment --comment "masquerade LOCAL traffic for ns1/svc1:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
            nat -A KUBE-EXT-XPGD46QRK7WJZT7O -m comment --comment "route LOCAL traffic for ns1/svc1:p80 external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-XPGD46QRK7WJZT7O
            nat -A KUBE-EXT-XPGD46QRK7WJZT7O -j KUBE-SVL-XPGD46QRK7WJZT7O
            nat -A KUBE-FW-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 loadbalancer IP" -s 203.0.113.0/25 -j KUBE-EXT-XPGD46QRK7WJZT7O
            nat -A KUBE-FW-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 loadbalancer IP" -s 192.0.2.0/24 -j KUBE-EXT-XPGD46QRK7WJZT7O
            nat -A KUBE-FW-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 loadbalancer IP" -s 1.2.3.4 -j KUBE-EXT-XPGD46QRK7WJZT7O
            nat -A KUBE-FW-XPGD46QRK7WJZT7O -m comment --comment "other traffic to ns1/svc1:p80 will be dropped by KUBE-PROXY-FIREWALL"
            nat -A KUBE-NODEPORTS -m comment --comment ns1/svc1:p80 -m tcp -p tcp --dport 3001 -j KUBE-EXT-XPGD46QRK7WJZT7O
            nat -A KUBE-SEP-LXVODXWDISEETFEF -m comment --comment ns1/svc1:p80 -s 10.180.0.2 -j KUBE-MARK-MASQ
            nat -A KUBE-SEP-LXVODXWDISEETFEF -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.2:80
            nat -A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ
            nat -A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80
            nat -A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
            nat -A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 loadbalancer IP" -m tcp -p tcp -d 1.2.3.4 --dport 80 -j KUBE-FW-XPGD46QRK7WJZT7O
            nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ
            nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-SXIVWICOYRO3J4NJ
            nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.2:80" -j KUBE-SEP-LXVODXWDISEETFEF
            nat -A KUBE-SVL-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.2:80" -j KUBE-SEP-LXVODXWDISEETFEF
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
            filter -A KUBE-EXTERNAL-SERVICES -m comment --comment "ns1/svc1:p80 has no endpoints" -m tcp -p tcp -d 192.168.99.11 --dport 80 -j REJECT
            filter -A KUBE-EXTERNAL-SERVICES -m comment --comment "ns1/svc1:p80 has no endpoints" -m tcp -p tcp -d 1.2.3.4 --dport 80 -j REJECT
            filter -A KUBE-EXTERNAL-SERVICES -m comment --comment "ns1/svc1:p80 has no endpoints" -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 3001 -j REJECT
            filter -A KUBE-EXTERNAL-SERVICES -m comment --comment "ns1/svc2 has no local endpoints" -m addrtype --dst-type LOCAL -m udp -p udp --dport 3002 -j DROP
            filter -A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 has no endpoints" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j REJECT
            nat -A KUBE-EXT-HNWOFKHUKVGJDEHD -m comment --comment "masquerade LOCAL traffic for ns1/svc2 external destinations" -m addrtype --src-type LOCAL -j KUBE-MARK-MASQ
            nat -A KUBE-EXT-HNWOFKHUKVGJDEHD -m comment --comment "route LOCAL traffic for ns1/svc2 external destinations" -m addrtype --src-type LOCAL -j KUBE-SVC-HNWOFKHUKVGJDEHD
            nat -A KUBE-NODEPORTS -m comment --comment ns1/svc2 -m udp -p udp --dport 3002 -j KUBE-EXT-HNWOFKHUKVGJDEHD
            nat -A KUBE-SEP-QBHNHUS5IWX5C4HM -m comment --comment ns1/svc2 -s 10.180.0.1 -j KUBE-MARK-MASQ
            nat -A KUBE-SEP-QBHNHUS5IWX5C4HM -m comment --comment ns1/svc2 -m udp -p udp -j DNAT --to-destination 10.180.0.1:53
            nat -A KUBE-SERVICES -m comment --comment "ns1/svc2 cluster IP" -m udp -p udp -d 172.30.0.42 --dport 53 -j KUBE-SVC-HNWOFKHUKVGJDEHD
            nat -A KUBE-SVC-HNWOFKHUKVGJDEHD -m comment --comment "ns1/svc2 -> 10.180.0.1:53" -j KUBE-SEP-QBHNHUS5IWX5C4HM
        "#]],
    );
}

#[test]
fn affinity_remembers_clients() {
    check(
        "service ns1/svc1:p80 tcp 172.30.0.41:80 affinity=10800\n endpoint 10.180.0.1:80",
        expect![[r#"
        nat -A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ
        nat -A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -m recent --name KUBE-SEP-SXIVWICOYRO3J4NJ --set -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80
        nat -A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC-XPGD46QRK7WJZT7O
        nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -m recent --name KUBE-SEP-SXIVWICOYRO3J4NJ --rcheck --seconds 10800 --reap -j KUBE-SEP-SXIVWICOYRO3J4NJ
        nat -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -j KUBE-SEP-SXIVWICOYRO3J4NJ
    "#]],
    );
}

#[test]
fn addresses_of_ipv6_are_bracketed() {
    check(
        "node family=IPv6\n service ns1/svc1 tcp [fd00::41]:80 \n endpoint [fd00:10::1]:80",
        expect![[r#"
        nat -A KUBE-SEP-TASVK5PNNN2SLYQG -m comment --comment ns1/svc1 -s fd00:10::1 -j KUBE-MARK-MASQ
        nat -A KUBE-SEP-TASVK5PNNN2SLYQG -m comment --comment ns1/svc1 -m tcp -p tcp -j DNAT --to-destination [fd00:10::1]:80
        nat -A KUBE-SERVICES -m comment --comment "ns1/svc1 cluster IP" -m tcp -p tcp -d fd00::41 --dport 80 -j KUBE-SVC-AQI2S6QIMU7PVVRP
        nat -A KUBE-SVC-AQI2S6QIMU7PVVRP -m comment --comment "ns1/svc1 -> [fd00:10::1]:80" -j KUBE-SEP-TASVK5PNNN2SLYQG
    "#]],
    );
}

const ONE: &str = "service ns1/svc1:p80 tcp 172.30.0.41:80\n endpoint 10.180.0.1:80";
const TWO: &str = "service ns1/svc1:p80 tcp 172.30.0.41:80\n endpoint 10.180.0.1:80\n endpoint 10.180.0.2:80
                   service ns2/svc2 tcp 172.30.0.42:80";

#[test]
fn only_differences_are_applied() {
    check_change(ONE, ONE, expect![[""]]);
    check_change(
        ONE,
        TWO,
        expect![[r#"
        *filter
        :KUBE-SERVICES - [0:0]
        -A KUBE-SERVICES -m comment --comment "ns2/svc2 has no endpoints" -m tcp -p tcp -d 172.30.0.42 --dport 80 -j REJECT
        COMMIT
        *nat
        :KUBE-SEP-LXVODXWDISEETFEF - [0:0]
        :KUBE-SVC-XPGD46QRK7WJZT7O - [0:0]
        -A KUBE-SEP-LXVODXWDISEETFEF -m comment --comment ns1/svc1:p80 -s 10.180.0.2 -j KUBE-MARK-MASQ
        -A KUBE-SEP-LXVODXWDISEETFEF -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.2:80
        -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-SXIVWICOYRO3J4NJ
        -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.2:80" -j KUBE-SEP-LXVODXWDISEETFEF
        COMMIT
    "#]],
    );
    check_change(
        TWO,
        ONE,
        expect![[r#"
        *filter
        :KUBE-SERVICES - [0:0]
        COMMIT
        *nat
        :KUBE-SVC-XPGD46QRK7WJZT7O - [0:0]
        :KUBE-SEP-LXVODXWDISEETFEF - [0:0]
        -A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -j KUBE-SEP-SXIVWICOYRO3J4NJ
        -X KUBE-SEP-LXVODXWDISEETFEF
        COMMIT
    "#]],
    );
}

#[test]
fn chains_of_former_services_are_removed_at_start() {
    let scenario = Scenario::parse(ONE);
    let applied = Applied::unknown(["KUBE-SVC-OLD", "KUBE-SEP-OLD", "KUBE-SERVICES", "DOCKER"]);
    let text = difference(&applied, &compile(&scenario.input()).0).text;
    let removed: Vec<_> = text.lines().filter(|line| line.starts_with("-X")).collect();
    assert_eq!(removed, ["-X KUBE-SEP-OLD", "-X KUBE-SVC-OLD"]);
    assert!(
        text.contains(":KUBE-SVC-XPGD46QRK7WJZT7O - [0:0]\n"),
        "the hash is upstream's"
    );
    assert!(
        text.contains(":KUBE-SEP-SXIVWICOYRO3J4NJ - [0:0]\n"),
        "the hash is upstream's"
    );
}

#[test]
fn comments_are_left_out_of_large_clusters() {
    let endpoints: String = (0..1001)
        .map(|i| format!("endpoint 10.1.{}.{}:80\n", i / 256, i % 256))
        .collect();
    let scenario = Scenario::parse(&format!("service ns1/svc1 tcp 172.30.0.41:80\n{endpoints}"));
    let (rules, _) = compile(&scenario.input());
    let commented = rules
        .nat
        .chains
        .values()
        .flat_map(|c| c.text.lines())
        .filter(|l| l.contains("--comment"));
    assert_eq!(commented.filter(|l| l.contains(" -> ")).count(), 0);
}
