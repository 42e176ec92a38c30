//! From the nodes that are known to the network that they need.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tracing::info;

use crate::cni::{self, Paths, Written};
use crate::kernel::{self, TunnelSettings};
use crate::masquerade;
use crate::node::NodeNetwork;
use crate::plan::{Backend, Plan, plan};

/// What the node's operator chose.
#[derive(Clone, Debug)]
pub struct Settings {
    pub node: String,
    pub cluster_cidrs: Vec<IpNet>,
    pub backend: Backend,
    pub masquerade: bool,
    pub tunnel: TunnelSettings,
    pub cni: Paths,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("network state: {}", list(.0))]
    Kernel(Vec<kernel::Error>),
    #[error("masquerading")]
    Masquerade(#[from] masquerade::Error),
    #[error("forwarding of packets can't be switched on")]
    Forwarding(#[source] std::io::Error),
    #[error("CNI configuration")]
    Cni(#[source] std::io::Error),
}

fn list(errors: &[kernel::Error]) -> String {
    let text = |error: &kernel::Error| match std::error::Error::source(error) {
        Some(cause) => match cause.source() {
            Some(root) => format!("{error}: {cause}: {root}"),
            None => format!("{error}: {cause}"),
        },
        None => error.to_string(),
    };
    errors.iter().map(text).collect::<Vec<_>>().join("; ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The node has no pod range yet.
    Waiting,
    Ready {
        routes: usize,
    },
}

/// Keeps the network; remembers what it wrote, to leave alone what still stands.
#[derive(Debug)]
pub struct Reconciler {
    settings: Settings,
    masquerade: Option<String>,
}

impl Reconciler {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            masquerade: None,
        }
    }

    /// Compares and repairs. Blocks for the kernel and for `nft`.
    pub fn reconcile(&mut self, nodes: &BTreeMap<String, NodeNetwork>) -> Result<State, Error> {
        let settings = &self.settings;
        let Some(plan) = plan(&settings.node, nodes, &settings.cluster_cidrs, settings.backend) else {
            return Ok(State::Waiting);
        };
        forward(&plan)?;
        let outcome =
            kernel::reconcile(&plan, settings.tunnel).map_err(|error| Error::Kernel(vec![error]))?;
        if outcome.added + outcome.removed > 0 {
            info!(
                added = outcome.added,
                removed = outcome.removed,
                "routes to other nodes' pods changed"
            );
        }
        self.ensure_masquerade(&plan)?;
        // Last: with the configuration in place the node counts as ready for pods.
        let own_ips = nodes
            .get(&self.settings.node)
            .map_or(&[][..], |node| &node.internal_ips);
        self.write_cni(&plan, own_ips)?;
        if outcome.errors.is_empty() {
            Ok(State::Ready {
                routes: plan.routes.len(),
            })
        } else {
            Err(Error::Kernel(outcome.errors))
        }
    }

    fn ensure_masquerade(&mut self, plan: &Plan) -> Result<(), Error> {
        if !self.settings.masquerade {
            return Ok(());
        }
        let script = masquerade::script(plan);
        if self.masquerade.as_ref() != Some(&script) || !masquerade::stands()? {
            masquerade::run(&script)?;
            self.masquerade = Some(script);
        }
        Ok(())
    }

    fn write_cni(&self, plan: &Plan, own_ips: &[IpAddr]) -> Result<(), Error> {
        let tunnel = self.settings.backend == Backend::Vxlan;
        let mtu = kernel::pod_mtu(own_ips, tunnel).map_err(|error| Error::Kernel(vec![error]))?;
        let configuration = cni::configuration(&plan.pod_cidrs, mtu, &self.settings.cni.data);
        if self.settings.cni.write(&configuration).map_err(Error::Cni)? == Written::Now {
            info!(ranges = ?plan.pod_cidrs, mtu, "CNI configuration written");
        }
        Ok(())
    }

    /// Removes everything that the daemon makes.
    pub fn cleanup(&self) -> Result<(), Error> {
        self.settings.cni.remove().map_err(Error::Cni)?;
        masquerade::remove()?;
        let outcome = kernel::cleanup().map_err(|error| Error::Kernel(vec![error]))?;
        if outcome.errors.is_empty() {
            Ok(())
        } else {
            Err(Error::Kernel(outcome.errors))
        }
    }
}

/// A node that doesn't forward is no node. Written only where needed, since /proc may be read-only.
fn forward(plan: &Plan) -> Result<(), Error> {
    let v4 = ("/proc/sys/net/ipv4/ip_forward", true);
    let v6 = ("/proc/sys/net/ipv6/conf/all/forwarding", false);
    for (path, family) in [v4, v6] {
        let needed = plan.pod_cidrs.iter().any(|cidr| cidr.addr().is_ipv4() == family);
        let on = || std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "1");
        if needed && !on() {
            std::fs::write(path, "1").map_err(Error::Forwarding)?;
        }
    }
    Ok(())
}
