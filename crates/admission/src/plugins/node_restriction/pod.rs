//! What a kubelet may do with pods: mirror its static ones, report and evict those that it runs.

use api::core::v1::{Node, Pod, Volume};
use api::pod_references;
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;

use super::Case;
use crate::Operation;
use crate::plugins::service_account::MIRROR_POD;

impl Case<'_, '_> {
    pub(super) async fn pod(&self) -> Result<(), Status> {
        let operation = self.attributes.operation.as_str();
        match (self.attributes.subresource, self.attributes.operation) {
            ("", Operation::Create) => self.pod_create().await,
            ("", Operation::Delete) => self.pod_delete().await,
            ("", _) => self.refuse(format!(
                "unexpected operation {operation:?}, node {:?} can only create and delete mirror pods",
                self.node
            )),
            ("status", Operation::Update) => self.pod_status(),
            ("status", _) => self.refuse(format!("unexpected operation {operation:?}")),
            ("eviction", Operation::Create) => self.pod_eviction().await,
            ("eviction", _) => self.refuse(format!("unexpected operation {operation}")),
            (other, _) => self.refuse(format!(
                "unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"
            )),
        }
    }

    async fn pod_create(&self) -> Result<(), Status> {
        let Some(pod) = self.review.object_as::<Pod>() else {
            return Ok(());
        };
        let node = self.node;
        if !pod.metadata.annotations.contains_key(MIRROR_POD) {
            return self.refuse(format!(
                "pod does not have {MIRROR_POD:?} annotation, node {node:?} can only create mirror pods"
            ));
        }
        if pod.spec.node_name != node {
            return self.refuse(format!(
                "node {node:?} can only create pods with spec.nodeName set to itself"
            ));
        }
        self.pod_owner(pod).await?;
        match api_reference(pod) {
            Some(resource) => self.refuse(format!(
                "node {node:?} can not create pods that reference {resource}"
            )),
            None => Ok(()),
        }
    }

    /// The node owns its mirror pods.
    async fn pod_owner(&self, pod: &Pod) -> Result<(), Status> {
        let node = self.node;
        let owner = match pod.metadata.owner_references.as_slice() {
            [owner] => owner,
            [] => {
                return self.refuse(format!(
                    "node {node:?} can only create pods with an owner reference set to itself"
                ));
            }
            _ => {
                return self.refuse(format!(
                    "node {node:?} can only create pods with a single owner reference set to itself"
                ));
            }
        };
        if owner.api_version != "v1" || owner.kind != "Node" || owner.name != node {
            return self.refuse(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            ));
        }
        if owner.controller != Some(true) {
            return self.refuse(format!(
                "node {node:?} can only create pods with a controller owner reference set to itself"
            ));
        }
        if owner.block_owner_deletion == Some(true) {
            return self.refuse(format!(
                "node {node:?} must not set blockOwnerDeletion on an owner reference"
            ));
        }
        let found = self
            .objects
            .find::<Node>("", node)
            .await?
            .ok_or_else(|| not_found("nodes", node))?;
        if owner.uid != found.metadata.uid {
            return self.refuse(format!(
                "node {node} UID mismatch: expected {} got {}",
                owner.uid, found.metadata.uid
            ));
        }
        Ok(())
    }

    /// The object under deletion is at hand; a collection's delete comes one by one.
    async fn pod_delete(&self) -> Result<(), Status> {
        let node_name = match self.review.old_as::<Pod>() {
            Some(pod) => pod.spec.node_name.clone(),
            None => self.existing_pod(self.attributes.name).await?.spec.node_name,
        };
        if node_name == self.node {
            return Ok(());
        }
        self.refuse(format!(
            "node {:?} can only delete pods with spec.nodeName set to itself",
            self.node
        ))
    }

    async fn pod_eviction(&self) -> Result<(), Status> {
        let name = self.name();
        if name.is_empty() {
            return self.refuse("could not determine pod from request data");
        }
        if self.existing_pod(name).await?.spec.node_name == self.node {
            return Ok(());
        }
        self.refuse(format!(
            "node {} can only evict pods with spec.nodeName set to itself",
            self.node
        ))
    }

    pub(super) async fn existing_pod(&self, name: &str) -> Result<Box<Pod>, Status> {
        let found = self.objects.find::<Pod>(self.attributes.namespace, name).await?;
        found.ok_or_else(|| not_found("pods", name))
    }

    fn pod_status(&self) -> Result<(), Status> {
        let (Some(new), Some(old)) = (self.review.object_as::<Pod>(), self.review.old_as::<Pod>()) else {
            return Ok(());
        };
        let node = self.node;
        if old.spec.node_name != node {
            return self.refuse(format!(
                "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
            ));
        }
        if new.metadata.labels != old.metadata.labels {
            return self.refuse(format!("node {node:?} cannot update labels through pod status"));
        }
        if new.status.resource_claim_statuses != old.status.resource_claim_statuses {
            return self.refuse(format!("node {node:?} cannot update resource claim statues"));
        }
        if new.status.extended_resource_claim_status != old.status.extended_resource_claim_status {
            return self.refuse(format!(
                "node {node:?} cannot update extended resource claim status"
            ));
        }
        Ok(())
    }
}

fn not_found(resource: &str, name: &str) -> Status {
    Status::not_found(
        &GroupResource {
            group: String::new(),
            resource: resource.to_owned(),
        },
        name,
    )
}

/// What a pod refers to in the API: a node must not win rights by inventing pods.
fn api_reference(pod: &Pod) -> Option<&'static str> {
    if !pod.spec.service_account_name.is_empty() {
        return Some("serviceaccounts");
    }
    if !pod_references::secrets(pod).is_empty() {
        return Some("secrets");
    }
    if !pod_references::config_maps(pod).is_empty() {
        return Some("configmaps");
    }
    if !pod.spec.resource_claims.is_empty() {
        return Some("resourceclaims");
    }
    pod.spec.volumes.iter().find_map(volume_reference)
}

fn volume_reference(volume: &Volume) -> Option<&'static str> {
    let source = &volume.volume_source;
    let direct = [
        (source.config_map.is_some(), "configmaps (via configmap volumes)"),
        (source.secret.is_some(), "secrets (via secret volumes)"),
        (source.csi.is_some(), "csidrivers (via CSI volumes)"),
        (source.glusterfs.is_some(), "endpoints (via glusterFS volumes)"),
        (source.persistent_volume_claim.is_some(), "persistentvolumeclaims"),
        (
            source.ephemeral.is_some(),
            "persistentvolumeclaims (via ephemeral volumes)",
        ),
        (source.azure_file.is_some(), "secrets (via azureFile volumes)"),
    ];
    if let Some((_, resource)) = direct.iter().find(|(found, _)| *found) {
        return Some(resource);
    }
    source
        .projected
        .iter()
        .flat_map(|projected| &projected.sources)
        .find_map(|part| match part {
            part if part.config_map.is_some() => Some("configmaps (via projected volumes)"),
            part if part.secret.is_some() => Some("secrets (via projected volumes)"),
            part if part.service_account_token.is_some() => Some("serviceaccounts (via projected volumes)"),
            part if part.cluster_trust_bundle.is_some() => Some("clustertrustbundles"),
            part if part.pod_certificate.is_some() => Some("podcertificates"),
            _ => None,
        })
}
