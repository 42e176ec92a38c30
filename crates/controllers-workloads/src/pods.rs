//! What controllers do with pods: make them from a template, claim them, choose which to delete.

pub mod claim;
pub mod control;
pub mod ranking;
pub mod template;

use api::core::v1::Pod;
use controller_runtime::ownership::controller_of;
use controller_runtime::{Informer, Store};

/// The index of pods by the UID of their controller; orphans are under their namespace with a slash, which no UID
/// has.
pub const CONTROLLER_INDEX: &str = "controller";

/// The value under which [`CONTROLLER_INDEX`] has a namespace's orphans.
pub fn orphans_of(namespace: &str) -> String {
    format!("{namespace}/")
}

/// Adds the index; asking again is harmless.
pub fn index_by_controller(pods: &Informer<Pod>) -> Store<Pod> {
    let store = pods.store();
    store.add_index(CONTROLLER_INDEX, |pod: &Pod| {
        vec![match controller_of(&pod.metadata) {
            Some(owner) => owner.uid.clone(),
            None => orphans_of(&pod.metadata.namespace),
        }]
    });
    store
}

/// A name for a pod that no successor of the same name has.
pub fn identity(pod: &Pod) -> String {
    format!(
        "{}/{}/{}",
        pod.metadata.namespace, pod.metadata.name, pod.metadata.uid
    )
}
