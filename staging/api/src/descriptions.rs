//! What types and fields mean, in a sentence each, for OpenAPI and `kubectl explain`.
//!
//! The texts stand in `api/descriptions`, a file a group, written by hand. They are kept as text and searched when a
//! document is made: nobody reads them at any other time, so no daemon holds tables of them.

use crate::types::Type;

/// Texts by group, as [`crate::types::Package::name`] begins.
const GROUPS: [(&str, &str); 22] = [
    group(
        "admissionregistration",
        include_str!("../../../api/descriptions/admissionregistration.txt"),
    ),
    group(
        "apiextensions",
        include_str!("../../../api/descriptions/apiextensions.txt"),
    ),
    group(
        "apiregistration",
        include_str!("../../../api/descriptions/apiregistration.txt"),
    ),
    group("apps", include_str!("../../../api/descriptions/apps.txt")),
    group(
        "authentication",
        include_str!("../../../api/descriptions/authentication.txt"),
    ),
    group(
        "authorization",
        include_str!("../../../api/descriptions/authorization.txt"),
    ),
    group(
        "autoscaling",
        include_str!("../../../api/descriptions/autoscaling.txt"),
    ),
    group("batch", include_str!("../../../api/descriptions/batch.txt")),
    group(
        "certificates",
        include_str!("../../../api/descriptions/certificates.txt"),
    ),
    group(
        "coordination",
        include_str!("../../../api/descriptions/coordination.txt"),
    ),
    group("core", include_str!("../../../api/descriptions/core.txt")),
    group(
        "discovery",
        include_str!("../../../api/descriptions/discovery.txt"),
    ),
    group("events", include_str!("../../../api/descriptions/events.txt")),
    group(
        "flowcontrol",
        include_str!("../../../api/descriptions/flowcontrol.txt"),
    ),
    META,
    group(
        "networking",
        include_str!("../../../api/descriptions/networking.txt"),
    ),
    group("node", include_str!("../../../api/descriptions/node.txt")),
    group("policy", include_str!("../../../api/descriptions/policy.txt")),
    group("rbac", include_str!("../../../api/descriptions/rbac.txt")),
    group("resource", include_str!("../../../api/descriptions/resource.txt")),
    group(
        "scheduling",
        include_str!("../../../api/descriptions/scheduling.txt"),
    ),
    group("storage", include_str!("../../../api/descriptions/storage.txt")),
];

const META: (&str, &str) = group("meta", include_str!("../../../api/descriptions/meta.txt"));

/// Of values that are no structs.
const VALUES: &str = include_str!("../../../api/descriptions/values.txt");

const fn group(name: &'static str, text: &'static str) -> (&'static str, &'static str) {
    (name, text)
}

/// The texts about one type.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// What the type is.
    pub summary: Option<&'static str>,
    own: Option<&'static str>,
    /// What holds for any type of the group, then of all groups.
    common: [Option<&'static str>; 2],
}

impl Description {
    pub fn of(ty: &Type) -> Self {
        let group = ty
            .package
            .name
            .split_once('/')
            .map_or(ty.package.name, |(group, _)| group);
        let text = GROUPS
            .iter()
            .find(|(name, _)| *name == group)
            .map(|(_, text)| *text);
        let own = text.and_then(|text| section(text, ty.name));
        Self {
            summary: own.and_then(|(summary, _)| summary),
            own: own.map(|(_, fields)| fields),
            common: [text, Some(META.1)]
                .map(|text| text.and_then(|text| section(text, "*")).map(|(_, fields)| fields)),
        }
    }

    /// What a field means, by its JSON name.
    pub fn field(&self, name: &str) -> Option<&'static str> {
        [self.own, self.common[0], self.common[1]]
            .into_iter()
            .flatten()
            .find_map(|fields| field(fields, name))
    }
}

/// What a value is that has a JSON form of its own, such as `Quantity`.
pub fn of_value(name: &str) -> Option<&'static str> {
    section(VALUES, name).and_then(|(summary, _)| summary)
}

/// A type's summary and the lines of its fields: from `Type: text` to the next line that isn't indented.
/// `Type = Other` means the fields of another type.
fn section(text: &'static str, name: &str) -> Option<(Option<&'static str>, &'static str)> {
    let mut rest = text;
    while let Some((line, below)) = rest.split_once('\n') {
        rest = below;
        let Some(after) = line.strip_prefix(name) else {
            continue;
        };
        if let Some(other) = after.strip_prefix(" = ") {
            return section(text, other);
        }
        if let Some(summary) = after.strip_prefix(':') {
            let end = below
                .split_inclusive('\n')
                .take_while(|line| line.starts_with("  "))
                .map(str::len)
                .sum();
            let summary = summary.trim();
            return Some((Some(summary).filter(|summary| !summary.is_empty()), &below[..end]));
        }
    }
    None
}

fn field(fields: &'static str, name: &str) -> Option<&'static str> {
    fields
        .lines()
        .find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests;
