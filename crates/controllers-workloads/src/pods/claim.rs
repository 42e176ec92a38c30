//! Which pods a controller may count as its own, adopting and releasing on the way.
//!
//! Upstream: pkg/controller/controller_ref_manager.go

use std::sync::Arc;

use api::Resource;
use api::core::v1::Pod;
use apimachinery::labels::Selector;
use client::{Api, Error, Patch, PatchParams};
use controller_runtime::ownership::{self, Claim};

/// Claims `candidates` for `owner`. Before the first adoption the owner is read from the server: an owner that is
/// being deleted must not adopt what its deletion just orphaned.
pub async fn claim_pods<K: Resource>(
    owners: &Api<K>,
    pods: &Api<Pod>,
    owner: &K,
    selector: &Selector,
    candidates: Vec<Arc<Pod>>,
) -> Result<Vec<Arc<Pod>>, Error> {
    let mut claimed = Vec::with_capacity(candidates.len());
    let mut may_adopt = None;
    for pod in candidates {
        match ownership::claim_by(&pod.metadata, owner.metadata(), selector) {
            Claim::Keep => claimed.push(pod),
            Claim::Ignore => {}
            Claim::Adopt => {
                let allowed = match may_adopt {
                    Some(allowed) => allowed,
                    None => *may_adopt.insert(still_there(owners, owner).await?),
                };
                if allowed && adopt(pods, &pod.metadata.name, &pod.metadata.uid, owner).await? {
                    claimed.push(pod);
                }
            }
            Claim::Release => {
                release(pods, &pod.metadata.name, &pod.metadata.uid, &owner.metadata().uid).await?
            }
        }
    }
    Ok(claimed)
}

/// Whether the server still has this very owner, and not in deletion.
pub async fn still_there<K: Resource>(owners: &Api<K>, owner: &K) -> Result<bool, Error> {
    match owners.get(&owner.metadata().name).await {
        Ok(fresh) => {
            let fresh = fresh.metadata();
            Ok(fresh.uid == owner.metadata().uid && fresh.deletion_timestamp.is_none())
        }
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes `owner` the controller of a child; `false` when the child has gone.
pub async fn adopt<C: Resource, K: Resource>(
    children: &Api<C>,
    name: &str,
    uid: &str,
    owner: &K,
) -> Result<bool, Error> {
    let patch = Patch::Strategic(ownership::adopt_patch(&ownership::controller_ref(owner), uid));
    match children.patch(name, &patch, &PatchParams::default()).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes an owner's reference away from a child. Gone, or replaced by a namesake: then there is nothing to release.
pub async fn release<C: Resource>(
    children: &Api<C>,
    name: &str,
    uid: &str,
    owner_uid: &str,
) -> Result<(), Error> {
    let patch = Patch::Strategic(ownership::release_patch(owner_uid, uid));
    match children.patch(name, &patch, &PatchParams::default()).await {
        Err(error) if error.is_not_found() || error.is_invalid() => Ok(()),
        outcome => outcome.map(drop),
    }
}
