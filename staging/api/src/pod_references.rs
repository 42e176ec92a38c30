//! The objects that a pod names: what its node must be able to read.

use std::collections::BTreeSet;

use crate::core::v1::{EnvFromSource, EnvVar, LocalObjectReference, Pod, Volume};

/// Names, in the pod's namespace, of the secrets that a pod uses.
pub fn secrets(pod: &Pod) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = pod
        .spec
        .image_pull_secrets
        .iter()
        .map(|secret| secret.name.as_str())
        .collect();
    names.extend(variables(pod).filter_map(|variable| {
        Some(
            variable
                .value_from
                .as_ref()?
                .secret_key_ref
                .as_ref()?
                .local_object_reference
                .name
                .as_str(),
        )
    }));
    names.extend(
        sources(pod)
            .filter_map(|source| Some(source.secret_ref.as_ref()?.local_object_reference.name.as_str())),
    );
    names.extend(pod.spec.volumes.iter().flat_map(volume_secrets));
    names.remove("");
    names
}

/// Names, in the pod's namespace, of the config maps that a pod uses.
pub fn config_maps(pod: &Pod) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = variables(pod)
        .filter_map(|variable| {
            Some(
                variable
                    .value_from
                    .as_ref()?
                    .config_map_key_ref
                    .as_ref()?
                    .local_object_reference
                    .name
                    .as_str(),
            )
        })
        .collect();
    names.extend(sources(pod).filter_map(|source| {
        Some(
            source
                .config_map_ref
                .as_ref()?
                .local_object_reference
                .name
                .as_str(),
        )
    }));
    names.extend(pod.spec.volumes.iter().flat_map(volume_config_maps));
    names.remove("");
    names
}

/// Names, in the pod's namespace, of the volume claims that a pod uses; an ephemeral volume's claim is named
/// after pod and volume.
pub fn claims(pod: &Pod) -> BTreeSet<String> {
    let name = |volume: &Volume| match (
        &volume.volume_source.persistent_volume_claim,
        &volume.volume_source.ephemeral,
    ) {
        (Some(claim), _) => Some(claim.claim_name.clone()),
        (None, Some(_)) => Some(format!("{}-{}", pod.metadata.name, volume.name)),
        (None, None) => None,
    };
    pod.spec.volumes.iter().filter_map(name).collect()
}

/// Names, in the pod's namespace, of the resource claims that a pod uses and that exist already.
pub fn resource_claims(pod: &Pod) -> BTreeSet<&str> {
    let direct = pod
        .spec
        .resource_claims
        .iter()
        .filter_map(|claim| claim.resource_claim_name.as_deref());
    let generated = pod
        .status
        .resource_claim_statuses
        .iter()
        .filter_map(|claim| claim.resource_claim_name.as_deref());
    let extended = pod
        .status
        .extended_resource_claim_status
        .iter()
        .map(|claim| claim.resource_claim_name.as_str());
    direct
        .chain(generated)
        .chain(extended)
        .filter(|name| !name.is_empty())
        .collect()
}

fn variables(pod: &Pod) -> impl Iterator<Item = &EnvVar> {
    let spec = &pod.spec;
    let containers = spec
        .init_containers
        .iter()
        .chain(&spec.containers)
        .flat_map(|container| &container.env);
    containers.chain(
        spec.ephemeral_containers
            .iter()
            .flat_map(|container| &container.ephemeral_container_common.env),
    )
}

fn sources(pod: &Pod) -> impl Iterator<Item = &EnvFromSource> {
    let spec = &pod.spec;
    let containers = spec
        .init_containers
        .iter()
        .chain(&spec.containers)
        .flat_map(|container| &container.env_from);
    containers.chain(
        spec.ephemeral_containers
            .iter()
            .flat_map(|container| &container.ephemeral_container_common.env_from),
    )
}

fn volume_secrets(volume: &Volume) -> Vec<&str> {
    let source = &volume.volume_source;
    let mut names: Vec<&str> = Vec::new();
    names.extend(source.secret.iter().map(|secret| secret.secret_name.as_str()));
    names.extend(source.azure_file.iter().map(|file| file.secret_name.as_str()));
    names.extend(
        source
            .cephfs
            .iter()
            .filter_map(|volume| named(&volume.secret_ref)),
    );
    names.extend(
        source
            .cinder
            .iter()
            .filter_map(|volume| named(&volume.secret_ref)),
    );
    names.extend(
        source
            .flex_volume
            .iter()
            .filter_map(|volume| named(&volume.secret_ref)),
    );
    names.extend(source.rbd.iter().filter_map(|volume| named(&volume.secret_ref)));
    names.extend(
        source
            .scale_io
            .iter()
            .filter_map(|volume| named(&volume.secret_ref)),
    );
    names.extend(source.iscsi.iter().filter_map(|volume| named(&volume.secret_ref)));
    names.extend(
        source
            .storageos
            .iter()
            .filter_map(|volume| named(&volume.secret_ref)),
    );
    names.extend(
        source
            .csi
            .iter()
            .filter_map(|volume| named(&volume.node_publish_secret_ref)),
    );
    let projections = source.projected.iter().flat_map(|projected| &projected.sources);
    names.extend(
        projections.filter_map(|part| Some(part.secret.as_ref()?.local_object_reference.name.as_str())),
    );
    names
}

fn named(reference: &Option<Box<LocalObjectReference>>) -> Option<&str> {
    reference.as_ref().map(|reference| reference.name.as_str())
}

fn volume_config_maps(volume: &Volume) -> Vec<&str> {
    let source = &volume.volume_source;
    let mut names: Vec<&str> = source
        .config_map
        .iter()
        .map(|map| map.local_object_reference.name.as_str())
        .collect();
    let projections = source.projected.iter().flat_map(|projected| &projected.sources);
    names.extend(
        projections.filter_map(|part| Some(part.config_map.as_ref()?.local_object_reference.name.as_str())),
    );
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[test]
    fn every_way_to_name_an_object_counts() {
        let pod = Pod::from_json(
            br#"{"metadata":{"name":"web"},"spec":{
              "imagePullSecrets":[{"name":"pull"}],
              "initContainers":[{"name":"i","env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"init-env","key":"k"}}}]}],
              "containers":[{"name":"c","envFrom":[{"secretRef":{"name":"from"}},{"configMapRef":{"name":"map-from"}}],
                "env":[{"name":"B","valueFrom":{"configMapKeyRef":{"name":"map-env","key":"k"}}},{"name":"C","value":"x"}]}],
              "ephemeralContainers":[{"name":"e","env":[{"name":"A","valueFrom":{"secretKeyRef":{"name":"debug","key":"k"}}}]}],
              "volumes":[{"name":"s","secret":{"secretName":"vol"}},{"name":"m","configMap":{"name":"map-vol"}},
                {"name":"p","projected":{"sources":[{"secret":{"name":"proj"}},{"configMap":{"name":"map-proj"}}]}},
                {"name":"v","csi":{"driver":"d","nodePublishSecretRef":{"name":"csi"}}},
                {"name":"c","persistentVolumeClaim":{"claimName":"data"}},{"name":"tmp","ephemeral":{}}]}}"#,
        )
        .unwrap();
        let list = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(list(secrets(&pod)), "csi debug from init-env proj pull vol");
        assert_eq!(list(config_maps(&pod)), "map-env map-from map-proj map-vol");
        assert_eq!(
            claims(&pod).into_iter().collect::<Vec<_>>().join(" "),
            "data web-tmp"
        );
    }
}
