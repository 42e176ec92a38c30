//! What belongs to pods that nobody knows: a kubelet that was away may find much of it. Upstream: `HandlePodCleanups`.

use crate::{cgroup::pods::PodGroups, volume::manager::Volumes};

/// Removes the folders and groups of pods for which `wanted` says no.
pub async fn remove(volumes: &Volumes, groups: &PodGroups, wanted: impl Fn(&str) -> bool) {
    for uid in volumes.root().pod_uids() {
        if !wanted(&uid) {
            match volumes.tear_down(&uid).await {
                Ok(()) => tracing::info!(uid, "cleaned up orphaned pod volumes dir"),
                Err(error) => {
                    tracing::warn!(uid, %error, "orphaned pod found, but its folder can't be removed")
                }
            }
        }
    }
    groups.remove_orphans(wanted).await;
}
