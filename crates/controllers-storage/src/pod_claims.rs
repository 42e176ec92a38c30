//! Which volume claims a pod uses. Pure.
//!
//! Upstream: staging/src/k8s.io/component-helpers/storage/ephemeral, pkg/controller/volume/common

use api::core::v1::{PersistentVolumeClaim, Pod, Volume};
use controller_runtime::ownership::controller_of;
use controller_runtime::{ObjectKey, Store};

/// The index of pods by the claims that they use.
const CLAIM_INDEX: &str = "pod-claim";

/// The name of the claim that is made for a pod's ephemeral volume.
pub fn ephemeral_claim(pod: &Pod, volume: &Volume) -> String {
    format!("{}-{}", pod.metadata.name, volume.name)
}

/// The claim that a volume is of, which others may have made in place of an ephemeral one's.
pub fn claim_of(pod: &Pod, volume: &Volume) -> Option<String> {
    let source = &volume.volume_source;
    match &source.persistent_volume_claim {
        Some(claim) => Some(claim.claim_name.clone()),
        None => source.ephemeral.as_ref().map(|_| ephemeral_claim(pod, volume)),
    }
}

/// The claims of a pod's volumes.
pub fn claims(pod: &Pod) -> impl Iterator<Item = ObjectKey> {
    let names = pod.spec.volumes.iter().filter_map(|volume| claim_of(pod, volume));
    names.map(|name| ObjectKey::new(&pod.metadata.namespace, &name))
}

/// Was the claim made for this pod?
pub fn is_made_for(claim: &PersistentVolumeClaim, pod: &Pod) -> bool {
    claim.metadata.namespace == pod.metadata.namespace
        && controller_of(&claim.metadata).is_some_and(|owner| owner.uid == pod.metadata.uid)
}

/// Makes [`users`] fast.
pub fn add_index(pods: &Store<Pod>) {
    pods.add_index(CLAIM_INDEX, |pod: &Pod| {
        claims(pod).map(|key| key.to_string()).collect()
    });
}

/// The pods that use a claim, by the index.
pub fn users(pods: &Store<Pod>, claim: &ObjectKey) -> Vec<std::sync::Arc<Pod>> {
    pods.by_index(CLAIM_INDEX, &claim.to_string())
}
