//! What the server serves, from the aggregated discovery documents.
//!
//! Upstream: client-go/discovery

use apimachinery::gvk::GroupVersionResource;
use serde::Deserialize;

use crate::request::Request;
use crate::{Client, Error};

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// A resource that the server serves, in the version its group prefers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedResource {
    pub gvr: GroupVersionResource,
    pub kind: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
}

impl ServedResource {
    pub fn supports(&self, verbs: &[&str]) -> bool {
        verbs
            .iter()
            .all(|verb| self.verbs.iter().any(|served| served == verb))
    }
}

/// The resources of all groups, and the groups whose resources couldn't be told (an aggregated server that is
/// away): whoever deletes by this list must not take a stale group for an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovered {
    pub resources: Vec<ServedResource>,
    pub stale_groups: Vec<String>,
}

/// Asks for each group's preferred version of each resource.
pub async fn preferred_resources(client: &Client) -> Result<Discovered, Error> {
    let mut discovered = Discovered::default();
    for path in ["/api", "/apis"] {
        let response = client.send(Request::get(path).accept(ACCEPT)).await?;
        merge(&mut discovered, &response.body)?;
    }
    Ok(discovered)
}

fn merge(discovered: &mut Discovered, body: &[u8]) -> Result<(), Error> {
    let list: GroupList = serde_json::from_slice(body)
        .map_err(|error| Error::Decode(format!("discovery document: {error}")))?;
    for group in list.items {
        let mut seen = std::collections::BTreeSet::new();
        for version in group.versions {
            if version.freshness == "Stale" {
                discovered
                    .stale_groups
                    .push(format!("{}/{}", group.metadata.name, version.version));
            }
            // Versions come in the order of preference: the first that has a resource wins.
            for resource in version.resources {
                if seen.insert(resource.resource.clone()) {
                    discovered
                        .resources
                        .push(served(&group.metadata.name, &version.version, resource));
                }
            }
        }
    }
    Ok(())
}

fn served(group: &str, version: &str, resource: ResourceEntry) -> ServedResource {
    ServedResource {
        gvr: GroupVersionResource {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: resource.resource,
        },
        kind: resource.response_kind.map(|kind| kind.kind).unwrap_or_default(),
        namespaced: resource.scope == "Namespaced",
        verbs: resource.verbs,
    }
}

#[derive(Deserialize)]
struct GroupList {
    items: Vec<GroupEntry>,
}

#[derive(Deserialize)]
struct GroupEntry {
    #[serde(default)]
    metadata: Name,
    #[serde(default)]
    versions: Vec<VersionEntry>,
}

#[derive(Default, Deserialize)]
struct Name {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct VersionEntry {
    version: String,
    #[serde(default)]
    resources: Vec<ResourceEntry>,
    #[serde(default)]
    freshness: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceEntry {
    resource: String,
    response_kind: Option<KindEntry>,
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Deserialize)]
struct KindEntry {
    kind: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_version_wins_and_stale_groups_are_told() {
        let body = br#"{"kind":"APIGroupDiscoveryList","items":[
            {"metadata":{"name":"g"},"versions":[
              {"version":"v2","freshness":"Current","resources":[
                {"resource":"as","responseKind":{"group":"","version":"","kind":"A"},"scope":"Namespaced","verbs":["list","watch"]}]},
              {"version":"v1","freshness":"Stale","resources":[
                {"resource":"as","responseKind":{"kind":"A"},"scope":"Namespaced","verbs":[]},
                {"resource":"bs","responseKind":{"kind":"B"},"scope":"Cluster","verbs":["get"]}]}]}]}"#;
        let mut discovered = Discovered::default();
        merge(&mut discovered, body).expect("valid");
        let names: Vec<String> = discovered
            .resources
            .iter()
            .map(|r| format!("{}/{}", r.gvr.version, r.gvr.resource))
            .collect();
        assert_eq!(names, ["v2/as", "v1/bs"]);
        assert!(discovered.resources[0].supports(&["watch", "list"]));
        assert!(!discovered.resources[1].supports(&["list"]));
        assert_eq!(discovered.stale_groups, ["g/v1"]);
        assert!(merge(&mut discovered, b"[]").is_err());
    }
}
