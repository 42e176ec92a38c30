//! Groups of the API that other servers serve: APIServices with a service.
//!
//! [`Aggregation`] follows the APIServices and says which backend a path belongs to; [`forward`] carries a request
//! there, as the user that this server knows; [`availability`] says whether a backend can be called (pure);
//! [`discovery`] puts what backends have beside what this server has (pure).
//!
//! Upstream: `k8s.io/kube-aggregator`.

pub mod availability;
pub mod discovery;
mod forward;
mod probe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use api::apiregistration::v1::APIService;
use api::discovery::v1::EndpointSlice;
use auth::{Change, Follower};
use rustls::ClientConfig;
use tokio::sync::Notify;

use crate::outbound::Services;
use crate::outbound::trust::{Identity, Trust};

pub use forward::forward;
pub use probe::{Answer, get};

/// The port of a service that an APIService does not state.
pub const PORT: i32 = 443;

/// Group and version.
pub type GroupVersion = (String, String);

/// A version of a group, as its APIService has it.
#[derive(Clone)]
pub struct Registered {
    pub name: String,
    pub group: String,
    pub version: String,
    pub group_priority: i32,
    pub version_priority: i32,
    /// `None`: this server serves it itself.
    pub backend: Option<Arc<Backend>>,
}

/// A server that serves a version of a group.
pub struct Backend {
    pub namespace: String,
    pub service: String,
    pub port: i32,
    /// What its certificate must be for.
    pub server_name: String,
    /// Or why there can't be a connection.
    pub tls: Result<Arc<ClientConfig>, String>,
    /// As the APIService's condition says.
    pub available: bool,
}

/// What is registered, with what was found out of it.
#[derive(Default)]
pub struct State {
    /// By the APIServices' names.
    pub registered: BTreeMap<String, Registered>,
    routes: BTreeMap<GroupVersion, Arc<Backend>>,
    /// What backends have.
    pub discovered: BTreeMap<GroupVersion, crate::discovery::Version>,
}

/// See the module.
pub struct Aggregation {
    state: RwLock<Arc<State>>,
    /// Changes one after the other.
    changing: Mutex<()>,
    pub services: Services,
    identity: Option<Identity>,
    /// Something that the availability of backends depends on has changed.
    pub changed: Notify,
}

impl Aggregation {
    /// Nothing is registered yet. Backends know this server by its `identity`.
    pub fn new(services: Services, identity: Option<Identity>) -> Self {
        Self {
            state: RwLock::default(),
            changing: Mutex::new(()),
            services,
            identity,
            changed: Notify::new(),
        }
    }

    /// What is registered now.
    pub fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The backend that a path belongs to: `/apis/GROUP/VERSION` and all below.
    pub fn backend(&self, path: &str) -> Option<Arc<Backend>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.routes.is_empty() {
            return None;
        }
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let (Some("apis"), Some(group), Some(version)) = (segments.next(), segments.next(), segments.next())
        else {
            return None;
        };
        state.routes.get(&(group.to_owned(), version.to_owned())).cloned()
    }

    /// Keeps what a backend has.
    pub fn discovered(&self, of: GroupVersion, found: crate::discovery::Version) {
        self.change(|state| {
            state.discovered.insert(of, found);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.state();
        let mut next = State {
            registered: now.registered.clone(),
            routes: BTreeMap::new(),
            discovered: now.discovered.clone(),
        };
        change(&mut next);
        for registered in next.registered.values() {
            if let Some(backend) = &registered.backend {
                let of = (registered.group.clone(), registered.version.clone());
                next.routes.insert(of, backend.clone());
            }
        }
        next.discovered.retain(|of, _| next.routes.contains_key(of));
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
    }

    fn register(&self, service: &APIService) -> Registered {
        let spec = &service.spec;
        let backend = spec.service.as_ref().map(|reference| {
            let trust = match spec.insecure_skip_tls_verify {
                true => Trust::Unchecked,
                false => Trust::from_bundle(&spec.ca_bundle),
            };
            let available =
                service.status.conditions.iter().any(|condition| {
                    condition.type_ == availability::AVAILABLE && condition.status == "True"
                });
            Arc::new(Backend {
                namespace: reference.namespace.clone(),
                service: reference.name.clone(),
                port: reference.port.unwrap_or(PORT),
                server_name: format!("{}.{}.svc", reference.name, reference.namespace),
                tls: trust
                    .client(self.identity.as_ref())
                    .map_err(|error| error.to_string()),
                available,
            })
        });
        Registered {
            name: service.metadata.name.clone(),
            group: spec.group.clone(),
            version: spec.version.clone(),
            group_priority: spec.group_priority_minimum,
            version_priority: spec.version_priority,
            backend,
        }
    }

    /// Is it a service, or a part of one, that a backend stands behind?
    fn concerns(&self, namespace: &str, name: &str) -> bool {
        self.state()
            .routes
            .values()
            .any(|backend| backend.namespace == namespace && backend.service == name)
    }
}

impl Follower for Aggregation {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("apiregistration.k8s.io", "apiservices"),
            ("", "services"),
            ("discovery.k8s.io", "endpointslices"),
        ]
    }

    fn apply(&self, change: Change<'_>) {
        let object = change.object();
        let metadata = object.metadata();
        if let Some(service) = object.downcast_ref::<APIService>() {
            let name = metadata.name.clone();
            let registered = match change {
                Change::Set(_) => Some(self.register(service)),
                Change::Removed(_) => None,
            };
            self.change(|state| match registered {
                Some(registered) => drop(state.registered.insert(name, registered)),
                None => drop(state.registered.remove(&name)),
            });
            self.changed.notify_one();
            return;
        }
        let service = match object.downcast_ref::<EndpointSlice>() {
            Some(slice) => slice.metadata.labels.get("kubernetes.io/service-name"),
            None => Some(&metadata.name),
        };
        if service.is_some_and(|service| self.concerns(&metadata.namespace, service)) {
            self.changed.notify_one();
        }
    }
}
