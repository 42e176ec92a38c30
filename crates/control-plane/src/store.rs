//! Opens the stores that the options name, keeps their history short, and watches their health.
//!
//! Reading order: this file (from options to stores), `probe` (health), [`commands`] (backup, restore,
//! check, migration).

pub mod commands;
mod probe;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::catalogue::RESOURCES;
use apiserver::health::Dependencies;
use apiserver::objects::prefix;
use component_base::metrics::Registry;
use component_base::shutdown::Shutdown;
use component_base::tls;
use rustls::{ClientConfig, RootCertStore};
use storage::encryption::{Current, Encrypted};
use storage::metrics::lease_objects;
use storage::{Key, Store, Stores, compaction, embedded, etcd, memory, rooted};

use crate::Error;
use crate::encryption::reload;
use crate::options::store::{EtcdOptions, Override, StorageOptions, StoreOptions};
use probe::Probe;

/// Stores that are open, and what tells of their health.
pub struct Opened {
    pub stores: Stores,
    pub dependencies: Dependencies,
}

/// Opens the stores, reading what is there. What is to be done all the time is done until the shutdown.
pub fn open(options: &StoreOptions, metrics: &Registry, shutdown: &Shutdown) -> Result<Opened, Error> {
    let mut dependencies = Dependencies::default();
    let encryption = match &options.encryption {
        Some(encryption) => {
            let opened = reload::open(encryption, &options.root, metrics, shutdown)?;
            dependencies.checks.extend(opened.check);
            Some(opened.current)
        }
        None => None,
    };
    let opener = Opener {
        options,
        metrics,
        shutdown,
        encryption,
    };
    let main = opener.open(&options.backend, "etcd", "etcd-readiness", &mut dependencies)?;
    let mut stores = Stores::new(main);
    let mut opened: Vec<(Vec<String>, Arc<dyn Store>)> = Vec::new();
    for overridden in &options.overrides {
        let prefix = overridden_prefix(overridden)?;
        let servers = &overridden.etcd.servers;
        let store = match opened.iter().find(|(known, _)| known == servers) {
            Some((_, store)) => store.clone(),
            None => {
                let number = opened.len();
                let backend = StorageOptions::Etcd(overridden.etcd.clone());
                let (name, readiness) = (
                    format!("etcd-override-{number}"),
                    format!("etcd-override-readiness-{number}"),
                );
                let store = opener.open(&backend, &name, &readiness, &mut dependencies)?;
                opened.push((servers.clone(), store.clone()));
                store
            }
        };
        stores = stores.with(prefix, store);
    }
    Ok(Opened { stores, dependencies })
}

struct Opener<'a> {
    options: &'a StoreOptions,
    metrics: &'a Registry,
    shutdown: &'a Shutdown,
    encryption: Option<Arc<Current>>,
}

impl Opener<'_> {
    /// One store, as the server sees it, with its checks.
    fn open(
        &self,
        backend: &StorageOptions,
        check: &str,
        readiness: &str,
        dependencies: &mut Dependencies,
    ) -> Result<Arc<dyn Store>, Error> {
        let options = self.options;
        let bare = open_bare(backend, Some(self.metrics))?;
        let (health, ready) = (options.healthcheck_timeout, options.readycheck_timeout);
        let probe = Probe::start(bare.clone(), health.max(ready), self.shutdown.clone());
        dependencies.checks.push(probe.check(check.to_owned(), health));
        dependencies
            .readiness
            .push(probe.check(readiness.to_owned(), ready));
        keep_compact(bare.clone(), options.compaction_interval, self.shutdown.clone());
        let kept: Arc<dyn Store> = match &self.encryption {
            Some(current) => Arc::new(Encrypted::new(bare, current.clone())),
            None => bare,
        };
        Ok(rooted::under(kept, &options.root))
    }
}

/// Where the objects of the resource stand.
fn overridden_prefix(overridden: &Override) -> Result<Key, Error> {
    let row = RESOURCES.iter().find(|row| {
        row.group == overridden.group && row.plural == overridden.resource && row.storage.is_some()
    });
    let why = || {
        format!(
            "{}/{} is no resource that is stored",
            overridden.group, overridden.resource
        )
    };
    let row = row.ok_or_else(|| Error::Flag {
        flag: "etcd-servers-overrides",
        why: why(),
    })?;
    Ok(Key::from(prefix(row)))
}

/// The store as it is: keys and values as they are kept.
pub fn open_bare(options: &StorageOptions, metrics: Option<&Registry>) -> Result<Arc<dyn Store>, Error> {
    Ok(match options {
        StorageOptions::Memory => Arc::new(memory::open(memory::Options::default())?),
        StorageOptions::Embedded { directory } => {
            Arc::new(embedded::open(directory, embedded::Options::default())?)
        }
        StorageOptions::Etcd(options) => Arc::new(open_etcd(options, metrics)?),
    })
}

/// A store on an etcd cluster.
pub fn open_etcd(options: &EtcdOptions, metrics: Option<&Registry>) -> Result<etcd::EtcdStore, Error> {
    Ok(etcd::open(etcd::Options {
        tls: client_tls(options)?,
        lease_reuse: options.lease_reuse,
        lease_objects: metrics.map(lease_objects),
        ..etcd::Options::new(&options.servers)
    })?)
}

/// Drops old history until the shutdown.
fn keep_compact(store: Arc<dyn Store>, interval: Duration, shutdown: Shutdown) {
    if interval.is_zero() {
        return;
    }
    tokio::spawn(async move { shutdown.guard(compaction::run(store, interval)).await });
}

/// The authorities of servers with https: those of the options, else the system's.
fn authorities(options: &EtcdOptions) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    match &options.certificate_authority {
        Some(file) => {
            for certificate in tls::certificates(file)? {
                roots.add(certificate).map_err(Error::EtcdTls)?;
            }
        }
        // One odd certificate among them takes nothing from the others.
        None => _ = roots.add_parsable_certificates(tls::certificates(Path::new(tls::SYSTEM_AUTHORITIES))?),
    }
    Ok(roots)
}

/// For servers with https: whom we trust, and who we are.
fn client_tls(options: &EtcdOptions) -> Result<Option<Arc<ClientConfig>>, Error> {
    if !options
        .servers
        .iter()
        .any(|server| server.starts_with("https://"))
    {
        return Ok(None);
    }
    let roots = authorities(options)?;
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::EtcdTls)?
        .with_root_certificates(roots);
    let mut config = match &options.client {
        Some(files) => {
            let key = tls::private_key(&files.key)?;
            builder
                .with_client_auth_cert(tls::certificates(&files.certificate)?, key)
                .map_err(Error::EtcdTls)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Some(Arc::new(config)))
}
