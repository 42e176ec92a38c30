//! What counting claims of devices takes beside the claims.

use std::sync::Arc;

use crate::core::v1::Pod;
use crate::resource::v1::ResourceClaim;

/// Looks up what claims of devices are about.
pub trait Devices: Send + Sync {
    /// The extended resource that a device class stands for.
    fn extended_resource(&self, class: &str) -> Option<String>;

    /// Does any device class stand for this extended resource?
    fn has_class_for(&self, extended_resource: &str) -> bool;

    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>>;

    fn claims(&self, namespace: &str) -> Vec<Arc<ResourceClaim>>;
}

/// There are no devices.
pub struct NoDevices;

impl Devices for NoDevices {
    fn extended_resource(&self, _: &str) -> Option<String> {
        None
    }

    fn has_class_for(&self, _: &str) -> bool {
        false
    }

    fn pod(&self, _: &str, _: &str) -> Option<Arc<Pod>> {
        None
    }

    fn claims(&self, _: &str) -> Vec<Arc<ResourceClaim>> {
        Vec::new()
    }
}
