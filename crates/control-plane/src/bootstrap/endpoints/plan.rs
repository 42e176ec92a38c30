//! What the Endpoints and the EndpointSlice of the API servers are to say. Pure.

use api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints};
use api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};

use super::{NAME, NAMESPACE, Ports};

/// The slice is ours: the mirroring controller shall leave these endpoints alone.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The Endpoints with exactly these addresses; `None`: nothing is to be written.
pub fn replace(
    current: Option<&Endpoints>,
    addresses: &[String],
    ports: &[EndpointPort],
    set_ports: Ports,
) -> Option<Endpoints> {
    let (mut wanted, relabelled) = base(current);
    let one = single(&wanted);
    let same_addresses = one.is_some_and(|subset| same_set(subset, addresses));
    let same_ports = one.is_some_and(|subset| set_ports == Ports::Keep || subset.ports == ports);
    if !relabelled && same_addresses && same_ports {
        return None;
    }
    let kept = one.filter(|_| same_ports).map(|subset| subset.ports.clone());
    let kept_ports = kept.unwrap_or_else(|| ports.to_vec());
    if !same_addresses {
        wanted.subsets = subsets(addresses.to_vec(), kept_ports);
    } else if let Some(subset) = wanted.subsets.first_mut() {
        subset.ports = kept_ports;
    }
    changed(current, wanted)
}

/// The Endpoints with this address among at most `count`; `None`: nothing is to be written.
pub fn add(
    current: Option<&Endpoints>,
    address: &str,
    ports: &[EndpointPort],
    count: usize,
    set_ports: Ports,
) -> Option<Endpoints> {
    let (mut wanted, _) = base(current);
    let (mut addresses, kept_ports) = match single(&wanted) {
        Some(subset) if set_ports == Ports::Keep => (addresses_of(subset), subset.ports.clone()),
        Some(subset) => (addresses_of(subset), ports.to_vec()),
        None => (Vec::new(), ports.to_vec()),
    };
    if !addresses.iter().any(|other| other == address) {
        addresses.push(address.to_owned());
    }
    addresses.sort();
    // Too many: those after our own go, so that all servers come to the same list.
    while addresses.len() > count.max(1) {
        let own = addresses.iter().position(|other| other == address)?;
        addresses.remove((own + 1) % addresses.len());
    }
    wanted.subsets = subsets(addresses, kept_ports);
    changed(current, wanted)
}

/// The Endpoints without this address; `None`: nothing is to be written.
pub fn remove(current: &Endpoints, address: &str) -> Option<Endpoints> {
    let subset = current.subsets.first()?;
    let mut wanted = current.clone();
    let others = addresses_of(subset).into_iter().filter(|other| other != address);
    wanted.subsets = subsets(others.collect(), subset.ports.clone());
    changed(Some(current), wanted)
}

/// Whether the address is among the endpoints.
pub fn lists(endpoints: &Endpoints, address: &str) -> bool {
    let subset = endpoints.subsets.first();
    subset.is_some_and(|subset| subset.addresses.iter().any(|other| other.ip == address))
}

/// The slice that says the same.
pub fn slice_of(endpoints: &Endpoints) -> EndpointSlice {
    let mut slice = EndpointSlice {
        address_type: "IPv4".to_owned(),
        ..EndpointSlice::default()
    };
    slice.metadata.name = NAME.to_owned();
    slice.metadata.namespace = NAMESPACE.to_owned();
    let labels = &mut slice.metadata.labels;
    labels.insert(SERVICE_NAME.to_owned(), NAME.to_owned());
    let Some(subset) = endpoints.subsets.first() else {
        return slice;
    };
    let is_v6 = |address: &EndpointAddress| address.ip.contains(':');
    let all_v6 = !subset.addresses.is_empty() && subset.addresses.iter().all(is_v6);
    if all_v6 {
        slice.address_type = "IPv6".to_owned();
    }
    slice.ports = subset.ports.iter().map(slice_port).collect();
    slice.endpoints = subset
        .addresses
        .iter()
        .filter(|address| is_v6(address) == all_v6)
        .map(|address| Endpoint {
            addresses: vec![address.ip.clone()],
            conditions: EndpointConditions {
                ready: Some(true),
                ..EndpointConditions::default()
            },
            ..Endpoint::default()
        })
        .collect();
    slice
}

/// Whether two slices say the same.
pub fn same_slice(one: &EndpointSlice, other: &EndpointSlice) -> bool {
    one.endpoints == other.endpoints
        && one.ports == other.ports
        && one.metadata.labels == other.metadata.labels
}

fn slice_port(port: &EndpointPort) -> SlicePort {
    SlicePort {
        name: Some(port.name.clone()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone()),
        ..SlicePort::default()
    }
}

/// What there is, labelled; and whether it was not.
fn base(current: Option<&Endpoints>) -> (Endpoints, bool) {
    let mut endpoints = current.cloned().unwrap_or_default();
    endpoints.metadata.name = NAME.to_owned();
    endpoints.metadata.namespace = NAMESPACE.to_owned();
    let before = endpoints
        .metadata
        .labels
        .insert(SKIP_MIRROR.to_owned(), "true".to_owned());
    (endpoints, before.as_deref() != Some("true"))
}

/// The one subset that there should be.
fn single(endpoints: &Endpoints) -> Option<&EndpointSubset> {
    match endpoints.subsets.as_slice() {
        [subset] => Some(subset),
        _ => None,
    }
}

fn addresses_of(subset: &EndpointSubset) -> Vec<String> {
    subset
        .addresses
        .iter()
        .map(|address| address.ip.clone())
        .collect()
}

fn same_set(subset: &EndpointSubset, addresses: &[String]) -> bool {
    let mut listed = addresses_of(subset);
    let mut wanted = addresses.to_vec();
    listed.sort();
    wanted.sort();
    listed == wanted
}

/// A subset without addresses is none.
fn subsets(mut addresses: Vec<String>, ports: Vec<EndpointPort>) -> Vec<EndpointSubset> {
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() {
        return Vec::new();
    }
    let addresses = addresses.into_iter().map(|ip| EndpointAddress {
        ip,
        ..EndpointAddress::default()
    });
    vec![EndpointSubset {
        addresses: addresses.collect(),
        ports,
        ..EndpointSubset::default()
    }]
}

fn changed(current: Option<&Endpoints>, wanted: Endpoints) -> Option<Endpoints> {
    (current != Some(&wanted)).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(number: i32) -> Vec<EndpointPort> {
        vec![EndpointPort {
            name: "https".to_owned(),
            port: number,
            protocol: "TCP".to_owned(),
            ..EndpointPort::default()
        }]
    }

    fn list(addresses: &[&str]) -> Vec<String> {
        addresses.iter().map(|&address| address.to_owned()).collect()
    }

    fn endpoints(addresses: &[&str]) -> Endpoints {
        replace(None, &list(addresses), &ports(6443), Ports::Keep).expect("new")
    }

    /// Addresses and port, or `same`.
    fn show(planned: Option<Endpoints>) -> String {
        let Some(endpoints) = planned else {
            return "same".to_owned();
        };
        match single(&endpoints) {
            Some(subset) => format!("{} :{}", addresses_of(subset).join(" "), subset.ports[0].port),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn the_endpoints_are_the_leases() {
        let check = |current: Option<&Endpoints>, leases: &[&str], set_ports| {
            show(replace(current, &list(leases), &ports(7443), set_ports))
        };
        let two = endpoints(&["10.0.0.2", "10.0.0.1"]);
        assert_eq!(check(None, &["10.0.0.1"], Ports::Keep), "10.0.0.1 :7443");
        assert_eq!(check(Some(&two), &["10.0.0.1", "10.0.0.2"], Ports::Keep), "same");
        assert_eq!(check(Some(&two), &["10.0.0.2"], Ports::Keep), "10.0.0.2 :6443");
        assert_eq!(
            check(Some(&two), &["10.0.0.1", "10.0.0.2"], Ports::Set),
            "10.0.0.1 10.0.0.2 :7443"
        );
        assert_eq!(check(Some(&two), &[], Ports::Set), "none");
        let mut unlabelled = two.clone();
        unlabelled.metadata.labels.clear();
        assert_eq!(
            check(Some(&unlabelled), &["10.0.0.1", "10.0.0.2"], Ports::Keep),
            "10.0.0.1 10.0.0.2 :6443"
        );
    }

    #[test]
    fn a_fixed_number_of_servers_share_the_endpoints() {
        let check = |addresses: &[&str], own: &str, count| {
            show(add(
                Some(&endpoints(addresses)),
                own,
                &ports(6443),
                count,
                Ports::Keep,
            ))
        };
        assert_eq!(check(&["10.0.0.1"], "10.0.0.1", 1), "same");
        assert_eq!(check(&["10.0.0.1"], "10.0.0.2", 2), "10.0.0.1 10.0.0.2 :6443");
        assert_eq!(
            check(&["10.0.0.1", "10.0.0.3"], "10.0.0.2", 2),
            "10.0.0.1 10.0.0.2 :6443"
        );
        assert_eq!(
            check(&["10.0.0.1", "10.0.0.2"], "10.0.0.3", 2),
            "10.0.0.2 10.0.0.3 :6443"
        );
        assert_eq!(show(remove(&endpoints(&["10.0.0.1"]), "10.0.0.1")), "none");
        assert_eq!(show(remove(&endpoints(&["10.0.0.1"]), "10.0.0.9")), "same");
    }

    #[test]
    fn the_slice_says_the_same() {
        let slice = slice_of(&endpoints(&["fd00::1", "fd00::2"]));
        assert_eq!(slice.address_type, "IPv6");
        assert_eq!(slice.endpoints.len(), 2);
        let mixed = slice_of(&endpoints(&["fd00::1", "10.0.0.1"]));
        assert_eq!(mixed.address_type, "IPv4");
        assert_eq!(mixed.endpoints[0].addresses, ["10.0.0.1"]);
        assert!(slice_of(&Endpoints::default()).endpoints.is_empty());
    }
}
