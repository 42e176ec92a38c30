//! From a name to its records: the specification of kubernetes/dns, version 1.1.0, as CoreDNS reads it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::service::{Port, ServiceKey, Target};
use crate::zone::Zone;

/// What `dns-version` answers.
const SPECIFICATION_VERSION: &str = "1.1.0";

/// The zone's fixed facts.
#[derive(Clone, Debug)]
pub struct Domain {
    /// `cluster.local.`
    pub name: Name,
    /// Seconds that answers may be kept.
    pub ttl: u32,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq)]
pub enum Lookup {
    /// The name exists; records of the type asked for, possibly none.
    Found(Found),
    /// The name stands for another.
    Alias(Box<Alias>),
    /// In the zone, and not there.
    NameError,
    /// Not in the zone, and nobody's address in the cluster.
    Outside,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    pub record: Record,
    pub target: Name,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    pub answers: Vec<Record>,
    pub additionals: Vec<Record>,
}

/// Looks up `name` for records of type `kind`.
pub fn lookup(zone: &Zone, domain: &Domain, name: &Name, kind: RecordType) -> Lookup {
    let search = Search {
        zone,
        domain,
        name,
        kind,
    };
    if domain.name.zone_of(name) {
        search.in_zone()
    } else {
        search.reverse()
    }
}

/// The record that goes with a negative answer.
pub fn authority(domain: &Domain) -> Option<Record> {
    let primary = Name::from_ascii("ns.dns")
        .ok()?
        .append_domain(&domain.name)
        .ok()?;
    let mailbox = Name::from_ascii("hostmaster")
        .ok()?
        .append_domain(&domain.name)
        .ok()?;
    // The zone has no history, hence no serial number that means anything.
    let soa = SOA::new(primary, mailbox, 1, 7200, 1800, 86_400, domain.ttl);
    Some(Record::from_rdata(
        domain.name.clone(),
        domain.ttl,
        RData::SOA(soa),
    ))
}

struct Search<'a> {
    zone: &'a Zone,
    domain: &'a Domain,
    name: &'a Name,
    kind: RecordType,
}

fn empty() -> Lookup {
    Lookup::Found(Found::default())
}

impl Search<'_> {
    fn in_zone(&self) -> Lookup {
        let count = usize::from(self.name.num_labels()) - usize::from(self.domain.name.num_labels());
        let labels: Vec<String> = self
            .name
            .iter()
            .take(count)
            .map(|label| String::from_utf8_lossy(label).to_lowercase())
            .collect();
        let labels: Vec<&str> = labels.iter().map(String::as_str).rev().collect();
        match labels.as_slice() {
            [] => self.apex(),
            ["dns-version"] => self.single(RecordType::TXT, || {
                RData::TXT(TXT::new(vec![SPECIFICATION_VERSION.to_owned()]))
            }),
            ["svc" | "pod" | "dns"] | ["dns", "ns"] => empty(),
            ["svc", namespace, rest @ ..] if self.zone.has_namespace(namespace) => {
                self.service(namespace, rest)
            }
            ["pod", namespace, rest @ ..] if self.zone.has_namespace(namespace) => self.pod(rest),
            _ => Lookup::NameError,
        }
    }

    fn apex(&self) -> Lookup {
        match self.kind {
            RecordType::SOA => self.found(authority(self.domain)),
            RecordType::NS => {
                let server = Name::from_ascii("ns.dns")
                    .ok()
                    .and_then(|n| n.append_domain(&self.domain.name).ok());
                self.found(server.map(|server| self.record(RData::NS(NS(server)))))
            }
            _ => empty(),
        }
    }

    fn found(&self, answers: impl IntoIterator<Item = Record>) -> Lookup {
        Lookup::Found(Found {
            answers: answers.into_iter().collect(),
            additionals: Vec::new(),
        })
    }

    fn single(&self, kind: RecordType, data: impl FnOnce() -> RData) -> Lookup {
        self.found((self.kind == kind).then(|| self.record(data())))
    }

    fn record(&self, data: RData) -> Record {
        // The name as it was asked for: clients check its case (draft-vixie-dnsext-dns0x20).
        Record::from_rdata(self.name.clone(), self.domain.ttl, data)
    }

    /// `rest` are the labels before the namespace, nearest first.
    fn service(&self, namespace: &str, rest: &[&str]) -> Lookup {
        let Some((name, rest)) = rest.split_first() else {
            return empty();
        };
        let key = ServiceKey::new(namespace, name);
        let Some(service) = self.zone.service(&key) else {
            return Lookup::NameError;
        };
        match (&service.target, rest) {
            (Target::External(target), []) => self.external(target),
            (Target::External(_), _) => Lookup::NameError,
            (Target::ClusterIps(ips), []) if self.kind == RecordType::SRV => {
                self.service_locations(&key, &service.ports, ips)
            }
            (Target::ClusterIps(ips), []) => self.addresses(ips.iter().copied()),
            (Target::Headless, []) if self.kind == RecordType::SRV => self.endpoint_locations(&key, |_| true),
            (Target::Headless, []) => {
                self.addresses(self.zone.endpoints(&key).map(|(endpoint, _)| endpoint.ip))
            }
            (target, [protocol]) if protocol.starts_with('_') => {
                self.protocol(&key, target, &service.ports, protocol)
            }
            (target, [protocol, port]) if protocol.starts_with('_') && port.starts_with('_') => {
                self.port(&key, target, &service.ports, protocol, port)
            }
            (_, [endpoint]) => self.endpoint(&key, endpoint),
            _ => Lookup::NameError,
        }
    }

    fn external(&self, target: &str) -> Lookup {
        // A name that the API let pass may still be no domain name.
        let Ok(target) = Name::from_ascii(format!("{target}.")) else {
            return empty();
        };
        Lookup::Alias(Box::new(Alias {
            record: self.record(RData::CNAME(CNAME(target.clone()))),
            target,
        }))
    }

    fn addresses(&self, ips: impl Iterator<Item = IpAddr>) -> Lookup {
        let ips: BTreeSet<IpAddr> = ips.collect();
        self.found(
            ips.into_iter()
                .filter_map(|ip| Some(self.record(address(ip, self.kind)?))),
        )
    }

    /// `_tcp.service` exists if a port has the protocol, but has no records.
    fn protocol(&self, key: &ServiceKey, target: &Target, ports: &[Port], protocol: &str) -> Lookup {
        let has = |ports: &[Port]| {
            ports
                .iter()
                .any(|port| protocol.strip_prefix('_') == Some(port.protocol))
        };
        let exists = match target {
            Target::Headless => self.zone.endpoints(key).any(|(_, ports)| has(ports)),
            _ => has(ports),
        };
        if exists { empty() } else { Lookup::NameError }
    }

    fn port(&self, key: &ServiceKey, target: &Target, ports: &[Port], protocol: &str, name: &str) -> Lookup {
        let matches = |port: &Port| {
            protocol.strip_prefix('_') == Some(port.protocol) && name.strip_prefix('_') == Some(&port.name)
        };
        match target {
            Target::ClusterIps(ips) => {
                let ports: Vec<Port> = ports.iter().filter(|port| matches(port)).cloned().collect();
                if ports.is_empty() {
                    return Lookup::NameError;
                }
                self.service_locations(key, &ports, ips)
            }
            _ => {
                if !self
                    .zone
                    .endpoints(key)
                    .any(|(_, ports)| ports.iter().any(matches))
                {
                    return Lookup::NameError;
                }
                self.endpoint_locations(key, matches)
            }
        }
    }

    fn service_name(&self, key: &ServiceKey, before: Option<&str>) -> Option<Name> {
        let labels = before.into_iter().chain([&*key.name, &*key.namespace, "svc"]);
        Name::from_labels(labels.map(str::as_bytes))
            .ok()?
            .append_domain(&self.domain.name)
            .ok()
    }

    fn service_locations(&self, key: &ServiceKey, ports: &[Port], ips: &[IpAddr]) -> Lookup {
        let Some(target) = self.service_name(key, None) else {
            return empty();
        };
        if self.kind != RecordType::SRV {
            return empty();
        }
        let weight = weight(ports.len());
        let location =
            |port: &Port| self.record(RData::SRV(SRV::new(0, weight, port.number, target.clone())));
        Lookup::Found(Found {
            answers: ports.iter().map(location).collect(),
            additionals: ips.iter().map(|ip| self.additional(&target, *ip)).collect(),
        })
    }

    fn endpoint_locations(&self, key: &ServiceKey, matches: impl Fn(&Port) -> bool) -> Lookup {
        if self.kind != RecordType::SRV {
            return empty();
        }
        let all: Vec<_> = self
            .zone
            .endpoints(key)
            .flat_map(|(endpoint, ports)| ports.iter().map(move |port| (endpoint, port)))
            .filter(|(_, port)| matches(port))
            .collect();
        let weight = weight(all.len());
        let mut found = Found::default();
        let mut told = BTreeSet::new();
        for (endpoint, port) in all {
            let label = endpoint.label();
            let Some(target) = self.service_name(key, Some(&label)) else {
                continue;
            };
            if told.insert((label.clone(), None, port.number)) {
                found
                    .answers
                    .push(self.record(RData::SRV(SRV::new(0, weight, port.number, target.clone()))));
            }
            if told.insert((label, Some(endpoint.ip), 0)) {
                found.additionals.push(self.additional(&target, endpoint.ip));
            }
        }
        Lookup::Found(found)
    }

    fn additional(&self, name: &Name, ip: IpAddr) -> Record {
        Record::from_rdata(name.clone(), self.domain.ttl, any_address(ip))
    }

    fn endpoint(&self, key: &ServiceKey, label: &str) -> Lookup {
        let named: Vec<_> = self
            .zone
            .endpoints(key)
            .filter(|(endpoint, _)| endpoint.label() == label)
            .collect();
        if named.is_empty() {
            return Lookup::NameError;
        }
        self.addresses(named.into_iter().map(|(endpoint, _)| endpoint.ip))
    }

    /// `1-2-3-4.ns.pod`: any address is as good as another (CoreDNS's `pods insecure`, kept for kube-dns' sake).
    fn pod(&self, rest: &[&str]) -> Lookup {
        match rest {
            [] => empty(),
            [label] => match label
                .replace('-', ".")
                .parse()
                .or_else(|_| label.replace('-', ":").parse())
            {
                Ok(ip) => self.addresses(std::iter::once(ip)),
                Err(_) => Lookup::NameError,
            },
            _ => Lookup::NameError,
        }
    }

    /// Names of addresses: a cluster IP's service, or an endpoint's names under its services.
    fn reverse(&self) -> Lookup {
        let Some(ip) = reversed(self.name) else {
            return Lookup::Outside;
        };
        let names: Vec<Name> = match self.zone.service_with_ip(ip) {
            Some(key) => self.service_name(key, None).into_iter().collect(),
            None => self
                .zone
                .services_with_endpoint(ip)
                .into_iter()
                .flat_map(|key| self.endpoint_names(key, ip))
                .collect(),
        };
        if names.is_empty() {
            return Lookup::Outside;
        }
        let wanted = self.kind == RecordType::PTR;
        self.found(
            names
                .into_iter()
                .filter(|_| wanted)
                .map(|name| self.record(RData::PTR(PTR(name)))),
        )
    }

    fn endpoint_names(&self, key: &ServiceKey, ip: IpAddr) -> Vec<Name> {
        let labels: BTreeSet<String> = self
            .zone
            .endpoints(key)
            .filter(|(e, _)| e.ip == ip)
            .map(|(e, _)| e.label())
            .collect();
        labels
            .iter()
            .filter_map(|label| self.service_name(key, Some(label)))
            .collect()
    }
}

/// The address in a name under `in-addr.arpa` or `ip6.arpa`, if it is a whole one.
fn reversed(name: &Name) -> Option<IpAddr> {
    let net = name.parse_arpa_name().ok()?;
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

fn address(ip: IpAddr, kind: RecordType) -> Option<RData> {
    matches!(
        (ip, kind),
        (IpAddr::V4(_), RecordType::A) | (IpAddr::V6(_), RecordType::AAAA)
    )
    .then(|| any_address(ip))
}

fn any_address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

/// An equal share of a hundred, as CoreDNS gives.
fn weight(count: usize) -> u16 {
    u16::try_from(100 / count.max(1)).unwrap_or(100).max(1)
}

#[cfg(test)]
mod tests;
