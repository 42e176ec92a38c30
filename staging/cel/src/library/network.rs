//! Addresses and networks.

use std::net::{IpAddr, Ipv4Addr};

use apimachinery::validation::masked;

use super::{Extension, overload, wrong};
use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::functions::Row;
use crate::value::Value;

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "ip",
        signatures: &["(string) -> ip", "cidr.() -> ip"],
        cost: Cost::Traverse,
        code: ip,
    },
    Row {
        name: "isIP",
        signatures: &["(string) -> bool"],
        cost: Cost::Traverse,
        code: is_ip,
    },
    Row {
        name: "ip.isCanonical",
        signatures: &["(string) -> bool"],
        cost: Cost::Rewrite,
        code: is_canonical,
    },
    Row {
        name: "family",
        signatures: &["ip.() -> int"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |ip| Value::Int(if ip.is_ipv4() { 4 } else { 6 })),
    },
    Row {
        name: "isUnspecified",
        signatures: &["ip.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |ip| Value::Bool(ip.is_unspecified())),
    },
    Row {
        name: "isLoopback",
        signatures: &["ip.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |ip| Value::Bool(ip.is_loopback())),
    },
    Row {
        name: "isLinkLocalMulticast",
        signatures: &["ip.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |ip| Value::Bool(is_link_local_multicast(ip))),
    },
    Row {
        name: "isLinkLocalUnicast",
        signatures: &["ip.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |ip| Value::Bool(is_link_local_unicast(ip))),
    },
    Row {
        name: "isGlobalUnicast",
        signatures: &["ip.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |ip| Value::Bool(is_global_unicast(ip))),
    },
    Row {
        name: "cidr",
        signatures: &["(string) -> cidr"],
        cost: Cost::Traverse,
        code: cidr,
    },
    Row {
        name: "isCIDR",
        signatures: &["(string) -> bool"],
        cost: Cost::Traverse,
        code: is_cidr,
    },
    Row {
        name: "containsIP",
        signatures: &["cidr.(string) -> bool", "cidr.(ip) -> bool"],
        cost: Cost::Contains,
        code: contains_ip,
    },
    Row {
        name: "containsCIDR",
        signatures: &["cidr.(string) -> bool", "cidr.(cidr) -> bool"],
        cost: Cost::Contains,
        code: contains_cidr,
    },
    Row {
        name: "prefixLength",
        signatures: &["cidr.() -> int"],
        cost: Cost::Fixed(1),
        code: prefix_length,
    },
    Row {
        name: "masked",
        signatures: &["cidr.() -> cidr"],
        cost: Cost::Fixed(1),
        code: masked_network,
    },
];

/// An address with the length of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub length: u8,
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        self.address.is_ipv4() == ip.is_ipv4() && masked(ip, self.length) == masked(self.address, self.length)
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let ip: IpAddr = text.parse().map_err(|_| {
        format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        )
    })?;
    match ip {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
        }
        ip => Ok(ip),
    }
}

fn parse_cidr(text: &str) -> Result<Network, String> {
    let fail = |why: &str| {
        Err(format!(
            "network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}"
        ))
    };
    let Some((address, length)) = text.rsplit_once('/') else {
        return fail("no '/'");
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return fail(&format!("ParseAddr({address:?}): unable to parse IP"));
    };
    let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits && (length.len() == 1 || !length.starts_with('0'));
    let most = if address.is_ipv4() { 32 } else { 128 };
    match length.parse::<u8>() {
        Ok(length) if canonical && length <= most => match address {
            IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
                Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"))
            }
            address => Ok(Network { address, length }),
        },
        _ if canonical => fail("prefix length out of range"),
        _ => fail(&format!("bad bits after slash: {length:?}")),
    }
}

fn ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match parse_ip(text) {
            Ok(ip) => Ok(Value::Extension(Extension::Ip(ip))),
            Err(message) => wrong(message),
        },
        [Value::Extension(Extension::Cidr(network))] => Ok(Value::Extension(Extension::Ip(network.address))),
        [Value::Extension(Extension::Ip(ip))] => Ok(Value::Extension(Extension::Ip(*ip))),
        _ => overload(),
    }
}

fn is_ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Bool(parse_ip(text).is_ok())),
        _ => overload(),
    }
}

fn is_canonical<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match parse_ip(text) {
            Ok(ip) => Ok(Value::Bool(ip.to_string() == **text)),
            Err(message) => wrong(message),
        },
        _ => overload(),
    }
}

fn of<'a>(args: &[Value<'a>], make: fn(IpAddr) -> Value<'a>) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Ip(ip))] => Ok(make(*ip)),
        _ => overload(),
    }
}

fn is_link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_global_unicast(ip: IpAddr) -> bool {
    !(ip == IpAddr::V4(Ipv4Addr::BROADCAST)
        || ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_multicast()
        || is_link_local_unicast(ip))
}

fn cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => match parse_cidr(text) {
            Ok(network) => Ok(Value::Extension(Extension::Cidr(network))),
            Err(message) => wrong(format!(
                "network address parse error during conversion from string: {message}"
            )),
        },
        _ => overload(),
    }
}

fn is_cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::String(text)] => Ok(Value::Bool(parse_cidr(text).is_ok())),
        _ => overload(),
    }
}

fn contains_ip<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [Value::Extension(Extension::Cidr(network)), other] = args else {
        return overload();
    };
    match ip(std::slice::from_ref(other))? {
        Value::Extension(Extension::Ip(ip)) => Ok(Value::Bool(network.contains(ip))),
        _ => overload(),
    }
}

fn contains_cidr<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (network, other) = match args {
        [
            Value::Extension(Extension::Cidr(network)),
            Value::Extension(Extension::Cidr(other)),
        ] => (network, *other),
        [Value::Extension(Extension::Cidr(network)), text] => match cidr(std::slice::from_ref(text))? {
            Value::Extension(Extension::Cidr(other)) => (network, other),
            _ => return overload(),
        },
        _ => return overload(),
    };
    Ok(Value::Bool(
        network.length <= other.length && network.contains(other.address),
    ))
}

fn prefix_length<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Cidr(network))] => Ok(Value::Int(network.length.into())),
        _ => overload(),
    }
}

fn masked_network<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Cidr(network))] => {
            let address = masked(network.address, network.length);
            let length = network.length;
            Ok(Value::Extension(Extension::Cidr(Network { address, length })))
        }
        _ => overload(),
    }
}
