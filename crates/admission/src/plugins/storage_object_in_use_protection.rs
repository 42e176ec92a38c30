//! Claims and volumes get a finalizer, so that one in use outlives its deletion.

use api::Object;

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

pub struct StorageObjectInUseProtection;

fn finalizer(attributes: &Attributes<'_>) -> Option<&'static str> {
    match (
        attributes.resource.group.as_str(),
        attributes.resource.resource.as_str(),
        attributes.subresource,
    ) {
        ("", "persistentvolumeclaims", "") => Some("kubernetes.io/pvc-protection"),
        ("", "persistentvolumes", "") => Some("kubernetes.io/pv-protection"),
        ("storage.k8s.io", "volumeattributesclasses", "") => Some("kubernetes.io/vac-protection"),
        _ => None,
    }
}

fn add(object: &mut dyn Object, finalizer: &str) {
    let finalizers = &mut object.metadata_mut().finalizers;
    if !finalizers.iter().any(|existing| existing == finalizer) {
        finalizers.push(finalizer.to_owned());
    }
}

impl Plugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if let (Some(finalizer), Some(object)) = (finalizer(attributes), review.object.as_deref_mut()) {
            add(&mut **object, finalizer);
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use api::core::v1::{ConfigMap, PersistentVolumeClaim};

    use super::*;
    use crate::testing::{Request, from_json};

    #[tokio::test]
    async fn claims_are_protected_once_and_others_not() {
        let mut claim: PersistentVolumeClaim = from_json(r#"{"metadata":{"name":"c"}}"#);
        for _ in 0..2 {
            Request::create()
                .run(&StorageObjectInUseProtection, Some(&mut claim), None)
                .await
                .unwrap();
            assert_eq!(claim.metadata.finalizers, ["kubernetes.io/pvc-protection"]);
        }
        let mut map: ConfigMap = from_json("{}");
        Request::create()
            .run(&StorageObjectInUseProtection, Some(&mut map), None)
            .await
            .unwrap();
        assert!(map.metadata.finalizers.is_empty());
    }
}
