//! What becomes of a range of service addresses. Pure.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::networking::v1::{IPAddress, ServiceCIDR};
use jiff::Timestamp;

use crate::node_ipam::cidr::Cidr;

pub const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const MANAGED_BY_LABEL: &str = "ipaddress.kubernetes.io/managed-by";
const ALLOCATOR: &str = "ipallocator.k8s.io";
/// How long servers that give addresses may take to learn that a range is going.
const GRACE: Duration = Duration::from_secs(10);

/// What the condition `Ready` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ready {
    pub status: &'static str,
    pub reason: &'static str,
    pub message: &'static str,
}

const READY: Ready = Ready {
    status: "True",
    reason: "",
    message: "Kubernetes Service CIDR is ready",
};
const BLOCKED: Ready = Ready {
    status: "False",
    reason: "Terminating",
    message: "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The range is in use, or to be: with the finalizer.
    Keep(Ready),
    /// Addresses would be left that belong to no range.
    Block(Ready),
    Wait(Duration),
    /// Take the finalizer off.
    Release,
}

/// `all` are all ranges, the given one among them.
pub fn plan(
    range: &ServiceCIDR,
    all: &[Arc<ServiceCIDR>],
    addresses: &[Arc<IPAddress>],
    now: Timestamp,
) -> Step {
    let Some(deleted) = range.metadata.deletion_timestamp else {
        return Step::Keep(READY);
    };
    if !is_covered(range, all) && orphans(range, all, addresses) {
        return Step::Block(BLOCKED);
    }
    let since = now.duration_since(deleted.timestamp());
    let since = Duration::try_from(since).unwrap_or_default();
    match GRACE.checked_sub(since) {
        Some(left) if !left.is_zero() => Step::Wait(left),
        _ => Step::Release,
    }
}

/// Whether the range's condition says this already.
pub fn says(range: &ServiceCIDR, ready: Ready) -> bool {
    let conditions = &range.status.conditions;
    let current = conditions.iter().find(|condition| condition.type_ == "Ready");
    current.is_some_and(|current| {
        current.status == ready.status && current.reason == ready.reason && current.message == ready.message
    })
}

pub fn prefixes(range: &ServiceCIDR) -> impl Iterator<Item = Cidr> {
    range.spec.cidrs.iter().filter_map(|text| text.parse().ok())
}

/// Do the ranges share addresses?
pub fn overlap(one: &ServiceCIDR, other: &ServiceCIDR) -> bool {
    prefixes(one).any(|a| prefixes(other).any(|b| overlap_prefix(&a, &b)))
}

fn overlap_prefix(a: &Cidr, b: &Cidr) -> bool {
    a.is_ipv6() == b.is_ipv6() && a.first() <= b.last() && b.first() <= a.last()
}

/// Is every prefix inside of another range's?
fn is_covered(range: &ServiceCIDR, all: &[Arc<ServiceCIDR>]) -> bool {
    let others = || {
        all.iter()
            .filter(|other| other.metadata.name != range.metadata.name)
    };
    prefixes(range).all(|own| {
        let covers = |theirs: Cidr| overlap_prefix(&theirs, &own) && theirs.prefix() <= own.prefix();
        others().any(|other| prefixes(other).any(covers))
    })
}

/// Is there an address that only this range holds?
fn orphans(range: &ServiceCIDR, all: &[Arc<ServiceCIDR>], addresses: &[Arc<IPAddress>]) -> bool {
    let mut given = addresses.iter().filter_map(|address| given_address(address));
    given.any(|address| {
        let mut holders = all.iter().filter(|other| holds(other, address));
        holders
            .next()
            .is_some_and(|first| first.metadata.name == range.metadata.name && holders.next().is_none())
    })
}

/// The address, if the server gave it to a service.
pub fn given_address(address: &IPAddress) -> Option<IpAddr> {
    let manager = address.metadata.labels.get(MANAGED_BY_LABEL)?;
    (manager == ALLOCATOR)
        .then(|| address.metadata.name.parse().ok())
        .flatten()
}

/// Could the range give this address? Not those of the network itself.
pub fn holds(range: &ServiceCIDR, address: IpAddr) -> bool {
    let (number, ipv6) = match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), false),
        IpAddr::V6(address) => (u128::from(address), true),
    };
    prefixes(range).any(|prefix| {
        let is_broadcast = !ipv6 && number == prefix.last();
        prefix.is_ipv6() == ipv6 && number > prefix.first() && number <= prefix.last() && !is_broadcast
    })
}

#[cfg(test)]
mod tests {
    use apimachinery::time::Time;

    use super::*;

    fn range(name: &str, prefixes: &[&str], deleted: bool) -> Arc<ServiceCIDR> {
        let mut range = ServiceCIDR::default();
        range.metadata.name = name.into();
        range.spec.cidrs = prefixes.iter().map(|text| (*text).to_owned()).collect();
        range.metadata.deletion_timestamp = deleted.then_some(Time(Timestamp::UNIX_EPOCH));
        Arc::new(range)
    }

    fn address(name: &str, manager: &str) -> Arc<IPAddress> {
        let mut address = IPAddress::default();
        address.metadata.name = name.into();
        address
            .metadata
            .labels
            .insert(MANAGED_BY_LABEL.into(), manager.into());
        Arc::new(address)
    }

    fn check(
        range_: &Arc<ServiceCIDR>,
        others: &[Arc<ServiceCIDR>],
        given: &[&str],
        seconds: i64,
        expected: Step,
    ) {
        let mut all = others.to_vec();
        all.push(range_.clone());
        let addresses: Vec<_> = given.iter().map(|name| address(name, ALLOCATOR)).collect();
        let now = Timestamp::from_second(seconds).expect("valid");
        assert_eq!(plan(range_, &all, &addresses, now), expected);
    }

    #[test]
    fn a_range_goes_when_its_addresses_belong_elsewhere() {
        check(
            &range("a", &["10.0.0.0/24"], false),
            &[],
            &["10.0.0.1"],
            0,
            Step::Keep(READY),
        );
        let going = range("a", &["10.0.0.0/24"], true);
        check(&going, &[], &[], 0, Step::Wait(GRACE));
        check(&going, &[], &[], 4, Step::Wait(Duration::from_secs(6)));
        check(&going, &[], &[], 10, Step::Release);
        check(&going, &[], &["10.0.0.1"], 10, Step::Block(BLOCKED));
        check(&going, &[], &["10.0.1.1", "fd00::1"], 10, Step::Release);
        let larger = [range("b", &["10.0.0.0/16"], false)];
        check(&going, &larger, &["10.0.0.1"], 10, Step::Release);
        let half = [range("b", &["10.0.0.0/25"], false)];
        check(&going, &half, &["10.0.0.1"], 10, Step::Release);
        check(&going, &half, &["10.0.0.200"], 10, Step::Block(BLOCKED));
        // Of both families, one is covered.
        let dual = range("a", &["10.0.0.0/24", "fd00::/112"], true);
        check(&dual, &larger, &["fd00::1"], 10, Step::Block(BLOCKED));
    }

    #[test]
    fn addresses_of_ranges() {
        let range = range("a", &["10.0.0.0/24", "fd00::/112"], false);
        let check = |address: &str, expected: bool| {
            assert_eq!(
                holds(&range, address.parse().expect("valid")),
                expected,
                "{address}"
            );
        };
        check("10.0.0.0", false);
        check("10.0.0.1", true);
        check("10.0.0.255", false);
        check("10.0.1.1", false);
        check("fd00::", false);
        check("fd00::ffff", true);
        assert_eq!(given_address(&address("10.0.0.1", "somebody")), None);
    }
}
