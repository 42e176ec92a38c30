//! What makes a stateful pod the one of its ordinal: its name, its labels, its host name and its volumes. Pure.

use api::apps::v1::StatefulSet;
use api::core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume};
use controller_runtime::ownership::controller_ref;

use super::claims;
use crate::pods::template::pod_from_template;
use crate::revisions::HASH_LABEL;

pub const POD_NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
pub const POD_INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The ordinals that the set wants pods for.
pub fn ordinals(set: &StatefulSet) -> std::ops::Range<i32> {
    let start = start(set);
    start..start.saturating_add(replicas(set))
}

pub fn start(set: &StatefulSet) -> i32 {
    set.spec.ordinals.as_ref().map_or(0, |ordinals| ordinals.start)
}

pub fn replicas(set: &StatefulSet) -> i32 {
    set.spec.replicas.unwrap_or(1).max(0)
}

/// The ordinal in a pod's name, if the name is one of this set's.
pub fn ordinal_of(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let digits = pod
        .metadata
        .name
        .strip_prefix(&set.metadata.name)?
        .strip_prefix('-')?;
    // No signs, no leading zeros: another name would be made of the ordinal.
    let ordinal = digits.parse::<i32>().ok().filter(|ordinal| *ordinal >= 0)?;
    (ordinal.to_string() == digits).then_some(ordinal)
}

pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", set.metadata.name)
}

/// The revision that a pod was made from: its name.
pub fn revision_of(pod: &Pod) -> &str {
    pod.metadata
        .labels
        .get(HASH_LABEL)
        .map(String::as_str)
        .unwrap_or_default()
}

/// The pod of an ordinal, from a revision's template.
pub fn new_pod(set: &StatefulSet, template: &PodTemplateSpec, revision: &str, ordinal: i32) -> Pod {
    let mut pod = pod_from_template(set, template, controller_ref(set));
    pod.metadata.generate_name.clear();
    pod.metadata.name = pod_name(set, ordinal);
    pod.metadata.labels.insert(HASH_LABEL.into(), revision.into());
    set_labels(&mut pod, ordinal);
    pod.spec.hostname = pod.metadata.name.clone();
    pod.spec.subdomain = set.spec.service_name.clone();
    set_volumes(set, &mut pod, ordinal);
    pod
}

/// Whether the labels are those of the ordinal.
pub fn identity_matches(pod: &Pod) -> bool {
    pod.metadata.labels.get(POD_NAME_LABEL) == Some(&pod.metadata.name)
}

/// Whether the pod mounts the claims of its ordinal.
pub fn storage_matches(set: &StatefulSet, pod: &Pod, ordinal: i32) -> bool {
    set.spec.volume_claim_templates.iter().all(|template| {
        let wanted = claims::name(set, template, ordinal);
        let volume = pod
            .spec
            .volumes
            .iter()
            .find(|volume| volume.name == template.metadata.name);
        let source = volume.and_then(|volume| volume.volume_source.persistent_volume_claim.as_ref());
        source.is_some_and(|source| source.claim_name == wanted)
    })
}

pub fn set_labels(pod: &mut Pod, ordinal: i32) {
    let name = pod.metadata.name.clone();
    pod.metadata.labels.insert(POD_NAME_LABEL.into(), name);
    pod.metadata
        .labels
        .insert(POD_INDEX_LABEL.into(), ordinal.to_string());
}

/// The claims' volumes come first, and in place of volumes of the same name.
pub fn set_volumes(set: &StatefulSet, pod: &mut Pod, ordinal: i32) {
    let templates = &set.spec.volume_claim_templates;
    let mut volumes: Vec<Volume> = templates
        .iter()
        .map(|template| {
            let mut volume = Volume {
                name: template.metadata.name.clone(),
                ..Volume::default()
            };
            volume.volume_source.persistent_volume_claim =
                Some(Box::new(PersistentVolumeClaimVolumeSource {
                    claim_name: claims::name(set, template, ordinal),
                    read_only: false,
                }));
            volume
        })
        .collect();
    let is_claimed = |volume: &Volume| {
        templates
            .iter()
            .any(|template| template.metadata.name == volume.name)
    };
    volumes.extend(pod.spec.volumes.drain(..).filter(|volume| !is_claimed(volume)));
    pod.spec.volumes = volumes;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_from_names_as_they_are_written() {
        let mut set = StatefulSet::default();
        set.metadata.name = "web".into();
        let check = |name: &str, ordinal: Option<i32>| {
            let mut pod = Pod::default();
            pod.metadata.name = name.into();
            assert_eq!(ordinal_of(&set, &pod), ordinal, "{name}");
        };
        check("web-0", Some(0));
        check("web-12", Some(12));
        check("web-012", None);
        check("web--1", None);
        check("web-", None);
        check("web-x-1", None);
        check("other-1", None);
        check("web-99999999999", None);
    }
}
