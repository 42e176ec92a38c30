//! Which objects belong to which node, through pods, claims and volumes.

use std::collections::{BTreeSet, HashMap};

use api::core::v1::{PersistentVolume, PersistentVolumeSource, Pod, SecretReference};
use api::pod_references;

const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// The kinds of objects that pods lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Secret,
    ConfigMap,
    VolumeClaim,
    ServiceAccount,
    ResourceClaim,
}

/// An object in a namespace.
type Named = (String, String);
type Used = (Kind, String, String);

#[derive(Debug)]
struct PodUse {
    node: String,
    uses: Vec<Used>,
}

#[derive(Debug)]
struct VolumeUse {
    claim: Named,
    secrets: Vec<Named>,
}

/// Kept up to date change by change; a question costs a few look-ups.
#[derive(Debug, Default)]
pub struct Graph {
    pods: HashMap<Named, PodUse>,
    /// How many pods of each node use an object.
    users: HashMap<Used, HashMap<String, u32>>,
    volumes: HashMap<String, VolumeUse>,
    /// The volumes that need a secret.
    secret_volumes: HashMap<Named, BTreeSet<String>>,
    attachments: HashMap<String, String>,
    slices: HashMap<String, String>,
}

impl Graph {
    /// Sets a pod, or removes it. A pod that is not bound yet belongs to no node.
    pub fn set_pod(&mut self, namespace: &str, name: &str, pod: Option<&Pod>) {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(old) = self.pods.remove(&key) {
            old.uses.iter().for_each(|used| self.release(used, &old.node));
        }
        let Some(pod) = pod.filter(|pod| !pod.spec.node_name.is_empty()) else {
            return;
        };
        let node = pod.spec.node_name.clone();
        let uses = uses(pod);
        for used in &uses {
            *self
                .users
                .entry(used.clone())
                .or_default()
                .entry(node.clone())
                .or_default() += 1;
        }
        self.pods.insert(key, PodUse { node, uses });
    }

    fn release(&mut self, used: &Used, node: &str) {
        let Some(nodes) = self.users.get_mut(used) else {
            return;
        };
        if let Some(count) = nodes.get_mut(node) {
            *count -= 1;
            if *count == 0 {
                nodes.remove(node);
            }
        }
        if nodes.is_empty() {
            self.users.remove(used);
        }
    }

    /// Sets a volume, or removes it. A volume without a claim belongs to no node.
    pub fn set_volume(&mut self, name: &str, volume: Option<&PersistentVolume>) {
        if let Some(old) = self.volumes.remove(name) {
            for secret in &old.secrets {
                if let Some(volumes) = self.secret_volumes.get_mut(secret) {
                    volumes.remove(name);
                    if volumes.is_empty() {
                        self.secret_volumes.remove(secret);
                    }
                }
            }
        }
        let Some(volume) = volume else { return };
        let Some(claim) = &volume.spec.claim_ref else {
            return;
        };
        let secrets = volume_secrets(&volume.spec.persistent_volume_source, &claim.namespace);
        for secret in &secrets {
            self.secret_volumes
                .entry(secret.clone())
                .or_default()
                .insert(name.to_owned());
        }
        let claim = (claim.namespace.clone(), claim.name.clone());
        self.volumes.insert(name.to_owned(), VolumeUse { claim, secrets });
    }

    pub fn set_attachment(&mut self, name: &str, node: Option<&str>) {
        set(&mut self.attachments, name, node);
    }

    pub fn set_slice(&mut self, name: &str, node: Option<&str>) {
        set(&mut self.slices, name, node);
    }

    /// Does an object belong to a node?
    pub fn belongs(&self, node: &str, kind: Kind, namespace: &str, name: &str) -> bool {
        let used = (kind, namespace.to_owned(), name.to_owned());
        let by_pod = self
            .users
            .get(&used)
            .is_some_and(|nodes| nodes.contains_key(node));
        by_pod || (kind == Kind::Secret && self.secret_by_volume(node, namespace, name))
    }

    fn secret_by_volume(&self, node: &str, namespace: &str, name: &str) -> bool {
        let volumes = self.secret_volumes.get(&(namespace.to_owned(), name.to_owned()));
        volumes
            .into_iter()
            .flatten()
            .any(|volume| self.has_volume(node, volume))
    }

    pub fn has_pod(&self, node: &str, namespace: &str, name: &str) -> bool {
        self.pods
            .get(&(namespace.to_owned(), name.to_owned()))
            .is_some_and(|pod| pod.node == node)
    }

    pub fn has_volume(&self, node: &str, name: &str) -> bool {
        let Some(VolumeUse {
            claim: (namespace, claim),
            ..
        }) = self.volumes.get(name)
        else {
            return false;
        };
        self.belongs(node, Kind::VolumeClaim, namespace, claim)
    }

    pub fn has_attachment(&self, node: &str, name: &str) -> bool {
        self.attachments.get(name).is_some_and(|of| of == node)
    }

    pub fn has_slice(&self, node: &str, name: &str) -> bool {
        self.slices.get(name).is_some_and(|of| of == node)
    }
}

fn set(map: &mut HashMap<String, String>, name: &str, node: Option<&str>) {
    match node.filter(|node| !node.is_empty()) {
        Some(node) => drop(map.insert(name.to_owned(), node.to_owned())),
        None => drop(map.remove(name)),
    }
}

/// A node can make mirror pods itself, so those must not lead to anything.
fn uses(pod: &Pod) -> Vec<Used> {
    if pod.metadata.annotations.contains_key(MIRROR_POD) {
        return Vec::new();
    }
    let namespace = &pod.metadata.namespace;
    let used = |kind: Kind, name: &str| (kind, namespace.clone(), name.to_owned());
    let mut uses: Vec<Used> = Vec::new();
    if !pod.spec.service_account_name.is_empty() {
        uses.push(used(Kind::ServiceAccount, &pod.spec.service_account_name));
    }
    uses.extend(
        pod_references::secrets(pod)
            .into_iter()
            .map(|name| used(Kind::Secret, name)),
    );
    uses.extend(
        pod_references::config_maps(pod)
            .into_iter()
            .map(|name| used(Kind::ConfigMap, name)),
    );
    uses.extend(
        pod_references::claims(pod)
            .iter()
            .map(|name| used(Kind::VolumeClaim, name)),
    );
    uses.extend(
        pod_references::resource_claims(pod)
            .into_iter()
            .map(|name| used(Kind::ResourceClaim, name)),
    );
    uses
}

/// The secrets that a kubelet needs to mount a volume. Where a reference has no namespace, the claim's is
/// meant.
fn volume_secrets(source: &PersistentVolumeSource, claim_namespace: &str) -> Vec<Named> {
    let mut secrets = Vec::new();
    let mut add = |reference: &Option<Box<SecretReference>>| {
        if let Some(reference) = reference.as_ref().filter(|reference| !reference.name.is_empty()) {
            let namespace = if reference.namespace.is_empty() {
                claim_namespace
            } else {
                &reference.namespace
            };
            secrets.push((namespace.to_owned(), reference.name.clone()));
        }
    };
    source.cephfs.iter().for_each(|volume| add(&volume.secret_ref));
    source.cinder.iter().for_each(|volume| add(&volume.secret_ref));
    source
        .flex_volume
        .iter()
        .for_each(|volume| add(&volume.secret_ref));
    source.rbd.iter().for_each(|volume| add(&volume.secret_ref));
    source.scale_io.iter().for_each(|volume| add(&volume.secret_ref));
    source.iscsi.iter().for_each(|volume| add(&volume.secret_ref));
    if let Some(volume) = &source.csi {
        add(&volume.node_publish_secret_ref);
        add(&volume.node_stage_secret_ref);
        add(&volume.node_expand_secret_ref);
    }
    for volume in source
        .storageos
        .iter()
        .filter_map(|volume| volume.secret_ref.as_ref())
    {
        secrets.push((volume.namespace.clone(), volume.name.clone()));
    }
    for file in source
        .azure_file
        .iter()
        .filter(|file| !file.secret_name.is_empty())
    {
        let namespace = file
            .secret_namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty());
        secrets.push((
            namespace.unwrap_or(claim_namespace).to_owned(),
            file.secret_name.clone(),
        ));
    }
    secrets
}
