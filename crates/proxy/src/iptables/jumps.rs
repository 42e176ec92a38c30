//! The rules in iptables' built-in chains that lead to the proxy's. They stand among other programs' rules, so
//! each is checked and inserted on its own.

use super::chain_names::*;

/// `-A <from> <matches> -j <to>`, at the head of `from`.
#[derive(Clone, Copy, Debug)]
pub struct Jump {
    pub table: &'static str,
    pub from: &'static str,
    pub to: &'static str,
    matches: &'static str,
    comment: &'static str,
}

const NEW: &str = "-m conntrack --ctstate NEW";

const fn jump(
    table: &'static str,
    from: &'static str,
    to: &'static str,
    matches: &'static str,
    comment: &'static str,
) -> Jump {
    Jump {
        table,
        from,
        to,
        matches,
        comment,
    }
}

const EXTERNAL_COMMENT: &str = "kubernetes externally-visible service portals";
const PORTALS: &str = "kubernetes service portals";
const FIREWALL_COMMENT: &str = "kubernetes load balancer firewall";

/// The proxy's jumps: made on a full sync, removed on cleanup.
pub const JUMPS: &[Jump] = &[
    jump("filter", "INPUT", EXTERNAL_SERVICES, NEW, EXTERNAL_COMMENT),
    jump("filter", "FORWARD", EXTERNAL_SERVICES, NEW, EXTERNAL_COMMENT),
    jump(
        "filter",
        "INPUT",
        NODE_PORTS,
        "",
        "kubernetes health check service ports",
    ),
    jump("filter", "FORWARD", SERVICES, NEW, PORTALS),
    jump("filter", "OUTPUT", SERVICES, NEW, PORTALS),
    jump("filter", "FORWARD", FORWARD, "", "kubernetes forwarding rules"),
    jump("filter", "INPUT", PROXY_FIREWALL, NEW, FIREWALL_COMMENT),
    jump("filter", "OUTPUT", PROXY_FIREWALL, NEW, FIREWALL_COMMENT),
    jump("filter", "FORWARD", PROXY_FIREWALL, NEW, FIREWALL_COMMENT),
    jump("nat", "OUTPUT", SERVICES, "", PORTALS),
    jump("nat", "PREROUTING", SERVICES, "", PORTALS),
    jump(
        "nat",
        "POSTROUTING",
        POSTROUTING,
        "",
        "kubernetes postrouting rules",
    ),
];

/// The same jumps that kubelet makes; left in place on cleanup, because kubelet still wants them.
pub const KUBELET_JUMPS: &[Jump] = &[
    jump("filter", "INPUT", KUBELET_FIREWALL, "", ""),
    jump("filter", "OUTPUT", KUBELET_FIREWALL, "", ""),
];

/// The proxy's fixed chains by table, for cleanup.
pub const FIXED_CHAINS: &[(&str, &[&str])] = &[
    (
        "filter",
        &[
            SERVICES,
            EXTERNAL_SERVICES,
            FORWARD,
            NODE_PORTS,
            PROXY_FIREWALL,
            CANARY,
        ],
    ),
    ("nat", &[SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, CANARY]),
    ("mangle", &[CANARY]),
];

impl Jump {
    /// The arguments of `iptables` that perform `operation` (`-C`, `-I`, `-D`) on this jump.
    pub fn arguments(&self, operation: &str) -> Vec<String> {
        let mut args: Vec<String> = ["-t", self.table, operation, self.from]
            .into_iter()
            .map(str::to_owned)
            .collect();
        args.extend(self.matches.split_whitespace().map(str::to_owned));
        if !self.comment.is_empty() {
            args.extend(["-m", "comment", "--comment", self.comment].map(str::to_owned));
        }
        args.extend(["-j", self.to].map(str::to_owned));
        args
    }
}
