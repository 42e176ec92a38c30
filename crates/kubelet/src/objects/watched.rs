//! Follows the objects that this node's pods refer to, each with a watch of its own: a kubelet may read what its pods
//! use and nothing else. Upstream: `util/manager/watch_based_manager.go`.

use super::{Objects, tokens::Tokens};
use crate::env::{
    build::{self, Missing},
    services,
};
use api::{
    Resource,
    core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccountTokenProjection},
    node::v1::RuntimeClass,
};
use client::Client;
use component_base::{clock::Clock, shutdown::Shutdown};
use controller_runtime::{Informer, ObjectKey, informer::Options};
use futures_util::future::BoxFuture;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long the first list of an object may take before the pod's pass gives up for now.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);

/// Told of the uids of pods that refer to an object that changed.
pub type Listener = Arc<dyn Fn(&str) + Send + Sync>;

/// The watches of one kind, shared by the pods that refer to the same object.
struct Follower<K> {
    kind: &'static str,
    client: Client,
    shutdown: Shutdown,
    listener: Listener,
    followed: Mutex<HashMap<ObjectKey, Followed<K>>>,
}

struct Followed<K> {
    informer: Informer<K>,
    stop: Shutdown,
    pods: Arc<Mutex<BTreeSet<String>>>,
}

impl<K: Resource> Follower<K> {
    fn new(kind: &'static str, client: Client, shutdown: Shutdown, listener: Listener) -> Self {
        Self {
            kind,
            client,
            shutdown,
            listener,
            followed: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectKey, Followed<K>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the pod refers to just these objects of its namespace.
    fn register(&self, uid: &str, namespace: &str, names: &BTreeSet<String>) {
        let mut followed = self.lock();
        for name in names {
            let entry = followed
                .entry(ObjectKey::new(namespace, name))
                .or_insert_with(|| self.follow(namespace, name));
            entry
                .pods
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(uid.to_owned());
        }
        followed.retain(|key, entry| {
            let wanted = &*key.namespace == namespace && names.contains(&*key.name);
            let mut pods = entry.pods.lock().unwrap_or_else(PoisonError::into_inner);
            if !wanted {
                pods.remove(uid);
            }
            let keep = !pods.is_empty();
            if !keep {
                entry.stop.trigger();
            }
            keep
        });
    }

    fn follow(&self, namespace: &str, name: &str) -> Followed<K> {
        let stop = self.shutdown.child();
        let api = self.client.api::<K>().namespace(namespace);
        let informer = Informer::start(
            api,
            Options::fields(format!("metadata.name={name}")),
            stop.clone(),
        );
        let pods: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let (listener, of_object) = (self.listener.clone(), pods.clone());
        informer.add_handler(move |_| {
            let pods = of_object.lock().unwrap_or_else(PoisonError::into_inner).clone();
            pods.iter().for_each(|uid| listener(uid));
        });
        Followed { informer, stop, pods }
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Arc<K>, Missing> {
        let key = ObjectKey::new(namespace, name);
        let informer = self.lock().get(&key).map(|entry| entry.informer.clone());
        let Some(informer) = informer else {
            return Err(Missing::Failed(format!(
                "object {namespace:?}/{name:?} not registered"
            )));
        };
        if tokio::time::timeout(SYNC_TIMEOUT, informer.synced())
            .await
            .is_err()
        {
            return Err(Missing::Failed(format!(
                "failed to sync {} cache: timed out waiting for the condition",
                self.kind
            )));
        }
        let not_found = || Missing::NotFound(format!("{} {name:?} not found", self.kind));
        informer.store().get(&key).ok_or_else(not_found)
    }
}

pub struct Watched {
    config_maps: Follower<ConfigMap>,
    secrets: Follower<Secret>,
    services: Informer<Service>,
    tokens: Tokens,
    client: Client,
}

impl Watched {
    pub fn new(client: Client, clock: Arc<dyn Clock>, shutdown: Shutdown, listener: Listener) -> Self {
        let follower_shutdown = shutdown.clone();
        let options = Options {
            transform: Some(trim_service),
            ..Options::default()
        };
        Self {
            config_maps: Follower::new(
                "configmap",
                client.clone(),
                follower_shutdown.clone(),
                listener.clone(),
            ),
            secrets: Follower::new("secret", client.clone(), follower_shutdown, listener),
            services: Informer::start(client.api::<Service>(), options, shutdown),
            tokens: Tokens::new(client.clone(), clock),
            client,
        }
    }
}

/// Of services only their name, address and ports are of interest here.
fn trim_service(service: &mut Service) {
    let meta = &mut service.metadata;
    meta.managed_fields = Vec::new();
    meta.annotations = BTreeMap::new();
    meta.labels = BTreeMap::new();
    meta.owner_references = Vec::new();
    service.spec.selector = BTreeMap::new();
    service.status = Default::default();
}

/// The config maps and secrets that a pod refers to anywhere.
pub fn references(pod: &Pod) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut config_maps = BTreeSet::new();
    let mut secrets: BTreeSet<String> = pod
        .spec
        .image_pull_secrets
        .iter()
        .map(|secret| secret.name.clone())
        .collect();
    for container in crate::pod::all_containers(pod) {
        let (maps, keys) = build::referenced(&container);
        config_maps.extend(maps);
        secrets.extend(keys);
    }
    for volume in &pod.spec.volumes {
        let source = &volume.volume_source;
        config_maps.extend(
            source
                .config_map
                .iter()
                .map(|map| map.local_object_reference.name.clone()),
        );
        secrets.extend(source.secret.iter().map(|secret| secret.secret_name.clone()));
        for projection in source.projected.iter().flat_map(|projected| &projected.sources) {
            config_maps.extend(
                projection
                    .config_map
                    .iter()
                    .map(|map| map.local_object_reference.name.clone()),
            );
            secrets.extend(
                projection
                    .secret
                    .iter()
                    .map(|secret| secret.local_object_reference.name.clone()),
            );
        }
    }
    config_maps.retain(|name| !name.is_empty());
    secrets.retain(|name| !name.is_empty());
    (config_maps, secrets)
}

impl Objects for Watched {
    fn register(&self, pod: &Pod) {
        let (config_maps, secrets) = references(pod);
        let meta = &pod.metadata;
        self.config_maps
            .register(&meta.uid, &meta.namespace, &config_maps);
        self.secrets.register(&meta.uid, &meta.namespace, &secrets);
    }

    fn unregister(&self, pod: &Pod) {
        let meta = &pod.metadata;
        self.config_maps
            .register(&meta.uid, &meta.namespace, &BTreeSet::new());
        self.secrets
            .register(&meta.uid, &meta.namespace, &BTreeSet::new());
        self.tokens.forget(&meta.uid);
    }

    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ConfigMap>, Missing>> {
        Box::pin(self.config_maps.get(namespace, name))
    }

    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Secret>, Missing>> {
        Box::pin(self.secrets.get(namespace, name))
    }

    fn token<'a>(
        &'a self,
        pod: &'a Pod,
        projection: &'a ServiceAccountTokenProjection,
    ) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(self.tokens.get(pod, projection))
    }

    fn runtime_handler<'a>(&'a self, class: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let found = self.client.api::<RuntimeClass>().get(class).await;
            found
                .map(|class| class.handler)
                .map_err(|error| format!("failed to get RuntimeClass {class:?}: {error}"))
        })
    }

    fn service_variables(&self, pod: &Pod) -> Result<BTreeMap<String, String>, String> {
        if !self.services.has_synced() && !crate::pod::is_static(pod) {
            return Err("services have not yet been read at least once, cannot construct envvars".to_owned());
        }
        let services = self.services.store().list();
        let links = pod.spec.enable_service_links != Some(false);
        Ok(services::variables(
            services.iter().map(AsRef::as_ref),
            &pod.metadata.namespace,
            links,
        ))
    }
}
