//! Device classes, pods and claims from the server's caches.

use std::sync::Arc;

use api::core::v1::Pod;
use api::quota::Devices;
use api::resource::v1::{DeviceClass, ResourceClaim};
use auth::Objects;

pub(super) struct Cached(pub(super) Arc<dyn Objects>);

impl Devices for Cached {
    fn extended_resource(&self, class: &str) -> Option<String> {
        self.0
            .cached::<DeviceClass>("", class)?
            .spec
            .extended_resource_name
    }

    fn has_class_for(&self, extended_resource: &str) -> bool {
        let classes = self.0.cached_all::<DeviceClass>("");
        classes
            .iter()
            .any(|class| class.spec.extended_resource_name.as_deref() == Some(extended_resource))
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.0.cached::<Pod>(namespace, name).map(Arc::from)
    }

    fn claims(&self, namespace: &str) -> Vec<Arc<ResourceClaim>> {
        let claims = self.0.cached_all::<ResourceClaim>(namespace);
        claims.into_iter().map(Arc::new).collect()
    }
}
