//! A pod as its controller's template says.

use api::Resource;
use api::core::v1::{Pod, PodTemplateSpec};
use api::meta::v1::OwnerReference;
use apimachinery::validation;

/// A pod to be created, named by the server after `owner`.
pub fn pod_from_template<K: Resource>(
    owner: &K,
    template: &PodTemplateSpec,
    reference: OwnerReference,
) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.namespace = owner.metadata().namespace.clone();
    pod.metadata.generate_name = name_prefix(&owner.metadata().name);
    pod.metadata.labels = template.metadata.labels.clone();
    pod.metadata.annotations = template.metadata.annotations.clone();
    pod.metadata.finalizers = template.metadata.finalizers.clone();
    pod.metadata.owner_references = vec![reference];
    pod.spec = template.spec.clone();
    pod
}

/// `name-`, or the name alone when the dash would make it invalid.
fn name_prefix(name: &str) -> String {
    let prefix = format!("{name}-");
    // The server's suffix makes it end properly; only the length and the characters before count.
    if validation::is_dns1123_subdomain(&format!("{prefix}x")).is_empty() {
        prefix
    } else {
        name.to_owned()
    }
}
