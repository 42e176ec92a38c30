//! The documents at `/api`, `/apis`, `/apis/GROUP` and `/apis/GROUP/VERSION`.

use super::{Group, Resource, Version};
use api::meta::v1::{
    APIGroup, APIGroupList, APIResource, APIResourceList, APIVersions, GroupVersionForDiscovery,
    ServerAddressByClientCIDR,
};

/// `/api`: the versions of the core group, and where clients reach this server.
pub fn api_versions(groups: &[Group], server_address: &str) -> APIVersions {
    let core = groups.iter().find(|group| group.name.is_empty());
    APIVersions {
        versions: core
            .into_iter()
            .flat_map(|group| &group.versions)
            .map(|v| v.name.clone())
            .collect(),
        server_address_by_client_cidrs: vec![ServerAddressByClientCIDR {
            client_cidr: "0.0.0.0/0".to_owned(),
            server_address: server_address.to_owned(),
        }],
    }
}

/// `/apis`: every group but the core one.
pub fn group_list(groups: &[Group]) -> APIGroupList {
    APIGroupList {
        groups: groups
            .iter()
            .filter(|group| !group.name.is_empty())
            .map(group)
            .collect(),
    }
}

/// `/apis/GROUP`
pub fn group(group: &Group) -> APIGroup {
    let version = |version: &Version| GroupVersionForDiscovery {
        group_version: group.group_version(&version.name),
        version: version.name.clone(),
    };
    APIGroup {
        name: group.name.clone(),
        versions: group.versions.iter().map(version).collect(),
        preferred_version: group.versions.first().map(version).unwrap_or_default(),
        ..APIGroup::default()
    }
}

/// `/api/v1` and `/apis/GROUP/VERSION`
pub fn resource_list(group: &Group, version: &Version) -> APIResourceList {
    APIResourceList {
        group_version: group.group_version(&version.name),
        resources: version
            .resources
            .iter()
            .flat_map(resources)
            .map(|resource| without_own(resource, group, version))
            .collect(),
    }
}

/// Here a kind names its group and version only if these are others than the resource's.
fn without_own(mut resource: APIResource, group: &Group, version: &Version) -> APIResource {
    if resource.group == group.name && resource.version == version.name {
        resource.group.clear();
        resource.version.clear();
    }
    resource
}

/// A resource, then its subresources as `NAME/SUBRESOURCE`.
fn resources(resource: &Resource) -> impl Iterator<Item = APIResource> {
    let own = APIResource {
        name: resource.plural.clone(),
        singular_name: resource.singular.clone(),
        namespaced: resource.namespaced,
        group: resource.kind.group.clone(),
        version: resource.kind.version.clone(),
        kind: resource.kind.kind.clone(),
        verbs: resource.verbs.clone(),
        short_names: resource.short_names.clone(),
        categories: resource.categories.clone(),
        storage_version_hash: resource.storage_version_hash.clone().unwrap_or_default(),
    };
    let subresources = resource.subresources.iter().map(|sub| APIResource {
        name: format!("{}/{}", resource.plural, sub.name),
        namespaced: resource.namespaced,
        group: sub.kind.group.clone(),
        version: sub.kind.version.clone(),
        kind: sub.kind.kind.clone(),
        verbs: sub.verbs.clone(),
        ..APIResource::default()
    });
    std::iter::once(own).chain(subresources)
}
