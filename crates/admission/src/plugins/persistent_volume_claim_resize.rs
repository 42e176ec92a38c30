//! A claim grows only if it is bound and its class lets it.

use std::sync::Arc;

use api::core::v1::PersistentVolumeClaim;
use api::storage::v1::StorageClass;
use apimachinery::status::Status;
use auth::Objects;

use super::default_storage_class::CLASS_ANNOTATION;
use crate::plugin::{Outcome, done};
use crate::{Attributes, Operation, Plugin, Review};

pub struct PersistentVolumeClaimResize {
    objects: Arc<dyn Objects>,
}

impl PersistentVolumeClaimResize {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        if !attributes.is("", "persistentvolumeclaims", "") {
            return Ok(());
        }
        let (Some(claim), Some(old)) = (
            review.object_as::<PersistentVolumeClaim>(),
            review.old_as::<PersistentVolumeClaim>(),
        ) else {
            return Ok(());
        };
        let size = |claim: &PersistentVolumeClaim| {
            claim
                .spec
                .resources
                .requests
                .get("storage")
                .cloned()
                .unwrap_or_default()
        };
        if size(claim) <= size(old) {
            return Ok(());
        }
        if old.status.phase != "Bound" {
            return Err(
                attributes.forbidden(Some(claim), "Only bound persistent volume claims can be expanded")
            );
        }
        if !self.can_grow(claim, old) {
            let message = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
            return Err(attributes.forbidden(Some(claim), message));
        }
        Ok(())
    }

    fn can_grow(&self, claim: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> bool {
        let name = class(claim);
        if name.is_empty() || name != class(old) {
            return false;
        }
        let class = self.objects.cached::<StorageClass>("", name);
        class.is_some_and(|class| class.allow_volume_expansion == Some(true))
    }
}

fn class(claim: &PersistentVolumeClaim) -> &str {
    let annotated = claim
        .metadata
        .annotations
        .get(CLASS_ANNOTATION)
        .map(String::as_str);
    annotated
        .or(claim.spec.storage_class_name.as_deref())
        .unwrap_or_default()
}

impl Plugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Update
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        done(self.check(attributes, review))
    }
}

#[cfg(test)]
mod tests {
    use auth::objects::MemoryObjects;

    use super::*;
    use crate::testing::{Request, from_json, told};

    async fn check(class: &str, phase: &str, from: &str, to: &str, expected: &str) {
        let objects = Arc::new(MemoryObjects::new());
        objects.insert::<StorageClass>(from_json(
            r#"{"metadata":{"name":"grows"},"allowVolumeExpansion":true}"#,
        ));
        objects.insert::<StorageClass>(from_json(r#"{"metadata":{"name":"stays"}}"#));
        let claim = |size: &str| {
            from_json::<PersistentVolumeClaim>(&format!(
                r#"{{"metadata":{{"name":"c"}},"status":{{"phase":"{phase}"}},
                    "spec":{{"storageClassName":"{class}","resources":{{"requests":{{"storage":"{size}"}}}}}}}}"#
            ))
        };
        let outcome = Request::update()
            .run(
                &PersistentVolumeClaimResize::new(objects),
                Some(&mut claim(to)),
                Some(&claim(from)),
            )
            .await;
        assert!(told(&outcome).ends_with(expected), "{outcome:?}");
    }

    #[tokio::test]
    async fn growth_needs_a_bound_claim_and_a_willing_class() {
        check("grows", "Bound", "1Gi", "2Gi", "ok").await;
        check("stays", "Pending", "2Gi", "1Gi", "ok").await;
        check(
            "grows",
            "Pending",
            "1Gi",
            "2Gi",
            "Only bound persistent volume claims can be expanded",
        )
        .await;
        check("stays", "Bound", "1Gi", "2Gi", "must support resize").await;
        check("", "Bound", "1Gi", "2Gi", "must support resize").await;
    }
}
