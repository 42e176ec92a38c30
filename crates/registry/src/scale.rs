//! The Scale of workloads: how many replicas are wanted, how many there are, and which pods they are.

use api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use api::meta::v1::{LabelSelector, ObjectMeta};
use apimachinery::field::{Error, Path};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use jiff::Timestamp;
use serde_json::Value;

use crate::table;

/// A Scale with the identity of its workload.
pub fn new(metadata: &ObjectMeta, wanted: i32, actual: i32, selector: String) -> Scale {
    Scale {
        metadata: ObjectMeta {
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
            uid: metadata.uid.clone(),
            resource_version: metadata.resource_version.clone(),
            creation_timestamp: metadata.creation_timestamp,
            ..ObjectMeta::default()
        },
        spec: ScaleSpec { replicas: wanted },
        status: ScaleStatus {
            replicas: actual,
            selector,
        },
    }
}

/// Cells of a Scale's row.
pub fn row(scale: &Scale, now: Timestamp) -> Vec<Value> {
    vec![
        scale.metadata.name.as_str().into(),
        scale.spec.replicas.into(),
        scale.status.replicas.into(),
        table::age(&scale.metadata, now).into(),
    ]
}

/// The text form of a workload's selector; empty if there is none that makes sense.
pub fn selector(selector: Option<&LabelSelector>) -> String {
    let parsed = selector
        .map(api::selector::from_label_selector)
        .and_then(Result::ok);
    parsed.map(|selector| selector.to_string()).unwrap_or_default()
}

/// How many replicas a client wants, checked.
pub fn wanted(scale: &Scale) -> Result<i32, Status> {
    if scale.spec.replicas >= 0 {
        return Ok(scale.spec.replicas);
    }
    let path = Path::new("spec").child("replicas");
    let error = Error::invalid(&path, scale.spec.replicas, crate::resources::NEGATIVE);
    Err(Status::invalid(
        &GroupKind::new("autoscaling", "Scale"),
        &scale.metadata.name,
        [error],
    ))
}

/// Fills in the parts of [`Rules`](crate::rules::Rules) about a `scale` subresource over `spec.replicas`.
#[macro_export]
macro_rules! scale {
    ($selector:path) => {
        fn scale(object: &Self::Object) -> Option<api::autoscaling::v1::Scale> {
            let selector = $selector(object.spec.selector.as_deref());
            let (wanted, actual) = (object.spec.replicas.unwrap_or(0), object.status.replicas);
            Some($crate::scale::new(
                &object.metadata,
                wanted,
                actual,
                selector,
            ))
        }

        fn set_scale(object: &mut Self::Object, scale: &api::autoscaling::v1::Scale) -> Result<(), Status> {
            object.spec.replicas = Some($crate::scale::wanted(scale)?);
            Ok(())
        }
    };
}
