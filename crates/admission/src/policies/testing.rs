//! What the tests of policies share.

use api::Object;
use api::core::v1::Pod;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;
use serde_json::Value as Json;

use crate::matching::{Kinds, ServedAs, Unknown};

/// Kinds that are served in one form; what is read back is a pod.
pub struct OneForm;

impl Kinds for OneForm {
    fn served_as(&self, _resource: &GroupVersionResource, _subresource: &str) -> Vec<ServedAs> {
        Vec::new()
    }

    fn document(&self, object: &dyn Object, _kind: &GroupVersionKind) -> Result<Vec<u8>, Status> {
        Ok(object.to_json())
    }

    fn object(
        &self,
        document: &[u8],
        _kind: &GroupVersionKind,
        _standing: &dyn Object,
        _unknown: Unknown,
    ) -> Result<Box<dyn Object>, Status> {
        let pod: Pod = api::Message::from_json(document).map_err(Status::internal)?;
        Ok(Box::new(pod))
    }

    /// Members of objects over members; the rest as a whole.
    fn merge(&self, document: &Json, configuration: &Json, _kind: &GroupVersionKind) -> Result<Json, String> {
        let mut merged = document.clone();
        apimachinery::patch::merge_patch(&mut merged, configuration);
        Ok(merged)
    }
}
