//! The table of authorities and certificates.

use super::Cluster;
use crate::Usage;
use crate::certificate::{AltNames, Subject};

pub struct AuthorityRow {
    /// File name without extension.
    pub name: &'static str,
    pub common_name: &'static str,
}

/// Every authority.
pub const AUTHORITIES: &[AuthorityRow] = &[
    AuthorityRow {
        name: "ca",
        common_name: "kubernetes",
    },
    AuthorityRow {
        name: "front-proxy-ca",
        common_name: "front-proxy-ca",
    },
    AuthorityRow {
        name: "etcd/ca",
        common_name: "etcd-ca",
    },
];

pub struct LeafRow {
    /// File name without extension.
    pub name: &'static str,
    /// The phase of `kubeadm init phase certs` that makes it.
    pub phase: &'static str,
    pub authority: &'static str,
    common_name: CommonName,
    organization: Option<&'static str>,
    pub usages: &'static [Usage],
    names: Names,
}

enum CommonName {
    Fixed(&'static str),
    Node,
}

#[derive(Clone, Copy)]
enum Names {
    None,
    ApiServer,
    /// What an etcd member is reached by.
    Etcd,
}

const SERVER: &[Usage] = &[Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth];
const CLIENT: &[Usage] = &[Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ClientAuth];
const PEER: &[Usage] = &[
    Usage::DigitalSignature,
    Usage::KeyEncipherment,
    Usage::ServerAuth,
    Usage::ClientAuth,
];

/// Every certificate.
pub const LEAVES: &[LeafRow] = &[
    LeafRow {
        name: "apiserver",
        phase: "apiserver",
        authority: "ca",
        common_name: CommonName::Fixed("kube-apiserver"),
        organization: None,
        usages: SERVER,
        names: Names::ApiServer,
    },
    LeafRow {
        name: "apiserver-kubelet-client",
        phase: "apiserver-kubelet-client",
        authority: "ca",
        common_name: CommonName::Fixed("kube-apiserver-kubelet-client"),
        // Until a phase binds a group of its own to cluster-admin, the privileged group is the only one
        // that may reach kubelets in a new cluster.
        organization: Some("system:masters"),
        usages: CLIENT,
        names: Names::None,
    },
    LeafRow {
        name: "front-proxy-client",
        phase: "front-proxy-client",
        authority: "front-proxy-ca",
        common_name: CommonName::Fixed("front-proxy-client"),
        organization: None,
        usages: CLIENT,
        names: Names::None,
    },
    LeafRow {
        name: "etcd/server",
        phase: "etcd-server",
        authority: "etcd/ca",
        common_name: CommonName::Node,
        organization: None,
        usages: PEER,
        names: Names::Etcd,
    },
    LeafRow {
        name: "etcd/peer",
        phase: "etcd-peer",
        authority: "etcd/ca",
        common_name: CommonName::Node,
        organization: None,
        usages: PEER,
        names: Names::Etcd,
    },
    LeafRow {
        name: "etcd/healthcheck-client",
        phase: "etcd-healthcheck-client",
        authority: "etcd/ca",
        common_name: CommonName::Fixed("kube-etcd-healthcheck-client"),
        organization: None,
        usages: CLIENT,
        names: Names::None,
    },
    LeafRow {
        name: "apiserver-etcd-client",
        phase: "apiserver-etcd-client",
        authority: "etcd/ca",
        common_name: CommonName::Fixed("kube-apiserver-etcd-client"),
        organization: None,
        usages: CLIENT,
        names: Names::None,
    },
];

impl LeafRow {
    pub(super) fn subject(&self, cluster: &Cluster) -> Subject {
        let common_name = match &self.common_name {
            CommonName::Fixed(name) => name,
            CommonName::Node => cluster.node_name.as_str(),
        };
        Subject::new(common_name, self.organization.as_slice())
    }

    pub(super) fn alt_names(&self, cluster: &Cluster) -> AltNames {
        let mut names = AltNames::default();
        match self.names {
            Names::None => {}
            Names::ApiServer => {
                names.push(&cluster.node_name);
                for name in ["kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
                    names.push(name);
                }
                names.push(&format!("kubernetes.default.svc.{}", cluster.dns_domain));
                names.push(&cluster.service_address.to_string());
                names.push(&cluster.advertise_address.to_string());
                cluster.extra_names.iter().for_each(|name| names.push(name));
            }
            Names::Etcd => {
                for name in [cluster.node_name.as_str(), "localhost", "127.0.0.1", "::1"] {
                    names.push(name);
                }
                names.push(&cluster.advertise_address.to_string());
            }
        }
        names
    }
}
