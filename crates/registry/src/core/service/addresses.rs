//! Cluster addresses of Services: an IPAddress object for each, whose absence is what makes an address free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use api::Message;
use api::codec::{TypeMeta, envelope};
use api::core::v1::Service;
use api::networking::v1::{IPAddress, IPAddressSpec, ParentReference, ServiceCIDR};
use apimachinery::time::Time;
use apimachinery::validation::parse_cidr_sloppy;
use bytes::Bytes;
use jiff::Timestamp;
use storage::{Expect, RangeRequest, Store, Write};

use super::families::Family;

const PREFIX: &str = "/registry/ipaddresses/";
const CIDR_PREFIX: &str = "/registry/servicecidrs/";
const TYPE: TypeMeta<'static> = TypeMeta {
    api_version: "networking.k8s.io/v1",
    kind: "IPAddress",
};
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
const IP_FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
const MANAGER: &str = "ipallocator.k8s.io";
/// How many taken addresses in a row are looked at before the range counts as full.
const MAX_PROBES: u128 = 1 << 16;

/// Why an address was not allotted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("provided IP is already allocated")]
    Taken,
    #[error("the provided network does not match the current range")]
    NotInRange,
    #[error("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {range}")]
    Reserved { ip: IpAddr, range: String },
    #[error("range is full")]
    Full,
    #[error(transparent)]
    Store(#[from] storage::Error),
}

/// A prefix that service addresses come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: u128,
    bits: u32,
    family: Family,
    length: u8,
}

impl Cidr {
    pub fn parse(text: &str) -> Option<Cidr> {
        let (address, length) = parse_cidr_sloppy(text)?;
        let (value, width, family) = match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32, Family::V4),
            IpAddr::V6(v6) => (u128::from(v6), 128, Family::V6),
        };
        let bits = width - u32::from(length);
        let first = if bits >= 128 { 0 } else { value >> bits << bits };
        Some(Cidr {
            first,
            bits,
            family,
            length,
        })
    }

    pub fn family(&self) -> Family {
        self.family
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        self.offset(ip).is_some()
    }

    fn address(&self, offset: u128) -> IpAddr {
        let value = self.first + offset;
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(value).unwrap_or(u32::MAX))),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(value)),
        }
    }

    fn offset(&self, ip: IpAddr) -> Option<u128> {
        let value = match (ip, self.family) {
            (IpAddr::V4(v4), Family::V4) => u128::from(u32::from(v4)),
            (IpAddr::V6(v6), Family::V6) => u128::from(v6),
            _ => return None,
        };
        let offset = value.checked_sub(self.first)?;
        (self.bits >= 128 || offset >> self.bits == 0).then_some(offset)
    }

    /// Offsets that may be allotted: neither the first address nor, with IPv4, the last.
    fn usable(&self) -> (u128, u128) {
        let last = if self.bits >= 128 {
            u128::MAX
        } else {
            (1 << self.bits) - 1
        };
        (
            1,
            if self.family == Family::V4 {
                last.saturating_sub(1)
            } else {
                last
            },
        )
    }

    /// How many of the first addresses are left to those who ask for one by number, as long as there are others.
    fn reserved(&self) -> u128 {
        let (first, last) = self.usable();
        let size = (last + 1).saturating_sub(first);
        if size < 16 { 0 } else { (size / 16).clamp(16, 256) }
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address(0), self.length)
    }
}

/// The addresses of a cluster's services.
pub struct Addresses {
    store: Arc<dyn Store>,
    /// As configured; ServiceCIDR objects add to them.
    configured: Vec<Cidr>,
}

impl Addresses {
    pub fn new(store: Arc<dyn Store>, configured: Vec<Cidr>) -> Addresses {
        Addresses { store, configured }
    }

    /// Takes the address that a client asked for.
    pub async fn take(
        &self,
        service: &Service,
        ip: IpAddr,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<(), Error> {
        let cidrs = self.cidrs().await?;
        let (cidr, offset) = cidrs
            .iter()
            .find_map(|cidr| Some((cidr, cidr.offset(ip)?)))
            .ok_or(Error::NotInRange)?;
        let (first, last) = cidr.usable();
        if offset < first || offset > last {
            return Err(Error::Reserved {
                ip,
                range: cidr.to_string(),
            });
        }
        if dry_run {
            return Ok(());
        }
        self.record(service, ip, now).await
    }

    /// Takes any free address of the family.
    pub async fn pick(
        &self,
        service: &Service,
        family: Family,
        now: Timestamp,
        dry_run: bool,
    ) -> Result<IpAddr, Error> {
        let cidrs = self.cidrs().await?;
        for cidr in cidrs.iter().filter(|cidr| cidr.family == family) {
            if dry_run {
                return Ok(cidr.address(0));
            }
            let (first, last) = cidr.usable();
            let upper = first + cidr.reserved();
            for (from, to) in [(upper, last), (first, upper.saturating_sub(1).min(last))] {
                if let Some(ip) = self.pick_between(service, cidr, from, to, now).await? {
                    return Ok(ip);
                }
            }
        }
        Err(Error::Full)
    }

    /// Tries the offsets from a random one on, around to where it began.
    async fn pick_between(
        &self,
        service: &Service,
        cidr: &Cidr,
        from: u128,
        to: u128,
        now: Timestamp,
    ) -> Result<Option<IpAddr>, Error> {
        let Some(span) = to.checked_sub(from) else {
            return Ok(None);
        };
        let count = span.saturating_add(1);
        let start = uuid::Uuid::new_v4().as_u128() % count;
        for step in 0..count.min(MAX_PROBES) {
            let ip = cidr.address(from + (start + step) % count);
            match self.record(service, ip, now).await {
                Ok(()) => return Ok(Some(ip)),
                Err(Error::Taken) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Gives addresses back.
    pub async fn release(&self, ips: &[IpAddr]) -> Result<(), Error> {
        for ip in ips {
            let key = format!("{PREFIX}{ip}");
            loop {
                let (_, found) = self.store.get(key.as_bytes(), None).await?;
                let Some(standing) = found else { break };
                let expect = Expect::Unchanged(standing.mod_revision);
                match self.store.commit(key.as_bytes(), expect, Write::Delete).await {
                    Ok(_) => break,
                    Err(storage::Error::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    async fn record(&self, service: &Service, ip: IpAddr, now: Timestamp) -> Result<(), Error> {
        let key = format!("{PREFIX}{ip}");
        let object = address_object(service, ip, now);
        let value = Bytes::from(envelope::wrap(TYPE, &object.encode_to_vec()));
        match self
            .store
            .commit(key.as_bytes(), Expect::Absent, Write::Put { value, ttl: None })
            .await
        {
            Ok(_) => Ok(()),
            Err(storage::Error::Conflict { .. }) => Err(Error::Taken),
            Err(error) => Err(error.into()),
        }
    }

    /// The configured prefixes, and those of ready ServiceCIDR objects.
    async fn cidrs(&self) -> Result<Vec<Cidr>, Error> {
        let request = RangeRequest {
            prefix: CIDR_PREFIX.into(),
            ..RangeRequest::default()
        };
        let mut cidrs = self.configured.clone();
        for item in self.store.range(request).await?.items {
            // An object that can't be read offers no addresses; those configured remain.
            let value = item.value.bytes();
            let Ok(unwrapped) = envelope::unwrap(&value) else {
                continue;
            };
            let Ok(object) = ServiceCIDR::decode(unwrapped.raw) else {
                continue;
            };
            if is_ready(&object) {
                let more = object.spec.cidrs.iter().filter_map(|text| Cidr::parse(text));
                cidrs.extend(more.filter(|cidr| !self.configured.contains(cidr)));
            }
        }
        Ok(cidrs)
    }
}

fn is_ready(cidr: &ServiceCIDR) -> bool {
    let ready = cidr
        .status
        .conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && cidr.metadata.deletion_timestamp.is_none()
}

fn address_object(service: &Service, ip: IpAddr, now: Timestamp) -> IPAddress {
    let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
    let mut object = IPAddress::default();
    object.metadata.name = ip.to_string();
    object.metadata.uid = uuid::Uuid::new_v4().to_string();
    object.metadata.creation_timestamp = Some(Time(now).truncated());
    object.metadata.labels = [(IP_FAMILY, family.name()), (MANAGED_BY, MANAGER)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    object.spec = IPAddressSpec {
        parent_ref: Some(Box::new(ParentReference {
            group: String::new(),
            resource: "services".to_owned(),
            namespace: service.metadata.namespace.clone(),
            name: service.metadata.name.clone(),
        })),
    };
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_knows_its_addresses() {
        let cidr = Cidr::parse("10.96.0.0/12").unwrap();
        assert_eq!(cidr.to_string(), "10.96.0.0/12");
        assert_eq!(cidr.usable(), (1, (1 << 20) - 2));
        assert_eq!(cidr.reserved(), 256);
        assert_eq!(cidr.offset("10.96.0.10".parse().unwrap()), Some(10));
        assert_eq!(cidr.offset("10.112.0.1".parse().unwrap()), None);
        assert_eq!(cidr.address(10).to_string(), "10.96.0.10");
        let v6 = Cidr::parse("fd00::/112").unwrap();
        assert_eq!(v6.usable(), (1, 0xffff));
        assert_eq!(v6.offset("10.96.0.10".parse().unwrap()), None);
    }
}
