//! Mirror pods: what the API shows for the static pods of this node. Upstream: `pkg/kubelet/pod/mirror_client.go`.

use crate::pod;
use api::{
    core::v1::Pod,
    meta::v1::{DeleteOptions, OwnerReference, Preconditions},
};
use client::Client;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The mirror pods that the API has for this node, by full name.
#[derive(Debug, Default)]
pub struct MirrorTable {
    by_name: Mutex<HashMap<String, Arc<Pod>>>,
}

impl MirrorTable {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Pod>>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set(&self, mirror: Arc<Pod>) {
        self.lock().insert(pod::full_name(&mirror), mirror);
    }

    pub fn remove(&self, mirror: &Pod) {
        let mut table = self.lock();
        let name = pod::full_name(mirror);
        if table
            .get(&name)
            .is_some_and(|known| known.metadata.uid == mirror.metadata.uid)
        {
            table.remove(&name);
        }
    }

    /// The mirror of a static pod, if it mirrors just this version.
    pub fn of_static(&self, spec: &Pod) -> Option<Arc<Pod>> {
        self.lock()
            .get(&pod::full_name(spec))
            .filter(|mirror| mirrors(spec, mirror))
            .cloned()
    }

    fn named_like(&self, spec: &Pod) -> Option<Arc<Pod>> {
        self.lock().get(&pod::full_name(spec)).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Pod>> {
        self.lock().values().cloned().collect()
    }
}

fn mirrors(spec: &Pod, mirror: &Pod) -> bool {
    let hash = |pod: &Pod, key: &str| pod.metadata.annotations.get(key).cloned();
    mirror.metadata.deletion_timestamp.is_none()
        && hash(spec, pod::CONFIG_HASH) == hash(mirror, pod::CONFIG_MIRROR)
}

/// Makes and removes mirror pods; does nothing without an API server.
#[derive(Clone)]
pub struct Mirrors {
    client: Option<Client>,
    table: Arc<MirrorTable>,
    node_name: String,
    /// The node object's uid, once it is known.
    node_uid: Arc<Mutex<Option<String>>>,
}

impl Mirrors {
    pub fn new(client: Option<Client>, table: Arc<MirrorTable>, node_name: &str) -> Self {
        Self {
            client,
            table,
            node_name: node_name.to_owned(),
            node_uid: Arc::default(),
        }
    }

    pub fn set_node_uid(&self, uid: &str) {
        *self.node_uid.lock().unwrap_or_else(PoisonError::into_inner) = Some(uid.to_owned());
    }

    /// Makes the API show this version of the static pod. What fails is tried again with the pod's next pass.
    pub async fn ensure(&self, spec: &Arc<Pod>) {
        let Some(client) = &self.client else { return };
        if let Some(existing) = self.table.named_like(spec) {
            if mirrors(spec, &existing) {
                return;
            }
            self.delete(&existing).await;
        }
        let uid = self
            .node_uid
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(node_uid) = uid else { return };
        let mirror = mirror_of(spec, &self.node_name, &node_uid);
        let api = client.api::<Pod>().namespace(&mirror.metadata.namespace);
        match api.create(&mirror).await {
            Ok(created) => self.table.set(Arc::new(created)),
            Err(error) if error.is_already_exists() => {
                tracing::debug!(pod = %pod::full_name(spec), "mirror pod exists, its watch event is under way");
            }
            Err(error) => tracing::warn!(pod = %pod::full_name(spec), %error, "cannot create mirror pod"),
        }
    }

    pub async fn delete(&self, mirror: &Pod) {
        let Some(client) = &self.client else { return };
        let options = DeleteOptions {
            grace_period_seconds: Some(0),
            preconditions: Some(Box::new(Preconditions {
                uid: Some(mirror.metadata.uid.clone()),
                ..Preconditions::default()
            })),
            ..DeleteOptions::default()
        };
        let api = client.api::<Pod>().namespace(&mirror.metadata.namespace);
        match api.delete(&mirror.metadata.name, &options).await {
            Ok(()) => self.table.remove(mirror),
            Err(error) if error.is_not_found() || error.is_conflict() => self.table.remove(mirror),
            Err(error) => tracing::warn!(pod = %pod::full_name(mirror), %error, "cannot delete mirror pod"),
        }
    }

    pub fn table(&self) -> &Arc<MirrorTable> {
        &self.table
    }
}

fn mirror_of(spec: &Pod, node_name: &str, node_uid: &str) -> Pod {
    let mut mirror = spec.clone();
    let hash = spec
        .metadata
        .annotations
        .get(pod::CONFIG_HASH)
        .cloned()
        .unwrap_or_default();
    mirror.metadata.uid.clear();
    mirror.metadata.creation_timestamp = None;
    mirror
        .metadata
        .annotations
        .insert(pod::CONFIG_MIRROR.into(), hash);
    mirror.metadata.owner_references = vec![OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: node_name.into(),
        uid: node_uid.into(),
        controller: Some(true),
        ..OwnerReference::default()
    }];
    mirror
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(key: &str, hash: &str) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = "etcd-node".into();
        pod.metadata.namespace = "kube-system".into();
        pod.metadata.annotations.insert(key.into(), hash.into());
        pod
    }

    #[test]
    fn a_mirror_is_of_one_version() {
        let table = MirrorTable::default();
        let spec = annotated(pod::CONFIG_HASH, "1");
        let mirror = mirror_of(&spec, "node", "node-uid");
        assert_eq!(mirror.metadata.owner_references[0].uid, "node-uid");
        assert!(pod::is_mirror(&mirror));
        table.set(Arc::new(mirror.clone()));
        assert!(table.of_static(&spec).is_some());
        assert!(table.of_static(&annotated(pod::CONFIG_HASH, "2")).is_none());
        table.remove(&mirror);
        assert!(table.all().is_empty());
    }
}
