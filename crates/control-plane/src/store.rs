//! Opens the store that the options name, and keeps its history short.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use component_base::shutdown::Shutdown;
use component_base::{config, tls};
use rustls::{ClientConfig, RootCertStore};
use storage::encryption::Encrypted;
use storage::{Store, compaction, embedded, etcd, memory};

use crate::options::{EtcdOptions, StorageOptions};
use crate::{Error, encryption};

/// Opens the store, reading what is there; with a configuration for it, what is at rest is encrypted.
pub fn open(options: &StorageOptions, encryption_config: Option<&Path>) -> Result<Arc<dyn Store>, Error> {
    let store = open_plain(options)?;
    Ok(match encryption_config {
        Some(path) => Arc::new(Encrypted::new(store, encryption::rules(config::load(path)?)?)),
        None => store,
    })
}

fn open_plain(options: &StorageOptions) -> Result<Arc<dyn Store>, Error> {
    Ok(match options {
        StorageOptions::Memory => Arc::new(memory::open(memory::Options::default())?),
        StorageOptions::Embedded { directory } => {
            Arc::new(embedded::open(directory, embedded::Options::default())?)
        }
        StorageOptions::Etcd(options) => {
            let tls = client_tls(options)?;
            Arc::new(etcd::open(etcd::Options {
                tls,
                ..etcd::Options::new(&options.servers)
            })?)
        }
    })
}

/// Drops old history until the shutdown.
pub fn keep_compact(store: Arc<dyn Store>, interval: Duration, shutdown: Shutdown) {
    if interval.is_zero() {
        return;
    }
    tokio::spawn(async move { shutdown.guard(compaction::run(store, interval)).await });
}

/// For servers with https: their authorities, and who we are.
fn client_tls(options: &EtcdOptions) -> Result<Option<Arc<ClientConfig>>, Error> {
    let Some(authorities) = &options.certificate_authority else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for certificate in tls::certificates(authorities)? {
        roots.add(certificate).map_err(Error::EtcdTls)?;
    }
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
