//! The text of `--help`.

use std::fmt::Write;

use super::{FlagSet, Kind};

pub(super) fn render(set: &FlagSet) -> String {
    let mut text = format!("{}\n\nUsage:\n  {} [flags]\n\nFlags:\n", set.about, set.command);
    let heads: Vec<(String, String)> = set
        .flags
        .iter()
        .map(|(name, flag)| (head(name, flag.kind), describe(flag)))
        .collect();
    let width = heads.iter().map(|(head, _)| head.len()).max().unwrap_or_default();
    for (head, description) in heads {
        // Writing to a string does not fail.
        let _ = writeln!(text, "      {head:width$}   {description}");
    }
    text
}

fn head(name: &str, kind: Kind) -> String {
    let value = match kind {
        Kind::Bool => "",
        Kind::Int => " int",
        Kind::Float => " float",
        Kind::Duration => " duration",
        Kind::Ip => " ip",
        Kind::IpPort => " ipport",
        Kind::String => " string",
        Kind::Strings => " strings",
        Kind::StringArray => " stringArray",
        Kind::Map => " stringToString",
        Kind::Version => " version[=true]",
    };
    format!("--{name}{value}")
}

fn describe(flag: &super::Flag) -> String {
    match (flag.default.as_str(), flag.kind) {
        ("" | "0" | "false" | "0s", _) => flag.usage.clone(),
        (default, Kind::String) => format!("{} (default {default:?})", flag.usage),
        (default, Kind::Strings) => format!("{} (default [{default}])", flag.usage),
        (default, _) => format!("{} (default {default})", flag.usage),
    }
}
