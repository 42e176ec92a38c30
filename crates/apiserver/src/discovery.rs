//! Discovery: which groups, versions and resources a server has, in the legacy and the aggregated form.
//!
//! Pure: documents are built from a list of [`Group`]s, which start from the catalogue and to which custom
//! resources and aggregated servers are added.
//!
//! Upstream: `apiserver/pkg/endpoints/discovery`.

mod aggregated;
mod legacy;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::catalogue::{self, GROUPS, RESOURCES};
use arc_swap::ArcSwap;
use base64::Engine;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

pub use aggregated::{ListVersion, aggregated};
pub use legacy::{api_versions, group, group_list, resource_list};

/// The groups of a server: those of the catalogue, and others, which come and go.
pub struct Groups {
    built_in: Vec<Group>,
    all: ArcSwap<Vec<Group>>,
    /// Others have come or gone.
    pub changed: Notify,
}

impl Groups {
    /// These groups, and no others yet.
    pub fn new(built_in: Vec<Group>) -> Groups {
        let all = ArcSwap::from_pointee(built_in.clone());
        Groups {
            built_in,
            all,
            changed: Notify::new(),
        }
    }

    /// All groups as they are now.
    pub fn load(&self) -> Arc<Vec<Group>> {
        self.all.load_full()
    }

    /// From now on, these stand beside the built-in groups, or in them.
    pub fn set_custom(&self, custom: Vec<Group>) {
        let mut all = self.built_in.clone();
        for group in custom {
            match all.iter_mut().find(|known| known.name == group.name) {
                Some(known) => known.merge(group),
                None => all.push(group),
            }
        }
        self.all.store(Arc::new(all));
        self.changed.notify_one();
    }
}

/// A group as discovery shows it. The core group's name is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// In order of preference.
    pub versions: Vec<Version>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub name: String,
    pub resources: Vec<Resource>,
    /// Set for an aggregated server that does not answer at the moment.
    pub stale: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    pub plural: String,
    pub singular: String,
    pub namespaced: bool,
    pub kind: Kind,
    pub verbs: Vec<String>,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    /// What the resource is stored as; `None`: it is not stored.
    pub storage_version_hash: Option<String>,
    pub subresources: Vec<Subresource>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subresource {
    pub name: String,
    pub kind: Kind,
    pub verbs: Vec<String>,
}

/// A kind; group and version are empty when they are the resource's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// The groups of the catalogue whose versions are enabled, in upstream's order.
pub fn built_in(enabled: impl Fn(&str, &str) -> bool) -> Vec<Group> {
    let group = |group: &catalogue::Group| Group {
        name: group.name.to_owned(),
        versions: group
            .versions
            .iter()
            .filter(|version| enabled(group.name, version))
            .map(|version| Version {
                name: (*version).to_owned(),
                resources: RESOURCES
                    .iter()
                    .filter(|r| r.group == group.name && r.version == *version)
                    .map(Resource::from_row)
                    .collect(),
                stale: false,
            })
            .collect(),
    };
    GROUPS
        .iter()
        .map(group)
        .filter(|group| !group.versions.is_empty())
        .collect()
}

/// How discovery names the stored form of a kind, so that clients can tell when it changes.
pub fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    base64::engine::general_purpose::STANDARD.encode(&digest[..8])
}

impl Group {
    /// Adds what another one of the same name has.
    fn merge(&mut self, other: Group) {
        for version in other.versions {
            match self.versions.iter_mut().find(|known| known.name == version.name) {
                Some(known) => known.resources.extend(version.resources),
                None => self.versions.push(version),
            }
        }
    }

    /// `v1` or `apps/v1`.
    fn group_version(&self, version: &str) -> String {
        if self.name.is_empty() {
            version.to_owned()
        } else {
            format!("{}/{version}", self.name)
        }
    }
}

impl Resource {
    /// A row as discovery shows it.
    pub fn from_row(row: &catalogue::Resource) -> Self {
        let own = |group: &str, version: &str, kind: &str| {
            if (group, version) == (row.group, row.version) {
                Kind {
                    kind: kind.to_owned(),
                    ..Kind::default()
                }
            } else {
                Kind {
                    group: group.to_owned(),
                    version: version.to_owned(),
                    kind: kind.to_owned(),
                }
            }
        };
        Self {
            plural: row.plural.to_owned(),
            singular: row.singular.to_owned(),
            namespaced: row.namespaced,
            kind: own(row.group, row.version, row.kind),
            verbs: owned(row.verbs),
            short_names: owned(row.short_names),
            categories: owned(row.categories),
            storage_version_hash: row
                .storage
                .map(|(group, version)| storage_version_hash(group, version, row.kind)),
            subresources: row
                .subresources
                .iter()
                .map(|sub| Subresource {
                    name: sub.name.to_owned(),
                    kind: own(sub.group, sub.version, sub.kind),
                    verbs: owned(sub.verbs),
                })
                .collect(),
        }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
