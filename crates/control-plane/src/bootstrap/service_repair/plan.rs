//! What is wrong between Services and what is recorded as theirs. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use api::core::v1::{ObjectReference, Service};
use api::networking::v1::{IPAddress, IPAddressSpec, ParentReference};
use jiff::{SignedDuration, Timestamp};
use registry::{Cidr, PortRange, node_ports};

/// A port that no Service has is kept for so many rounds: its Service may be about to be written.
const ROUNDS_BEFORE_LEAKED: u8 = 3;
/// As long as a request may take, an address may be there without its Service.
const GRACE: SignedDuration = SignedDuration::from_secs(60);

const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const IP_FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGER: &str = "ipallocator.k8s.io";

/// Ports that seem to have leaked, and for how many more rounds they are kept.
pub type Leaks = BTreeMap<i32, u8>;

/// Something that an administrator should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub object: ObjectReference,
    pub reason: &'static str,
    pub action: &'static str,
    pub note: String,
}

/// A change of the recorded addresses.
#[derive(Clone, Debug, PartialEq)]
pub enum Fix {
    Create(Box<IPAddress>),
    Delete(String),
}

/// The ports that are to be recorded.
pub fn ports(
    services: &[Box<Service>],
    recorded: &BTreeSet<i32>,
    leaks: &mut Leaks,
    range: PortRange,
) -> (BTreeSet<i32>, Vec<Finding>) {
    let (mut wanted, mut findings) = (BTreeSet::new(), Vec::new());
    for service in services {
        for port in node_ports::held(service) {
            let (reason, note) = if !range.contains(port) {
                let note =
                    format!("Port {port} is not within the port range {range}; please recreate service");
                ("PortOutOfRange", note)
            } else if !wanted.insert(port) {
                let note = format!("Port {port} was assigned to multiple services; please recreate service");
                ("PortAlreadyAllocated", note)
            } else if !recorded.contains(&port) {
                (
                    "PortNotAllocated",
                    format!("Port {port} is not allocated; repairing"),
                )
            } else {
                continue;
            };
            findings.push(finding(service, reason, "PortAllocation", note));
        }
    }
    leaks.retain(|port, _| recorded.contains(port) && !wanted.contains(port));
    for &port in recorded.difference(&wanted.clone()) {
        let left = leaks.entry(port).or_insert(ROUNDS_BEFORE_LEAKED);
        *left = left.saturating_sub(1);
        if *left > 0 {
            wanted.insert(port);
        }
    }
    (wanted, findings)
}

/// The changes that make the recorded addresses those of the Services.
pub fn addresses(
    services: &[Box<Service>],
    recorded: &[Box<IPAddress>],
    ranges: &[Cidr],
    now: Timestamp,
) -> (Vec<Fix>, Vec<Finding>) {
    let by_address: BTreeMap<&str, &IPAddress> = recorded
        .iter()
        .map(|address| (address.metadata.name.as_str(), &**address))
        .collect();
    let (mut fixes, mut findings) = (Vec::new(), Vec::new());
    for service in services {
        for ip in held(service) {
            let text = ip.to_string();
            let mut find =
                |reason, note| findings.push(finding(service, reason, "ClusterIPAllocation", note));
            let family = family(&ip);
            if !ranges.iter().any(|range| range.contains(ip)) {
                let note = format!(
                    "Cluster IP [{family}]: {text} is not within any configured Service CIDR; please recreate service"
                );
                find("ClusterIPOutOfRange", note);
                continue;
            }
            match by_address.get(text.as_str()) {
                None => {
                    let note = format!("Cluster IP [{family}]: {text} is not allocated; repairing");
                    find("ClusterIPNotAllocated", note);
                    fixes.push(Fix::Create(Box::new(address_of(service, &ip))));
                }
                Some(address) if refers_to(address, service) => {}
                Some(address) => match owner(services, address) {
                    Some(other) if held(other).any(|other| other == ip) => {
                        let note = format!(
                            "Cluster IP [{family}]:{text} was assigned to multiple services; please recreate service"
                        );
                        find("ClusterIPAlreadyAllocated", note);
                    }
                    _ => {
                        let (namespace, name) = (&service.metadata.namespace, &service.metadata.name);
                        let note = format!(
                            "the ClusterIP [{family}]: {text} for Service {namespace}/{name} has a wrong reference; repairing"
                        );
                        find("ClusterIPNotAllocated", note);
                        fixes.push(Fix::Delete(text));
                        fixes.push(Fix::Create(Box::new(address_of(service, &ip))));
                    }
                },
            }
        }
    }
    let leaked = recorded
        .iter()
        .filter(|address| is_leaked(services, address, now));
    for address in leaked {
        let name = &address.metadata.name;
        let fix = Fix::Delete(name.clone());
        if !fixes.contains(&fix) {
            note_leak(address, &mut findings);
            fixes.push(fix);
        }
    }
    (fixes, findings)
}

fn note_leak(address: &IPAddress, findings: &mut Vec<Finding>) {
    let parent = address.spec.parent_ref.as_deref().cloned().unwrap_or_default();
    let note = format!(
        "IPAddress: {} for Service {}/{} appears to have leaked: cleaning up",
        address.metadata.name, parent.namespace, parent.name
    );
    findings.push(Finding {
        object: ObjectReference {
            api_version: "networking.k8s.io/v1".to_owned(),
            kind: "IPAddress".to_owned(),
            name: address.metadata.name.clone(),
            uid: address.metadata.uid.clone(),
            ..ObjectReference::default()
        },
        reason: "IPAddressNotAllocated",
        action: "IPAddressAllocation",
        note,
    });
}

/// One that we made, long enough ago, and that no Service has.
fn is_leaked(services: &[Box<Service>], address: &IPAddress, now: Timestamp) -> bool {
    let ours = address
        .metadata
        .labels
        .get(MANAGED_BY)
        .is_some_and(|manager| manager == MANAGER);
    let created = address
        .metadata
        .creation_timestamp
        .map_or(Timestamp::MIN, |time| time.0);
    ours && now.duration_since(created) > GRACE
        && !owner(services, address)
            .is_some_and(|service| held(service).any(|ip| ip.to_string() == address.metadata.name))
}

/// The Service that an address says to be of.
fn owner<'a>(services: &'a [Box<Service>], address: &IPAddress) -> Option<&'a Service> {
    services
        .iter()
        .map(|service| &**service)
        .find(|service| refers_to(address, service))
}

fn refers_to(address: &IPAddress, service: &Service) -> bool {
    address.spec.parent_ref.as_ref().is_some_and(|parent| {
        parent.group.is_empty()
            && parent.resource == "services"
            && parent.namespace == service.metadata.namespace
            && parent.name == service.metadata.name
    })
}

fn held(service: &Service) -> impl Iterator<Item = IpAddr> + '_ {
    // Headless ones say `None`.
    service.spec.cluster_ips.iter().filter_map(|ip| ip.parse().ok())
}

fn family(ip: &IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn address_of(service: &Service, ip: &IpAddr) -> IPAddress {
    let mut address = IPAddress::default();
    address.metadata.name = ip.to_string();
    for (label, value) in [(IP_FAMILY, family(ip)), (MANAGED_BY, MANAGER)] {
        address.metadata.labels.insert(label.to_owned(), value.to_owned());
    }
    address.spec = IPAddressSpec {
        parent_ref: Some(Box::new(ParentReference {
            group: String::new(),
            resource: "services".to_owned(),
            namespace: service.metadata.namespace.clone(),
            name: service.metadata.name.clone(),
        })),
    };
    address
}

fn finding(service: &Service, reason: &'static str, action: &'static str, note: String) -> Finding {
    Finding {
        object: ObjectReference {
            api_version: "v1".to_owned(),
            kind: "Service".to_owned(),
            namespace: service.metadata.namespace.clone(),
            name: service.metadata.name.clone(),
            uid: service.metadata.uid.clone(),
            ..ObjectReference::default()
        },
        reason,
        action,
        note,
    }
}

#[cfg(test)]
mod tests {
    use api::core::v1::ServicePort;
    use apimachinery::time::Time;

    use super::*;

    fn service(name: &str, ip: &str, node_port: i32) -> Box<Service> {
        let mut service = Service::default();
        service.metadata.name = name.to_owned();
        service.metadata.namespace = "ns".to_owned();
        service.spec.cluster_ips = vec![ip.to_owned()];
        service.spec.ports = vec![ServicePort {
            node_port,
            ..ServicePort::default()
        }];
        Box::new(service)
    }

    fn address(of: &Service, ip: &str, created: i64) -> Box<IPAddress> {
        let mut address = address_of(of, &ip.parse().expect("an address"));
        let created = Timestamp::from_second(created).expect("a time");
        address.metadata.creation_timestamp = Some(Time(created));
        Box::new(address)
    }

    fn reasons(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|found| format!("{} {}", found.object.name, found.reason))
            .collect()
    }

    #[test]
    fn ports_are_those_of_services_and_leaks_go_after_a_while() {
        let range = PortRange {
            first: 30000,
            count: 100,
        };
        let services = [
            service("a", "None", 30001),
            service("b", "None", 30001),
            service("c", "None", 30002),
            service("d", "None", 40000),
        ];
        let mut leaks = Leaks::new();
        let mut recorded = BTreeSet::from([30001, 30050]);
        for round in 1..=3 {
            let (wanted, findings) = ports(&services, &recorded, &mut leaks, range);
            if round == 1 {
                assert_eq!(
                    reasons(&findings),
                    ["b PortAlreadyAllocated", "c PortNotAllocated", "d PortOutOfRange"]
                );
            }
            assert_eq!(wanted.contains(&30050), round < 3, "round {round}");
            recorded = wanted;
        }
        assert_eq!(recorded, BTreeSet::from([30001, 30002]));
    }

    #[test]
    fn addresses_are_those_of_services() {
        let ranges = [Cidr::parse("10.0.0.0/24").expect("a range")];
        let services = [
            service("kept", "10.0.0.1", 0),
            service("lost", "10.0.0.2", 0),
            service("twice", "10.0.0.1", 0),
            service("far", "10.9.0.1", 0),
            service("stolen", "10.0.0.3", 0),
        ];
        let gone = service("gone", "10.0.0.9", 0);
        let recorded = [
            address(&services[0], "10.0.0.1", 0),
            address(&gone, "10.0.0.3", 990),
            address(&gone, "10.0.0.8", 0),
            address(&gone, "10.0.0.9", 990),
        ];
        let now = Timestamp::from_second(1000).expect("a time");
        let (fixes, findings) = addresses(&services, &recorded, &ranges, now);
        let fixes: Vec<String> = fixes
            .iter()
            .map(|fix| match fix {
                Fix::Create(address) => format!("+{}", address.metadata.name),
                Fix::Delete(name) => format!("-{name}"),
            })
            .collect();
        assert_eq!(fixes, ["+10.0.0.2", "-10.0.0.3", "+10.0.0.3", "-10.0.0.8"]);
        assert_eq!(
            reasons(&findings),
            [
                "lost ClusterIPNotAllocated",
                "twice ClusterIPAlreadyAllocated",
                "far ClusterIPOutOfRange",
                "stolen ClusterIPNotAllocated",
                "10.0.0.8 IPAddressNotAllocated"
            ]
        );
    }
}
