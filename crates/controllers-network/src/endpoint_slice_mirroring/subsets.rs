//! Subsets in their one canonical form: users write the same Endpoints in many. Pure.
//!
//! Upstream: pkg/api/v1/endpoints (RepackSubsets)

use std::collections::BTreeMap;

use api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset};

/// Addresses by what tells them apart, and whether they are ready.
type Addresses = BTreeMap<(String, String), bool>;

/// Each port once, with ports that have the same addresses together.
pub fn repack(subsets: &[EndpointSubset]) -> Vec<EndpointSubset> {
    let mut known: BTreeMap<(String, String), EndpointAddress> = BTreeMap::new();
    let mut by_port: BTreeMap<String, (Option<EndpointPort>, Addresses)> = BTreeMap::new();
    for subset in subsets {
        // Addresses without ports stay.
        let ports: Vec<Option<&EndpointPort>> = if subset.ports.is_empty() {
            vec![None]
        } else {
            subset.ports.iter().map(Some).collect()
        };
        for port in ports {
            let (_, addresses) = by_port
                .entry(format!("{port:?}"))
                .or_insert_with(|| (port.cloned(), Addresses::new()));
            let ready = subset.addresses.iter().map(|address| (address, true));
            let unready = subset.not_ready_addresses.iter().map(|address| (address, false));
            for (address, ready) in ready.chain(unready) {
                known.entry(key(address)).or_insert_with(|| address.clone());
                // Unready once is unready.
                *addresses.entry(key(address)).or_insert(true) &= ready;
            }
        }
    }
    let mut by_addresses: BTreeMap<Addresses, Vec<EndpointPort>> = BTreeMap::new();
    for (port, addresses) in by_port.into_values() {
        by_addresses.entry(addresses).or_default().extend(port);
    }
    let subset = |(addresses, ports): (Addresses, Vec<EndpointPort>)| {
        let of = |wanted: bool| {
            let chosen = addresses.iter().filter(|(_, ready)| **ready == wanted);
            chosen.filter_map(|(key, _)| known.get(key).cloned()).collect()
        };
        EndpointSubset {
            addresses: of(true),
            not_ready_addresses: of(false),
            ports,
        }
    };
    by_addresses.into_iter().map(subset).collect()
}

/// Equal addresses of different hosts are two.
fn key(address: &EndpointAddress) -> (String, String) {
    let uid = address.target_ref.as_deref().map(|target| target.uid.clone());
    (address.ip.clone(), uid.unwrap_or_default())
}
