//! The functions: the language's own and Kubernetes'.
//!
//! The language: [`operators`], [`conversions`], [`time`], [`strings`] with [`format`], [`lists`], [`sets`],
//! [`optional`]. Kubernetes: [`regex`], [`network`], [`quantity`], [`url`], [`semver`], [`formats`], [`authorizer`],
//! [`patches`].

pub mod authorizer;
mod conversions;
mod format;
mod formats;
mod lists;
mod network;
mod operators;
mod optional;
pub mod patches;
mod quantity;
mod regex;
mod semver;
mod sets;
mod strings;
pub mod time;
mod url;

use std::net::IpAddr;
use std::sync::Arc;

use apimachinery::quantity::Quantity;

use crate::evaluate::{Error, Outcome};
use crate::functions::Row;
use crate::value::Value;

pub use formats::NamedFormat;
pub use network::Network;
pub use semver::Semver;
pub use url::Url;

pub(crate) const TABLES: [&[Row]; 17] = [
    operators::TABLE,
    conversions::TABLE,
    time::TABLE,
    strings::TABLE,
    format::TABLE,
    lists::TABLE,
    lists::MORE,
    sets::TABLE,
    optional::TABLE,
    regex::TABLE,
    network::TABLE,
    quantity::TABLE,
    url::TABLE,
    semver::TABLE,
    formats::TABLE,
    authorizer::TABLE,
    patches::TABLE,
];

/// Values of types that Kubernetes adds.
#[derive(Clone, Debug)]
pub enum Extension {
    Quantity(Arc<Quantity>),
    Semver(Arc<Semver>),
    Url(Arc<Url>),
    Format(&'static NamedFormat),
    Ip(IpAddr),
    Cidr(Network),
    Authorizer(authorizer::Authorizer),
    PathCheck(Arc<authorizer::PathCheck>),
    GroupCheck(Arc<authorizer::GroupCheck>),
    ResourceCheck(Arc<authorizer::ResourceCheck>),
    Decision(Arc<authorizer::Decision>),
}

impl Extension {
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Quantity(_) => "kubernetes.Quantity",
            Self::Semver(_) => "kubernetes.Semver",
            Self::Url(_) => "kubernetes.URL",
            Self::Format(_) => "kubernetes.NamedFormat",
            Self::Ip(_) => "net.IP",
            Self::Cidr(_) => "net.CIDR",
            Self::Authorizer(_) => authorizer::AUTHORIZER,
            Self::PathCheck(_) => authorizer::PATH_CHECK,
            Self::GroupCheck(_) => authorizer::GROUP_CHECK,
            Self::ResourceCheck(_) => authorizer::RESOURCE_CHECK,
            Self::Decision(_) => authorizer::DECISION,
        }
    }

    /// For costs: the bytes of an address.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Ip(ip) => address_size(*ip),
            Self::Cidr(network) => address_size(network.address),
            _ => 1,
        }
    }
}

fn address_size(ip: IpAddr) -> usize {
    if ip.is_ipv4() { 4 } else { 16 }
}

impl PartialEq for Extension {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantity(one), Self::Quantity(other)) => one == other,
            (Self::Semver(one), Self::Semver(other)) => one == other,
            (Self::Url(one), Self::Url(other)) => one.text == other.text,
            (Self::Format(one), Self::Format(other)) => one.name == other.name,
            (Self::Ip(one), Self::Ip(other)) => one == other,
            (Self::Cidr(one), Self::Cidr(other)) => one == other,
            (Self::PathCheck(one), Self::PathCheck(other)) => Arc::ptr_eq(one, other),
            (Self::GroupCheck(one), Self::GroupCheck(other)) => Arc::ptr_eq(one, other),
            (Self::ResourceCheck(one), Self::ResourceCheck(other)) => Arc::ptr_eq(one, other),
            (Self::Decision(one), Self::Decision(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

/// Strings that functions make are no longer, in bytes: what would be is over any budget.
const LONGEST: usize = 16 << 20;

fn text<'a>(text: String) -> Outcome<'a> {
    if text.len() > LONGEST {
        Err(Error::Cost)
    } else {
        Ok(Value::text(text))
    }
}

fn wrong<'a>(message: impl Into<String>) -> Outcome<'a> {
    Err(Error::Value(message.into()))
}

fn overload<'a>() -> Outcome<'a> {
    Err(Error::overload())
}
