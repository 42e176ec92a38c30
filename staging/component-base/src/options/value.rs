//! Kinds of flag values: how each is checked, split and accumulated.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use apimachinery::duration::Duration as GoDuration;

/// What a flag's value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Float,
    Duration,
    Ip,
    IpPort,
    String,
    /// Comma separated, repeatable.
    Strings,
    /// One element a repetition.
    StringArray,
    /// `key=value`, comma separated, repeatable.
    Map,
    /// `--version`, `--version=raw`.
    Version,
}

impl Kind {
    /// From the word that upstream's help prints after a flag.
    pub fn from_upstream(word: &str) -> Self {
        match word {
            "" => Self::Bool,
            "int" | "int32" | "uint" | "Level" => Self::Int,
            "float" | "float32" => Self::Float,
            "duration" => Self::Duration,
            "ip" => Self::Ip,
            "ipport" => Self::IpPort,
            "strings" | "int32Slice" => Self::Strings,
            "stringArray" | "namedCertKey" => Self::StringArray,
            "mapStringString" | "mapStringBool" | "stringToString" | "colonSeparatedMultimapStringString" => {
                Self::Map
            }
            _ => Self::String,
        }
    }

    /// The value that a flag without one stands for.
    pub(super) fn implied(self) -> Option<&'static str> {
        matches!(self, Self::Bool | Self::Version).then_some("true")
    }

    /// Does a repetition add to the value rather than replace it?
    pub(super) fn accumulates(self) -> bool {
        matches!(self, Self::Strings | Self::StringArray | Self::Map)
    }

    pub(super) fn split(self, value: &str) -> Vec<String> {
        match self {
            Self::Strings | Self::Map if value.is_empty() => Vec::new(),
            Self::StringArray if value.is_empty() => Vec::new(),
            Self::Strings | Self::Map => value.split(',').map(str::to_owned).collect(),
            _ => vec![value.to_owned()],
        }
    }

    /// The reason why a value is refused, in the words that Go's parsers use.
    pub(super) fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Bool => parse_bool(value)
                .map(drop)
                .ok_or_else(|| format!("strconv.ParseBool: parsing {value:?}: invalid syntax")),
            Self::Int => parse_int(value)
                .map(drop)
                .ok_or_else(|| format!("strconv.ParseInt: parsing {value:?}: invalid syntax")),
            Self::Float => value
                .parse::<f64>()
                .map(drop)
                .map_err(|_| format!("strconv.ParseFloat: parsing {value:?}: invalid syntax")),
            Self::Duration => parse_duration(value).map(drop),
            Self::Ip => value
                .parse::<IpAddr>()
                .map(drop)
                .map_err(|_| format!("failed to parse IP: {value:?}")),
            Self::IpPort => check_ip_port(value),
            Self::Map => check_map(value),
            Self::String | Self::Strings | Self::StringArray | Self::Version => Ok(()),
        }
    }
}

/// A duration in Go's notation; a negative one, upstream's way to say "off", gives zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    GoDuration::parse(text)
        .map(GoDuration::to_std)
        .map_err(|error| error.to_string())
}

/// The spellings that Go's `strconv.ParseBool` takes.
pub(super) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Decimal, hexadecimal (`0x`), octal (`0o`, `0`) or binary (`0b`), as `strconv.ParseInt` with base 0.
pub(super) fn parse_int(value: &str) -> Option<i64> {
    let (negative, digits) = match value.as_bytes().first()? {
        b'-' => (true, &value[1..]),
        b'+' => (false, &value[1..]),
        _ => (false, value),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn check_ip_port(value: &str) -> Result<(), String> {
    let alone = value.parse::<IpAddr>().is_ok();
    let with_port = value.parse::<SocketAddr>().is_ok();
    if value.is_empty()
        || alone
        || with_port
        || value
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
    {
        Ok(())
    } else {
        Err(format!(
            "{value:?} is neither an IP address nor an address with a port"
        ))
    }
}

fn check_map(value: &str) -> Result<(), String> {
    match value
        .split(',')
        .find(|pair| !pair.is_empty() && !pair.contains('='))
    {
        Some(pair) => Err(format!("malformed pair, expect string=string: {pair:?}")),
        None => Ok(()),
    }
}
