//! The volume `kube-api-access-…`: a token, the cluster's authority, the namespace.

use api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath,
    LocalObjectReference, ObjectFieldSelector, Pod, ProjectedVolumeSource, ServiceAccountTokenProjection,
    Volume, VolumeMount, VolumeProjection, VolumeSource,
};

const VOLUME_PREFIX: &str = "kube-api-access-";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const FILE_MODE: i32 = 0o644;
/// Kubelets ask for this lifetime; the API server extends it for clients that never read their token again,
/// and warns from here on.
const TOKEN_SECONDS: i64 = 3607;

/// Mounts the token into every container that has nothing at its path yet.
pub(super) fn mount(pod: &mut Pod) {
    let existing = pod
        .spec
        .volumes
        .iter()
        .find(|volume| volume.name.starts_with(VOLUME_PREFIX));
    let (name, is_new) = match existing {
        Some(volume) => (volume.name.clone(), false),
        None => (format!("{VOLUME_PREFIX}{}", suffix()), true),
    };
    let mut mounted = false;
    for container in pod
        .spec
        .init_containers
        .iter_mut()
        .chain(&mut pod.spec.containers)
    {
        mounted |= mount_into(container, &name);
    }
    if is_new && mounted {
        let volume_source = VolumeSource {
            projected: Some(Box::new(source())),
            ..VolumeSource::default()
        };
        pod.spec.volumes.push(Volume { name, volume_source });
    }
}

fn mount_into(container: &mut Container, volume: &str) -> bool {
    if container
        .volume_mounts
        .iter()
        .any(|mount| mount.mount_path == MOUNT_PATH)
    {
        return false;
    }
    container.volume_mounts.push(VolumeMount {
        name: volume.to_owned(),
        read_only: true,
        mount_path: MOUNT_PATH.to_owned(),
        ..VolumeMount::default()
    });
    true
}

/// Five letters that spell no words, as generated names have.
fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    random
        .as_bytes()
        .iter()
        .take(5)
        .map(|byte| LETTERS[usize::from(*byte) % LETTERS.len()] as char)
        .collect()
}

fn source() -> ProjectedVolumeSource {
    let token = ServiceAccountTokenProjection {
        path: "token".to_owned(),
        expiration_seconds: Some(TOKEN_SECONDS),
        ..ServiceAccountTokenProjection::default()
    };
    let authority = ConfigMapProjection {
        local_object_reference: LocalObjectReference {
            name: "kube-root-ca.crt".to_owned(),
        },
        items: vec![KeyToPath {
            key: "ca.crt".to_owned(),
            path: "ca.crt".to_owned(),
            mode: None,
        }],
        optional: None,
    };
    let field = ObjectFieldSelector {
        api_version: "v1".to_owned(),
        field_path: "metadata.namespace".to_owned(),
    };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(Box::new(field)),
        ..DownwardAPIVolumeFile::default()
    };
    ProjectedVolumeSource {
        sources: vec![
            VolumeProjection {
                service_account_token: Some(Box::new(token)),
                ..VolumeProjection::default()
            },
            VolumeProjection {
                config_map: Some(Box::new(authority)),
                ..VolumeProjection::default()
            },
            VolumeProjection {
                downward_api: Some(Box::new(DownwardAPIProjection {
                    items: vec![namespace],
                })),
                ..VolumeProjection::default()
            },
        ],
        default_mode: Some(FILE_MODE),
    }
}
