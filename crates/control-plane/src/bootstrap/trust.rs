//! What extension servers need to trust this one's users: the authorities, published in `kube-system`.

use std::collections::BTreeMap;
use std::path::Path;

use api::core::v1::ConfigMap;
use apimachinery::status::Status;
use apiserver::local::Local;
use jiff::Timestamp;

use crate::Error;
use crate::options::AuthenticationOptions;

const NAMESPACE: &str = "kube-system";
const AUTHENTICATION: &str = "extension-apiserver-authentication";
const LEGACY_TOKENS: &str = "kube-apiserver-legacy-service-account-token-tracking";

/// The entries of the published map.
#[derive(Clone, Debug, Default)]
pub struct ClusterTrust(BTreeMap<String, String>);

impl ClusterTrust {
    /// Reads what the options name.
    pub fn load(options: &AuthenticationOptions) -> Result<ClusterTrust, Error> {
        let mut data = BTreeMap::new();
        if let Some(file) = &options.client_ca_file {
            data.insert("client-ca-file".to_owned(), read(file)?);
        }
        if let Some(file) = &options.front_proxy_ca_file {
            data.insert("requestheader-client-ca-file".to_owned(), read(file)?);
            for (name, list) in [
                ("requestheader-allowed-names", &options.front_proxy_names),
                ("requestheader-username-headers", &options.username_headers),
                ("requestheader-uid-headers", &options.uid_headers),
                ("requestheader-group-headers", &options.group_headers),
                ("requestheader-extra-headers-prefix", &options.extra_prefixes),
            ] {
                data.insert(name.to_owned(), serde_json::Value::from(list.clone()).to_string());
            }
        }
        Ok(ClusterTrust(data))
    }
}

fn read(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|source| Error::Read {
        path: file.to_owned(),
        source,
    })
}

/// Keeps the map.
pub async fn publish(local: &Local, trust: &ClusterTrust) -> Result<(), Status> {
    super::namespaces::ensure(local).await?;
    super::ensure(local, map(AUTHENTICATION, trust.0.clone())).await?;
    local
        .update::<ConfigMap>(NAMESPACE, AUTHENTICATION, |map| map.data.extend(trust.0.clone()))
        .await
        .map(drop)
}

/// Notes since when the use of tokens from secrets is tracked.
pub async fn track_legacy_tokens(local: &Local, now: Timestamp) -> Result<(), Status> {
    super::namespaces::ensure(local).await?;
    let date = now.strftime("%Y-%m-%d").to_string();
    super::ensure(
        local,
        map(LEGACY_TOKENS, BTreeMap::from([("since".to_owned(), date)])),
    )
    .await
    .map(drop)
}

fn map(name: &str, data: BTreeMap<String, String>) -> ConfigMap {
    let mut map = ConfigMap {
        data,
        ..ConfigMap::default()
    };
    map.metadata.name = name.to_owned();
    map.metadata.namespace = NAMESPACE.to_owned();
    map
}
