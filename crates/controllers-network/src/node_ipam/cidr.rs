//! An address range as `address/prefix`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range; the address is its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The first address as a number, of 32 or 128 bits.
    first: u128,
    prefix: u8,
    ipv6: bool,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct ParseError(String);

impl Cidr {
    /// The range of that prefix length around an address given as a number.
    pub fn new(address: u128, prefix: u8, ipv6: bool) -> Self {
        let host_bits = width(ipv6) - prefix.min(width(ipv6));
        let mask = u128::MAX.checked_shl(u32::from(host_bits)).unwrap_or_default();
        Cidr {
            first: address & mask,
            prefix,
            ipv6,
        }
    }

    pub fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn first(&self) -> u128 {
        self.first
    }

    pub fn last(&self) -> u128 {
        let host_bits = u32::from(width(self.ipv6) - self.prefix);
        self.first | 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1)
    }
}

/// Bits of an address.
pub fn width(ipv6: bool) -> u8 {
    if ipv6 { 128 } else { 32 }
}

impl FromStr for Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let prefix: u8 = prefix.parse().map_err(|_| error())?;
        let (number, ipv6) = match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)), false),
            IpAddr::V6(address) => (u128::from(address), true),
        };
        if prefix > width(ipv6) {
            Err(error())
        } else {
            Ok(Cidr::new(number, prefix, ipv6))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ipv6 {
            write!(f, "{}/{}", Ipv6Addr::from(self.first), self.prefix)
        } else {
            // The upper bits of an IPv4 range are zero by construction.
            write!(f, "{}/{}", Ipv4Addr::from(self.first as u32), self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_nonsense() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                text.parse::<Cidr>().map(|cidr| cidr.to_string()),
                Ok(expected.to_owned())
            );
        };
        check("10.244.3.7/16", "10.244.0.0/16");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("fd00::5/64", "fd00::/64");
        check("::/0", "::/0");
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "fd00::/129", "x/8"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
