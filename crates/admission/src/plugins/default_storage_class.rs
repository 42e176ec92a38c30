//! A claim that names no storage class gets the default one.

use std::cmp::Reverse;
use std::sync::Arc;

use api::core::v1::PersistentVolumeClaim;
use api::storage::v1::StorageClass;
use auth::Objects;

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const IS_DEFAULT: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];
/// The class of a claim before it became a field.
pub(crate) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

pub struct DefaultStorageClass {
    objects: Arc<dyn Objects>,
}

impl DefaultStorageClass {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Of several, the newest; of several as new, the first by name.
    fn default(&self) -> Option<String> {
        let classes = self
            .objects
            .cached_all::<StorageClass>("")
            .into_iter()
            .filter(is_default);
        let newest = classes.min_by_key(|class| {
            (
                Reverse(class.metadata.creation_timestamp),
                class.metadata.name.clone(),
            )
        });
        newest.map(|class| class.metadata.name)
    }
}

fn is_default(class: &StorageClass) -> bool {
    IS_DEFAULT.iter().any(|key| {
        class
            .metadata
            .annotations
            .get(*key)
            .is_some_and(|value| value == "true")
    })
}

impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("", "persistentvolumeclaims", "")
            && let Some(claim) = review.object_as_mut::<PersistentVolumeClaim>()
            && claim.spec.storage_class_name.is_none()
            && !claim.metadata.annotations.contains_key(CLASS_ANNOTATION)
        {
            claim.spec.storage_class_name = self.default();
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use auth::objects::MemoryObjects;

    use super::*;
    use crate::testing::{Request, from_json};

    async fn check(claim: &str, expected: Option<&str>) {
        let objects = Arc::new(MemoryObjects::new());
        for (name, default, created) in [
            ("old", "true", "2026-01-01"),
            ("new", "true", "2026-02-01"),
            ("other", "false", "2026-03-01"),
        ] {
            objects.insert::<StorageClass>(from_json(&format!(
                r#"{{"metadata":{{"name":"{name}","creationTimestamp":"{created}T00:00:00Z",
                    "annotations":{{"storageclass.kubernetes.io/is-default-class":"{default}"}}}}}}"#
            )));
        }
        let mut claim: PersistentVolumeClaim = from_json(claim);
        Request::create()
            .run(&DefaultStorageClass::new(objects), Some(&mut claim), None)
            .await
            .unwrap();
        assert_eq!(claim.spec.storage_class_name.as_deref(), expected);
    }

    #[tokio::test]
    async fn the_newest_default_is_taken_where_no_class_is_named() {
        check("{}", Some("new")).await;
        check(r#"{"spec":{"storageClassName":""}}"#, Some("")).await;
        check(r#"{"spec":{"storageClassName":"mine"}}"#, Some("mine")).await;
        check(
            r#"{"metadata":{"annotations":{"volume.beta.kubernetes.io/storage-class":"x"}}}"#,
            None,
        )
        .await;
    }
}
