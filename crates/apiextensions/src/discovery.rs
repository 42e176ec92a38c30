//! Custom resources as discovery shows them. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use apiserver::discovery::{Group, Resource, Version};

use crate::served::CustomResource;

/// Verbs of resources whose definition is being deleted.
const VERBS_OF_TERMINATING: [&str; 5] = ["delete", "deletecollection", "get", "list", "watch"];

/// The groups of all served versions, each with its versions in order of preference.
pub fn groups<'a>(resources: impl Iterator<Item = &'a CustomResource>) -> Vec<Group> {
    let mut groups: BTreeMap<&str, BTreeMap<&str, Vec<Resource>>> = BTreeMap::new();
    for resource in resources.filter(|resource| resource.is_shown) {
        for version in resource.versions.iter().filter(|version| version.is_served) {
            let mut shown = Resource::from_row(version.row);
            let kinds = shown.subresources.iter_mut().map(|sub| &mut sub.kind);
            for kind in kinds
                .chain([&mut shown.kind])
                .filter(|kind| kind.group.is_empty())
            {
                version.row.group.clone_into(&mut kind.group);
                version.row.version.clone_into(&mut kind.version);
            }
            if resource.is_terminating {
                shown.verbs = VERBS_OF_TERMINATING.map(str::to_owned).to_vec();
            }
            let stored = resource.versions.iter().find(|version| version.row.is_stored());
            if !stored.is_some_and(|stored| stored.is_served) {
                shown.storage_version_hash = None;
            }
            let group = groups.entry(version.row.group).or_default();
            group.entry(version.row.version).or_default().push(shown);
        }
    }
    groups
        .into_iter()
        .map(|(name, versions)| group(name, versions))
        .collect()
}

fn group(name: &str, versions: BTreeMap<&str, Vec<Resource>>) -> Group {
    let mut versions: Vec<Version> = versions
        .into_iter()
        .map(|(name, mut resources)| {
            resources.sort_by(|a, b| a.plural.cmp(&b.plural));
            Version {
                name: name.to_owned(),
                resources,
                stale: false,
            }
        })
        .collect();
    versions.sort_by_key(|version| Reverse(precedence(&version.name)));
    Group {
        name: name.to_owned(),
        versions,
    }
}

/// How a version is preferred to others, the greater the more: `v10` to `v2` to `v2beta1` to `v2alpha1`, and these to any other
/// word, of which the first of the alphabet comes first.
pub fn precedence(version: &str) -> (u8, u64, u64, Reverse<String>) {
    match parse(version) {
        Some((major, stability, minor)) => (stability, major, minor, Reverse(String::new())),
        None => (0, 0, 0, Reverse(version.to_owned())),
    }
}

fn parse(version: &str) -> Option<(u64, u8, u64)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = rest.split_at(end);
    let major = number(major)?;
    if rest.is_empty() {
        return Some((major, 3, 0));
    }
    let of = |word: &str, stability: u8| Some((major, stability, number(rest.strip_prefix(word)?)?));
    of("beta", 2).or_else(|| of("alpha", 1))
}

fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_an_order() {
        let mut versions = [
            "foo1",
            "v1",
            "v10beta3",
            "v11alpha2",
            "v10",
            "v3beta1",
            "foo10",
            "v11beta2",
            "v2",
            "v1alpha1",
            "v01",
        ];
        versions.sort_by_key(|version| Reverse(precedence(version)));
        assert_eq!(
            versions,
            [
                "v10",
                "v2",
                "v1",
                "v11beta2",
                "v10beta3",
                "v3beta1",
                "v11alpha2",
                "v1alpha1",
                "foo1",
                "foo10",
                "v01"
            ]
        );
    }
}
