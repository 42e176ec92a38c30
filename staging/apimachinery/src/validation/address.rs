//! IP addresses and prefixes. Fields that are older than the strict rules take what Go once took: leading zeros in
//! IPv4 numbers and IPv4 mapped into IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::field::{Error, ErrorList, Path};
use crate::quote::quote;

const IP_MESSAGE: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const CIDR_MESSAGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Parses an address; IPv4 numbers may have leading zeros.
pub fn parse_ip_sloppy(value: &str) -> Option<IpAddr> {
    if let Ok(address) = value.parse() {
        return Some(address);
    }
    if !value.contains(':') {
        return parse_ipv4_sloppy(value).map(IpAddr::V4);
    }
    // The tail of an IPv6 address may be an IPv4 one.
    let (head, tail) = value.rsplit_once(':')?;
    let tail = parse_ipv4_sloppy(tail)?;
    format!("{head}:{tail}").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn parse_ipv4_sloppy(value: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut parts = value.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *octet = digits
            .then(|| part.trim_start_matches('0'))
            .and_then(|significant| match significant {
                "" => Some(0),
                significant => significant.parse().ok(),
            })?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// The address as Go prints it: an IPv4 address mapped into IPv6 is an IPv4 address.
pub fn canonical_ip(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn check_ip(path: &Path, value: &str) -> Result<IpAddr, Error> {
    let address = parse_ip_sloppy(value).ok_or_else(|| Error::invalid(path, value, IP_MESSAGE))?;
    if value.parse::<IpAddr>().is_err() {
        return Err(Error::invalid(path, value, "must not have leading 0s"));
    }
    if canonical_ip(address) != address {
        return Err(Error::invalid(
            path,
            value,
            "must not be an IPv4-mapped IPv6 address",
        ));
    }
    Ok(address)
}

/// An address in canonical form.
pub fn is_ip(path: &Path, value: &str) -> ErrorList {
    match check_ip(path, value) {
        Err(error) => vec![error],
        Ok(address) => canonical_error(path, value, &address.to_string()),
    }
}

/// An address in a field that is older than the rules about canonical form. Values that the old object has are
/// accepted as they are.
pub fn is_ip_legacy(path: &Path, value: &str, old: &[String]) -> ErrorList {
    if old.iter().any(|known| known == value) {
        return Vec::new();
    }
    check_ip(path, value).err().into_iter().collect()
}

fn canonical_error(path: &Path, value: &str, canonical: &str) -> ErrorList {
    if value == canonical {
        return Vec::new();
    }
    vec![Error::invalid(
        path,
        value,
        format!("must be in canonical form ({})", quote(canonical)),
    )]
}

/// Parses `address/length`; the address need not be the first of the prefix.
pub fn parse_cidr_sloppy(value: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = value.split_once('/')?;
    let address = parse_ip_sloppy(address)?;
    if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some((address, length))
}

/// The first address of the prefix.
pub fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

fn check_cidr(path: &Path, value: &str) -> Result<(IpAddr, u8), Error> {
    let (address, length) =
        parse_cidr_sloppy(value).ok_or_else(|| Error::invalid(path, value, CIDR_MESSAGE))?;
    let strict = value.split_once('/').is_some_and(|(address, text)| {
        address.parse::<IpAddr>().is_ok() && (text == "0" || !text.starts_with('0'))
    });
    let detail = if !strict {
        "must not have leading 0s in IP or prefix length"
    } else if canonical_ip(address) != address {
        "must not have an IPv4-mapped IPv6 address"
    } else if masked(address, length) != address {
        "must not have bits set beyond the prefix length"
    } else {
        return Ok((address, length));
    };
    Err(Error::invalid(path, value, detail))
}

/// A prefix in canonical form, without bits beyond its length.
pub fn is_cidr(path: &Path, value: &str) -> ErrorList {
    match check_cidr(path, value) {
        Err(error) => vec![error],
        Ok((address, length)) => canonical_error(path, value, &format!("{address}/{length}")),
    }
}

/// A prefix in a field that is older than the rules about canonical form.
pub fn is_cidr_legacy(path: &Path, value: &str, old: &[String]) -> ErrorList {
    if old.iter().any(|known| known == value) {
        return Vec::new();
    }
    check_cidr(path, value).err().into_iter().collect()
}

/// An address with the length of its subnet, as in `192.168.1.5/24`.
pub fn is_interface_address(path: &Path, value: &str) -> ErrorList {
    let Some((address, length)) = parse_cidr_sloppy(value) else {
        let detail = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
        return vec![Error::invalid(path, value, detail)];
    };
    let plain = canonical_ip(address);
    let length = if plain != address && length > 32 {
        length.saturating_sub(96)
    } else {
        length
    };
    canonical_error(path, value, &format!("{plain}/{length}"))
}
