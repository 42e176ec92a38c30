//! What backends have, beside what this server has. Pure.

use std::borrow::Cow;
use std::cmp::Reverse;

use api::Message;
use api::apidiscovery::v2::{APIGroupDiscoveryList, APIResourceDiscovery};
use api::meta::v1::{APIResource, APIResourceList, GroupVersionKind};

use super::{GroupVersion, Registered, State};
use crate::discovery::{Group, Kind, Resource, Subresource, Version};

/// The groups that this server has, and those of backends, in the order of their priorities.
pub fn merged<'a>(own: &'a [Group], state: &State) -> Cow<'a, [Group]> {
    let remote = || {
        state
            .registered
            .values()
            .filter(|registered| registered.backend.is_some())
    };
    if remote().next().is_none() {
        return Cow::Borrowed(own);
    }
    let mut groups = own.to_vec();
    for registered in remote() {
        let of = (registered.group.clone(), registered.version.clone());
        let available = registered
            .backend
            .as_ref()
            .is_some_and(|backend| backend.available);
        let found = state.discovered.get(&of).cloned();
        let version = Version {
            name: registered.version.clone(),
            stale: !available || found.is_none(),
            resources: found.map(|found| found.resources).unwrap_or_default(),
        };
        let at = groups.iter().position(|group| group.name == registered.group);
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                name: registered.group.clone(),
                versions: Vec::new(),
            });
            groups.len() - 1
        });
        let versions = &mut groups[at].versions;
        versions.retain(|known| known.name != version.name);
        versions.push(version);
    }
    order(&mut groups, state);
    Cow::Owned(groups)
}

/// The core group first, then the API of this very thing, then by what the APIServices say.
fn order(groups: &mut [Group], state: &State) {
    for group in groups.iter_mut() {
        let priority = |version: &Version| {
            let known = versions_of(state, &group.name).find(|known| known.version == version.name);
            Reverse(known.map_or(0, |known| known.version_priority))
        };
        group.versions.sort_by_cached_key(priority);
    }
    groups.sort_by_cached_key(|group| match group.name.as_str() {
        "" => (0, Reverse(0)),
        "apiregistration.k8s.io" => (1, Reverse(0)),
        name => {
            let priority = versions_of(state, name).map(|known| known.group_priority).max();
            (2, Reverse(priority.unwrap_or(0)))
        }
    });
}

fn versions_of<'a>(state: &'a State, group: &'a str) -> impl Iterator<Item = &'a Registered> {
    state
        .registered
        .values()
        .filter(move |known| known.group == group)
}

/// The versions in a backend's aggregated document.
pub fn read_aggregated(document: &[u8]) -> Option<Vec<(GroupVersion, Version)>> {
    let list = APIGroupDiscoveryList::from_json(document).ok()?;
    let versions = list.items.into_iter().flat_map(|group| {
        let name = group.metadata.name;
        group.versions.into_iter().map(move |version| {
            let of = (name.clone(), version.version.clone());
            let found = Version {
                name: version.version,
                resources: version.resources.into_iter().map(resource).collect(),
                stale: false,
            };
            (of, found)
        })
    });
    Some(versions.collect())
}

fn resource(resource: APIResourceDiscovery) -> Resource {
    Resource {
        plural: resource.resource,
        singular: resource.singular_resource,
        namespaced: resource.scope == "Namespaced",
        kind: kind(resource.response_kind),
        verbs: resource.verbs,
        short_names: resource.short_names,
        categories: resource.categories,
        storage_version_hash: None,
        subresources: resource
            .subresources
            .into_iter()
            .map(|sub| Subresource {
                name: sub.subresource,
                kind: kind(sub.response_kind),
                verbs: sub.verbs,
            })
            .collect(),
    }
}

fn kind(kind: Option<Box<GroupVersionKind>>) -> Kind {
    let kind = kind.map(|kind| *kind).unwrap_or_default();
    Kind {
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
    }
}

/// A version from the older document about it.
pub fn read_legacy(document: &[u8], version: &str) -> Option<Version> {
    let list = APIResourceList::from_json(document).ok()?;
    let mut resources: Vec<Resource> = Vec::new();
    for known in list.resources {
        let kind = Kind {
            group: known.group.clone(),
            version: known.version.clone(),
            kind: known.kind.clone(),
        };
        match known.name.split_once('/') {
            None => resources.push(legacy(known, kind)),
            Some((plural, name)) => {
                let sub = Subresource {
                    name: name.to_owned(),
                    kind,
                    verbs: known.verbs,
                };
                if let Some(of) = resources.iter_mut().find(|resource| resource.plural == plural) {
                    of.subresources.push(sub);
                }
            }
        }
    }
    Some(Version {
        name: version.to_owned(),
        resources,
        stale: false,
    })
}

fn legacy(known: APIResource, kind: Kind) -> Resource {
    Resource {
        plural: known.name,
        singular: known.singular_name,
        namespaced: known.namespaced,
        kind,
        verbs: known.verbs,
        short_names: known.short_names,
        categories: known.categories,
        storage_version_hash: None,
        subresources: Vec::new(),
    }
}
