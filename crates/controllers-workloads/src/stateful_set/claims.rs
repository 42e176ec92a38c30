//! The claims of a stateful pod's volumes: made from templates, kept when the pod goes, and owned so that the garbage
//! collector deletes them when the set's policy says so. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use api::Resource;
use api::apps::v1::StatefulSet;
use api::core::v1::{PersistentVolumeClaim, Pod};
use api::meta::v1::OwnerReference;
use controller_runtime::ownership::{api_version, controller_ref};

use super::identity::ordinals;

/// Claims by name, of one namespace.
pub type Claims = HashMap<String, Arc<PersistentVolumeClaim>>;

/// The claim of a template for an ordinal.
pub fn name(set: &StatefulSet, template: &PersistentVolumeClaim, ordinal: i32) -> String {
    format!("{}-{}-{ordinal}", template.metadata.name, set.metadata.name)
}

/// The names of an ordinal's claims.
pub fn names(set: &StatefulSet, ordinal: i32) -> impl Iterator<Item = String> + '_ {
    let templates = set.spec.volume_claim_templates.iter();
    templates.map(move |template| name(set, template, ordinal))
}

/// An ordinal's claims as they are made.
pub fn wanted(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let labels = set.spec.selector.as_ref().map(|selector| &selector.match_labels);
    let claim = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        claim.metadata.name = name(set, template, ordinal);
        claim.metadata.namespace = set.metadata.namespace.clone();
        for (key, value) in labels.into_iter().flatten() {
            claim.metadata.labels.insert(key.clone(), value.clone());
        }
        claim
    };
    set.spec.volume_claim_templates.iter().map(claim).collect()
}

/// What becomes of claims when their pod, or the set, goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub deletes_with_set: bool,
    pub deletes_when_scaled: bool,
}

pub fn retention(set: &StatefulSet) -> Retention {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    Retention {
        deletes_with_set: policy.is_some_and(|policy| policy.when_deleted == "Delete"),
        deletes_when_scaled: policy.is_some_and(|policy| policy.when_scaled == "Delete"),
    }
}

/// Who is to own the claims of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Nobody,
    Set,
    Pod,
}

fn owner(set: &StatefulSet, ordinal: i32) -> Owner {
    let retention = retention(set);
    if retention.deletes_when_scaled && !ordinals(set).contains(&ordinal) {
        Owner::Pod
    } else if retention.deletes_with_set {
        Owner::Set
    } else {
        Owner::Nobody
    }
}

fn names_object<K: Resource>(reference: &OwnerReference, object: &K) -> bool {
    reference.kind == K::KIND
        && reference.api_version == api_version::<K>()
        && reference.name == object.metadata().name
}

/// It belongs to a namesake that is gone: the garbage collector has it.
fn is_stale_for<K: Resource>(claim: &PersistentVolumeClaim, object: &K) -> bool {
    let references = &claim.metadata.owner_references;
    let named = references
        .iter()
        .find(|reference| names_object(reference, object));
    named.is_some_and(|reference| reference.uid != object.metadata().uid)
}

/// Whether a pod that is to be made would get a claim that is about to be deleted with its predecessor.
pub fn is_stale(set: &StatefulSet, pod: &Pod, ordinal: i32, claims: &Claims) -> bool {
    retention(set).deletes_when_scaled
        && names(set, ordinal)
            .filter_map(|name| claims.get(&name))
            .any(|claim| is_stale_for(claim, pod))
}

/// Somebody else controls the claim, in spite of a policy by which this set would.
pub fn has_other_controller(set: &StatefulSet, pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let retention = retention(set);
    if !retention.deletes_with_set && !retention.deletes_when_scaled {
        return false;
    }
    claim.metadata.owner_references.iter().any(|reference| {
        if names_object(reference, set) {
            reference.uid != set.metadata.uid
        } else if names_object(reference, pod) {
            reference.uid != pod.metadata.uid
        } else {
            reference.controller == Some(true)
        }
    })
}

/// The owners that a claim is to have; `None` if they are as they ought to be, or not to be touched.
pub fn corrected_owners(
    set: &StatefulSet,
    pod: &Pod,
    ordinal: i32,
    claim: &PersistentVolumeClaim,
) -> Option<Vec<OwnerReference>> {
    if is_stale_for(claim, set) || is_stale_for(claim, pod) {
        return None;
    }
    let is_ours = |reference: &&OwnerReference| names_object(reference, set) || names_object(reference, pod);
    let references = &claim.metadata.owner_references;
    let mut wanted: Vec<OwnerReference> = references
        .iter()
        .filter(|reference| !is_ours(reference))
        .cloned()
        .collect();
    if !has_other_controller(set, pod, claim) {
        match owner(set, ordinal) {
            Owner::Nobody => {}
            Owner::Set => wanted.push(controller_ref(set)),
            Owner::Pod => wanted.push(controller_ref(pod)),
        }
    }
    let same = wanted.len() == references.len()
        && wanted.iter().all(|wanted| {
            references
                .iter()
                .any(|reference| reference.uid == wanted.uid && reference.controller == wanted.controller)
        });
    (!same).then_some(wanted)
}

/// Whether all claims that a pod has are owned as the policy says. Those that are missing are not its matter.
pub fn owners_match(set: &StatefulSet, pod: &Pod, ordinal: i32, claims: &Claims) -> bool {
    names(set, ordinal)
        .filter_map(|name| claims.get(&name))
        .all(|claim| corrected_owners(set, pod, ordinal, claim).is_none())
}

#[cfg(test)]
mod tests {
    use api::apps::v1::StatefulSetPersistentVolumeClaimRetentionPolicy;
    use api::meta::v1::LabelSelector;

    use super::*;

    fn set(when_deleted: &str, when_scaled: &str) -> StatefulSet {
        let mut set = StatefulSet::default();
        set.metadata.name = "web".into();
        set.metadata.uid = "set-uid".into();
        set.spec.replicas = Some(1);
        let mut template = PersistentVolumeClaim::default();
        template.metadata.name = "data".into();
        set.spec.volume_claim_templates = vec![template];
        set.spec.selector = Some(Box::new(LabelSelector {
            match_labels: [("app".to_owned(), "web".to_owned())].into(),
            ..LabelSelector::default()
        }));
        set.spec.persistent_volume_claim_retention_policy =
            Some(Box::new(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: when_deleted.into(),
                when_scaled: when_scaled.into(),
            }));
        set
    }

    fn pod(uid: &str, ordinal: i32) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = format!("web-{ordinal}");
        pod.metadata.uid = uid.into();
        pod
    }

    /// The UIDs of the owners after the correction, or `-` if there is none.
    fn check(set: &StatefulSet, ordinal: i32, owners: Vec<OwnerReference>, expected: &str) {
        let mut claim = PersistentVolumeClaim::default();
        claim.metadata.owner_references = owners;
        let corrected = corrected_owners(set, &pod("pod-uid", ordinal), ordinal, &claim);
        let shown = corrected.map_or("-".to_owned(), |owners| {
            let uids: Vec<String> = owners.into_iter().map(|owner| owner.uid).collect();
            uids.join(" ")
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn the_policy_decides_who_owns_a_claim() {
        let (keep, with_set) = (set("Retain", "Retain"), set("Delete", "Retain"));
        let (scaled, both) = (set("Retain", "Delete"), set("Delete", "Delete"));
        let of_set = || vec![controller_ref(&keep)];
        let of_pod = || vec![controller_ref(&pod("pod-uid", 7))];
        check(&keep, 0, vec![], "-");
        check(&keep, 0, of_set(), "");
        check(&with_set, 0, vec![], "set-uid");
        check(&with_set, 0, of_set(), "-");
        check(&with_set, 7, of_set(), "-");
        check(&scaled, 0, vec![], "-");
        check(&scaled, 7, vec![], "pod-uid");
        check(&both, 0, vec![], "set-uid");
        check(&both, 7, of_set(), "pod-uid");
        check(&both, 7, of_pod(), "-");
    }

    #[test]
    fn claims_of_others_and_of_namesakes_are_left_alone() {
        let both = set("Delete", "Delete");
        let mut foreign = controller_ref(&pod("x", 9));
        foreign.name = "other".into();
        check(&both, 0, vec![foreign.clone()], "-");
        check(&both, 0, vec![foreign, controller_ref(&both)], "x");
        check(&both, 0, vec![controller_ref(&pod("before", 0))], "-");
        let claims = Claims::from([("data-web-0".to_owned(), {
            let mut claim = PersistentVolumeClaim::default();
            claim.metadata.owner_references = vec![controller_ref(&pod("before", 0))];
            Arc::new(claim)
        })]);
        assert!(is_stale(&both, &pod("", 0), 0, &claims));
        assert!(!is_stale(&set("Retain", "Retain"), &pod("", 0), 0, &claims));
    }

    #[test]
    fn claims_bear_the_sets_labels() {
        let claim = wanted(&set("Retain", "Retain"), 3).remove(0);
        assert_eq!(claim.metadata.name, "data-web-3");
        assert_eq!(claim.metadata.labels["app"], "web");
    }
}
