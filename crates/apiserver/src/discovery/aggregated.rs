//! The one document that tells everything, served at `/api` and `/apis` to clients that ask for it.

use super::{Group, Kind, Resource, Subresource, Version};
use api::apidiscovery::v2::{
    APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery, APISubresourceDiscovery,
    APIVersionDiscovery,
};
use api::codec::TypeMeta;
use api::meta::v1::{GroupVersionKind, ObjectMeta};

/// The versions in which the list is served; their content is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListVersion {
    V2,
    V2Beta1,
}

impl ListVersion {
    pub fn type_meta(self) -> TypeMeta<'static> {
        let api_version = match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        };
        TypeMeta {
            api_version,
            kind: "APIGroupDiscoveryList",
        }
    }
}

/// All groups with all their resources. `/api` shows the core group alone and `/apis` the others.
pub fn aggregated<'a>(groups: impl Iterator<Item = &'a Group>) -> APIGroupDiscoveryList {
    APIGroupDiscoveryList {
        items: groups.map(group).collect(),
        ..APIGroupDiscoveryList::default()
    }
}

fn group(group: &Group) -> APIGroupDiscovery {
    APIGroupDiscovery {
        metadata: ObjectMeta {
            name: group.name.clone(),
            ..ObjectMeta::default()
        },
        versions: group.versions.iter().map(version).collect(),
    }
}

fn version(version: &Version) -> APIVersionDiscovery {
    APIVersionDiscovery {
        version: version.name.clone(),
        resources: version.resources.iter().map(resource).collect(),
        freshness: if version.stale { "Stale" } else { "Current" }.to_owned(),
    }
}

fn resource(resource: &Resource) -> APIResourceDiscovery {
    APIResourceDiscovery {
        resource: resource.plural.clone(),
        response_kind: Some(Box::new(kind(&resource.kind))),
        scope: if resource.namespaced {
            "Namespaced"
        } else {
            "Cluster"
        }
        .to_owned(),
        singular_resource: resource.singular.clone(),
        verbs: resource.verbs.clone(),
        short_names: resource.short_names.clone(),
        categories: resource.categories.clone(),
        subresources: resource.subresources.iter().map(subresource).collect(),
    }
}

fn subresource(subresource: &Subresource) -> APISubresourceDiscovery {
    APISubresourceDiscovery {
        subresource: subresource.name.clone(),
        response_kind: Some(Box::new(kind(&subresource.kind))),
        accepted_types: Vec::new(),
        verbs: subresource.verbs.clone(),
    }
}

fn kind(kind: &Kind) -> GroupVersionKind {
    GroupVersionKind {
        group: kind.group.clone(),
        version: kind.version.clone(),
        kind: kind.kind.clone(),
    }
}
