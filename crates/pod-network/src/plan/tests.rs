use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use super::*;

/// Nodes as `name cidr[,cidr] ip[,ip]`; plans for the first.
fn check(nodes: &[&str], backend: Backend, expected: Expect) {
    let mut map = BTreeMap::new();
    for node in nodes {
        let words: Vec<_> = node.split_whitespace().collect();
        let list = |word: &str| {
            word.split(',')
                .filter(|w| *w != "-")
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let node = NodeNetwork {
            name: words[0].to_owned(),
            pod_cidrs: list(words[1]).iter().map(|cidr| cidr.parse().unwrap()).collect(),
            internal_ips: list(words[2]).iter().map(|ip| ip.parse().unwrap()).collect(),
        };
        map.insert(node.name.clone(), node);
    }
    let own = nodes[0].split_whitespace().next().unwrap();
    let text = match plan(own, &map, &["10.244.0.0/16".parse().unwrap()], backend) {
        None => "nothing yet".to_owned(),
        Some(plan) => show(&plan),
    };
    expected.assert_eq(&text);
}

fn show(plan: &Plan) -> String {
    let mut text = format!("pods {:?}\n", plan.pod_cidrs);
    for route in &plan.routes {
        let tunnel = route
            .peer
            .map(|peer| format!(" in tunnel {} {:02x?}", peer.inner, peer.mac))
            .unwrap_or_default();
        text.push_str(&format!("{} via {}{tunnel}\n", route.destination, route.node));
    }
    if let Some(tunnel) = plan.tunnel {
        text.push_str(&format!(
            "tunnel from {} at {} {:02x?}\n",
            tunnel.node, tunnel.end.inner, tunnel.end.mac
        ));
    }
    text + &format!("no masquerade to {:?}", plan.unmasqueraded)
}

const A: &str = "a 10.244.1.0/24,fd00:1::/64 192.0.2.1,2001:db8::1";
const B: &str = "b 10.244.2.0/24,fd00:2::/64 192.0.2.2,2001:db8::2";

#[test]
fn other_nodes_are_the_next_hops_to_their_pods() {
    check(
        &[A, B],
        Backend::HostGateway,
        expect![[r#"
            pods [10.244.1.0/24, fd00:1::/64]
            10.244.2.0/24 via 192.0.2.2
            fd00:2::/64 via 2001:db8::2
            no masquerade to [10.244.0.0/16, 192.0.2.1/32, 192.0.2.2/32, 2001:db8::1/128, 2001:db8::2/128, fd00:1::/64, fd00:2::/64]"#]],
    );
}

#[test]
fn tunnels_need_no_common_link() {
    check(
        &[A, B],
        Backend::Vxlan,
        expect![[r#"
            pods [10.244.1.0/24, fd00:1::/64]
            10.244.2.0/24 via 192.0.2.2 in tunnel 10.244.2.0 [02, 6f, c0, 00, 02, 02]
            tunnel from 192.0.2.1 at 10.244.1.0 [02, 6f, c0, 00, 02, 01]
            no masquerade to [10.244.0.0/16, 192.0.2.1/32, 192.0.2.2/32, 2001:db8::1/128, 2001:db8::2/128, fd00:1::/64, fd00:2::/64]"#]],
    );
}

#[test]
fn without_a_range_there_is_nothing_to_do() {
    check(
        &["a - 192.0.2.1", B],
        Backend::HostGateway,
        expect!["nothing yet"],
    );
    check(
        &[A, "b - 192.0.2.2"],
        Backend::HostGateway,
        expect![[r#"
            pods [10.244.1.0/24, fd00:1::/64]
            no masquerade to [10.244.0.0/16, 192.0.2.1/32, 192.0.2.2/32, 2001:db8::1/128, fd00:1::/64]"#]],
    );
}

#[test]
fn a_range_that_two_nodes_claim_goes_to_one() {
    check(
        &[
            A,
            "b 10.244.2.0/24 192.0.2.2",
            "c 10.244.2.0/24 192.0.2.3",
            "d 10.244.1.0/24 192.0.2.4",
        ],
        Backend::HostGateway,
        expect![[r#"
            pods [10.244.1.0/24, fd00:1::/64]
            10.244.2.0/24 via 192.0.2.2
            no masquerade to [10.244.0.0/16, 192.0.2.1/32, 192.0.2.2/31, 192.0.2.4/32, 2001:db8::1/128, fd00:1::/64]"#]],
    );
}
