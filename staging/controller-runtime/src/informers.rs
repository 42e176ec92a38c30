//! The informers of a process, one a kind, started when somebody asks first.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api::Resource;
use client::Client;
use component_base::shutdown::Shutdown;
use futures_util::future::BoxFuture;

use crate::informer::{Informer, Options};

type Synced = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// Informers by kind; clones share them.
#[derive(Clone)]
pub struct Informers(Arc<Inner>);

struct Inner {
    client: Client,
    shutdown: Shutdown,
    started: Mutex<HashMap<TypeId, Started>>,
}

struct Started {
    informer: Box<dyn Any + Send>,
    synced: Synced,
}

impl Informers {
    pub fn new(client: Client, shutdown: Shutdown) -> Self {
        Informers(Arc::new(Inner {
            client,
            shutdown,
            started: Mutex::default(),
        }))
    }

    /// The informer over all objects of a kind.
    pub fn of<K: Resource>(&self) -> Informer<K> {
        self.with(Options::default)
    }

    /// The same with options, which count only when nobody asked for the kind before.
    pub fn with<K: Resource>(&self, options: impl FnOnce() -> Options<K>) -> Informer<K> {
        let mut started = self.0.started.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = started.entry(TypeId::of::<K>()).or_insert_with(|| {
            let api = self.0.client.api::<K>();
            Started::new(Informer::start(api, options(), self.0.shutdown.clone()))
        });
        let informer: Option<&Informer<K>> = entry.informer.downcast_ref();
        informer
            .expect("invariant: an informer is kept under its own kind")
            .clone()
    }

    /// Completes once everything started so far has its first list.
    pub async fn synced(&self) {
        let waits: Vec<_> = {
            let started = self.0.started.lock().unwrap_or_else(PoisonError::into_inner);
            started.values().map(|started| (started.synced)()).collect()
        };
        futures_util::future::join_all(waits).await;
    }
}

impl Started {
    fn new<K: Resource>(informer: Informer<K>) -> Self {
        let waiting = informer.clone();
        let synced: Synced = Box::new(move || {
            let informer = waiting.clone();
            Box::pin(async move { informer.synced().await })
        });
        Started {
            informer: Box::new(informer),
            synced,
        }
    }
}
