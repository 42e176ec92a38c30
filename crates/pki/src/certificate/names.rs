//! The names in certificates and signing requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::extensions::{GeneralName, SubjectAlternativeName};
use x509_parser::x509::X509Name;

use crate::der;

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const ORGANIZATION: &[u64] = &[2, 5, 4, 10];

/// A subject: a user's name and groups, when it is a client's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub common_name: String,
    pub organizations: Vec<String>,
    /// Attributes other than those two, by dotted identifier.
    pub others: Vec<String>,
}

impl Subject {
    pub fn new(common_name: &str, organizations: &[&str]) -> Self {
        Self {
            common_name: common_name.to_owned(),
            organizations: organizations.iter().map(|name| (*name).to_owned()).collect(),
            others: Vec::new(),
        }
    }

    /// Organizations stand before the common name, as Go writes them: several in one set.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let attribute = |oid: &[u64], value: &str| der::sequence(&[der::oid(oid), der::utf8(value)]);
        let mut names = Vec::new();
        if !self.organizations.is_empty() {
            let mut organizations: Vec<_> = self
                .organizations
                .iter()
                .map(|name| attribute(ORGANIZATION, name))
                .collect();
            // DER wants the elements of a set in order.
            organizations.sort();
            names.push(der::set(&organizations));
        }
        if !self.common_name.is_empty() {
            names.push(der::set(&[attribute(COMMON_NAME, &self.common_name)]));
        }
        der::sequence(&names)
    }
}

/// Subject alternative names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AltNames {
    pub dns: Vec<String>,
    pub ips: Vec<IpAddr>,
    pub uris: Vec<String>,
    pub emails: Vec<String>,
}

impl AltNames {
    pub fn is_empty(&self) -> bool {
        self.dns.is_empty() && self.ips.is_empty() && self.uris.is_empty() && self.emails.is_empty()
    }

    /// Adds a name to the list that it belongs in.
    pub fn push(&mut self, name: &str) {
        match name.parse() {
            Ok(ip) if !self.ips.contains(&ip) => self.ips.push(ip),
            Ok(_) => {}
            Err(_) if !self.dns.iter().any(|known| known == name) => self.dns.push(name.to_owned()),
            Err(_) => {}
        }
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        const EMAIL: u8 = der::tag::CONTEXT | 1;
        const DNS: u8 = der::tag::CONTEXT | 2;
        const URI: u8 = der::tag::CONTEXT | 6;
        const IP: u8 = der::tag::CONTEXT | 7;
        let text = |tag: u8, names: &[String]| {
            names
                .iter()
                .map(|name| der::element(tag, name.as_bytes()))
                .collect::<Vec<_>>()
        };
        let address = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => der::element(IP, &ip.octets()),
            IpAddr::V6(ip) => der::element(IP, &ip.octets()),
        };
        let mut names = text(DNS, &self.dns);
        names.extend(text(EMAIL, &self.emails));
        names.extend(self.ips.iter().map(address));
        names.extend(text(URI, &self.uris));
        der::sequence(&names)
    }
}

pub(crate) fn subject_from(name: &X509Name<'_>) -> Subject {
    let mut subject = Subject::default();
    for attribute in name.iter_attributes() {
        // Most string types are readable as text; what is not becomes a readable loss, never a match.
        let value = match attribute.as_str() {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(attribute.as_slice()).into_owned(),
        };
        let oid = attribute.attr_type().as_bytes();
        if oid == der::oid_content(COMMON_NAME) {
            subject.common_name = value;
        } else if oid == der::oid_content(ORGANIZATION) {
            subject.organizations.push(value);
        } else {
            subject.others.push(attribute.attr_type().to_id_string());
        }
    }
    subject
}

pub(crate) fn alt_names_from(extension: &SubjectAlternativeName<'_>) -> AltNames {
    let mut names = AltNames::default();
    for name in &extension.general_names {
        match name {
            GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
            GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
            GeneralName::URI(name) => names.uris.push((*name).to_owned()),
            GeneralName::IPAddress(octets) => names.ips.extend(address(octets)),
            _ => {}
        }
    }
    names
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets)
            .ok()
            .map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
        16 => <[u8; 16]>::try_from(octets)
            .ok()
            .map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        _ => None,
    }
}
