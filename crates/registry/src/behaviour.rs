//! The strategies with what they need of the cluster: the store, and the ranges that services draw from.

use std::sync::Arc;

use api::catalogue::Resource;
use apiserver::strategy::Behaviour;
use storage::Store;

use crate::core::service::addresses::{Addresses, Cidr};
use crate::core::service::allotment::Allotment;
use crate::core::service::families::Families;
use crate::core::service::ports::{NodePorts, PortRange};

/// Where services get their addresses and ports.
#[derive(Clone)]
pub struct Config {
    pub store: Arc<dyn Store>,
    /// `--service-cluster-ip-range`: one range, or one of each family. The first says which family is the default.
    pub service_cidrs: Vec<Cidr>,
    /// `--service-node-port-range`
    pub node_ports: PortRange,
}

/// The behaviour of a stored resource; `None` for resources that are not stored.
pub fn behaviour(row: &Resource, config: &Config) -> Option<Behaviour> {
    let strategy = crate::builtin::strategy(row)?;
    let mut behaviour = Behaviour {
        strategy,
        hooks: None,
    };
    if row.group.is_empty()
        && row.kind == "Service"
        && let Some(primary) = config.service_cidrs.first()
    {
        let families = Families {
            primary: primary.family(),
            dual: config
                .service_cidrs
                .iter()
                .any(|cidr| cidr.family() != primary.family()),
        };
        let addresses = Addresses::new(config.store.clone(), config.service_cidrs.clone());
        let ports = NodePorts::new(config.store.clone(), config.node_ports);
        behaviour.hooks = Some(Arc::new(Allotment::new(addresses, ports, families)));
    }
    Some(behaviour)
}
