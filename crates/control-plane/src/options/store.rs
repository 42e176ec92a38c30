//! The flags that say where objects are stored, and how.

use std::path::PathBuf;
use std::time::Duration;

use component_base::options::{FlagSet, Values};
use component_base::tls::CertificateFiles;

use super::{flag, pair, path, seconds};
use crate::Error;

/// Where objects are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageOptions {
    /// In memory, gone with the process.
    Memory,
    /// In a directory.
    Embedded { directory: PathBuf },
    /// In an etcd cluster.
    Etcd(EtcdOptions),
}

/// How an etcd cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdOptions {
    /// `http://` or `https://`, tried in turn.
    pub servers: Vec<String>,
    pub certificate_authority: Option<PathBuf>,
    pub client: Option<CertificateFiles>,
    /// Bound of what leases of equal length may differ by: their keys share one.
    pub lease_reuse: Duration,
}

/// A resource that is stored in another etcd cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub group: String,
    pub resource: String,
    pub etcd: EtcdOptions,
}

/// Encryption at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionOptions {
    /// Which resources are kept encrypted, and how.
    pub config: PathBuf,
    /// Follow changes of the file.
    pub reload: bool,
}

/// Everything about the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    pub backend: StorageOptions,
    /// What all keys begin with.
    pub root: String,
    pub overrides: Vec<Override>,
    pub encryption: Option<EncryptionOptions>,
    /// History older than this is dropped; zero: by its bounds only.
    pub compaction_interval: Duration,
    /// How long the store may take to answer without counting as dead, ...
    pub healthcheck_timeout: Duration,
    /// ... or as not ready.
    pub readycheck_timeout: Duration,
}

impl StoreOptions {
    /// A store in memory, for tests.
    pub fn memory() -> Self {
        Self {
            backend: StorageOptions::Memory,
            root: storage::rooted::ROOT.to_owned(),
            overrides: Vec::new(),
            encryption: None,
            compaction_interval: Duration::ZERO,
            healthcheck_timeout: Duration::from_secs(2),
            readycheck_timeout: Duration::from_secs(2),
        }
    }

    pub(super) fn from_values(values: &Values) -> Result<Self, Error> {
        Ok(Self {
            backend: backend(values)?,
            root: values.string("etcd-prefix").to_owned(),
            overrides: values
                .strings("etcd-servers-overrides")
                .iter()
                .map(|text| parse_override(text, values))
                .collect::<Result<_, _>>()?,
            encryption: encryption(values)?,
            compaction_interval: values.duration("etcd-compaction-interval"),
            healthcheck_timeout: values.duration("etcd-healthcheck-timeout"),
            readycheck_timeout: values.duration("etcd-readycheck-timeout"),
        })
    }
}

/// Those by which a store is found: commands that work on stores have them as well.
pub fn declare_place(set: &mut FlagSet) {
    set.string("storage-backend", "", "Where objects are stored: embedded (a directory on this machine), etcd3, or memory (nothing is kept). Defaults to etcd3 with --etcd-servers, else to embedded")
        .string("embedded-data-dir", "", "Directory of the embedded store");
    declare_etcd(set);
}

/// Those by which an etcd cluster is reached.
pub fn declare_etcd(set: &mut FlagSet) {
    set.strings(
        "etcd-servers",
        "",
        "Servers of the etcd cluster (scheme://host:port), comma separated",
    )
    .string("etcd-cafile", "", "Authorities of the etcd servers' certificates")
    .string("etcd-certfile", "", "Client certificate for etcd")
    .string("etcd-keyfile", "", "Key of --etcd-certfile")
    .string("etcd-prefix", "/registry", "What all keys begin with");
}

/// Those of a server alone.
pub(super) fn declare(set: &mut FlagSet) {
    declare_place(set);
    set.strings("etcd-servers-overrides", "", "Resources with an etcd cluster of their own, comma separated: group/resource#servers, with servers separated by semicolons")
        .int("lease-reuse-duration-seconds", 60, "Seconds for which objects that expire share a lease of etcd")
        .duration("etcd-healthcheck-timeout", "2s", "How long the store may take to answer a health check")
        .duration("etcd-readycheck-timeout", "2s", "How long the store may take to answer a readiness check")
        .string("encryption-provider-config", "", "File that says which resources are kept encrypted, and with which keys")
        .switch("encryption-provider-config-automatic-reload", false, "Follow changes of --encryption-provider-config")
        .duration("etcd-compaction-interval", "5m0s", "Age at which old revisions are dropped; 0: never for etcd, by size for the embedded store")
        .duration("event-ttl", "1h0m0s", "How long events are kept");
}

fn backend(values: &Values) -> Result<StorageOptions, Error> {
    let servers = values.strings("etcd-servers").to_vec();
    match values.string("storage-backend") {
        // Upstream's command lines name servers, and need not name the backend.
        "etcd3" | "" if !servers.is_empty() => Ok(StorageOptions::Etcd(EtcdOptions {
            lease_reuse: seconds(values, "lease-reuse-duration-seconds"),
            ..etcd(values)?
        })),
        "etcd3" => Err(flag("etcd-servers", "must be given for etcd3")),
        "embedded" | "" => Ok(StorageOptions::Embedded {
            directory: embedded_directory(values)?,
        }),
        "memory" => Ok(StorageOptions::Memory),
        other => Err(flag(
            "storage-backend",
            &format!("{other:?} is not available: embedded, etcd3, memory"),
        )),
    }
}

/// The directory of the embedded store.
pub fn embedded_directory(values: &Values) -> Result<PathBuf, Error> {
    path(values, "embedded-data-dir")
        .ok_or_else(|| flag("embedded-data-dir", "must be given for the embedded store"))
}

/// The main etcd cluster.
pub fn etcd(values: &Values) -> Result<EtcdOptions, Error> {
    Ok(EtcdOptions {
        servers: values.strings("etcd-servers").to_vec(),
        certificate_authority: path(values, "etcd-cafile"),
        client: pair(values, "etcd-certfile", "etcd-keyfile")?,
        lease_reuse: Duration::from_secs(60),
    })
}

/// `/events#http://a:2379;http://b:2379`, `apps/deployments#...`
fn parse_override(text: &str, values: &Values) -> Result<Override, Error> {
    let wrong = || {
        let why = format!(
            "{text:?}: must be of format group/resource#servers, with servers separated by semicolons"
        );
        flag("etcd-servers-overrides", &why)
    };
    let (resource, servers) = text.split_once('#').ok_or_else(wrong)?;
    let (group, resource) = resource.split_once('/').ok_or_else(wrong)?;
    let servers: Vec<String> = servers.split(';').map(str::to_owned).collect();
    if resource.is_empty() || servers.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(Override {
        group: group.to_owned(),
        resource: resource.to_owned(),
        etcd: EtcdOptions {
            servers,
            lease_reuse: seconds(values, "lease-reuse-duration-seconds"),
            ..etcd(values)?
        },
    })
}

fn encryption(values: &Values) -> Result<Option<EncryptionOptions>, Error> {
    let reload = values.bool("encryption-provider-config-automatic-reload");
    match path(values, "encryption-provider-config") {
        Some(config) => Ok(Some(EncryptionOptions { config, reload })),
        None if reload => Err(flag(
            "encryption-provider-config-automatic-reload",
            "must be set with --encryption-provider-config",
        )),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use component_base::options::Invocation;

    use super::*;

    fn options(arguments: &[&str]) -> Result<StoreOptions, String> {
        match super::super::flags().parse(arguments.iter().copied()) {
            Ok(Invocation::Run(values)) => {
                StoreOptions::from_values(&values).map_err(|error| error.to_string())
            }
            Ok(Invocation::Print(text)) => Err(text),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_backend_follows_from_its_flags() {
        let etcd = options(&[
            "--etcd-servers=https://a:2379,https://b:2379",
            "--etcd-cafile=ca.crt",
        ])
        .expect("valid");
        let StorageOptions::Etcd(etcd) = etcd.backend else {
            panic!("{:?}", etcd.backend)
        };
        assert_eq!(
            (etcd.servers.len(), etcd.certificate_authority),
            (2, Some("ca.crt".into()))
        );
        let embedded = options(&["--embedded-data-dir=/x", "--etcd-compaction-interval=1m"]).expect("valid");
        let directory = "/x".into();
        assert_eq!(embedded.backend, StorageOptions::Embedded { directory });
        assert_eq!(embedded.compaction_interval, Duration::from_secs(60));
        assert_eq!(embedded.root, "/registry");
        let missing = options(&["--storage-backend=etcd3"]).expect_err("no server");
        assert_eq!(missing, "invalid --etcd-servers: must be given for etcd3");
        let unknown = options(&["--storage-backend=etcd9"]).expect_err("unknown");
        assert!(unknown.contains("is not available"), "{unknown}");
    }

    #[test]
    fn overrides_name_resource_and_servers() {
        let memory = "--storage-backend=memory";
        let parsed = options(&[
            memory,
            "--etcd-servers-overrides=/events#http://a:1;http://b:2,coordination.k8s.io/leases#http://c:3",
            "--etcd-cafile=ca.crt",
        ])
        .expect("valid");
        let found: Vec<_> = parsed
            .overrides
            .iter()
            .map(|found| {
                (
                    found.group.as_str(),
                    found.resource.as_str(),
                    found.etcd.servers.join(" "),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("", "events", "http://a:1 http://b:2".to_owned()),
                ("coordination.k8s.io", "leases", "http://c:3".to_owned())
            ]
        );
        assert!(parsed.overrides[1].etcd.certificate_authority.is_some());
        for wrong in ["events#http://a:1", "/events", "/#http://a:1", "/events#"] {
            let refused = options(&[memory, &format!("--etcd-servers-overrides={wrong}")]);
            assert!(
                refused.expect_err(wrong).contains("group/resource#servers"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_reload_needs_a_file() {
        let reload = "--encryption-provider-config-automatic-reload=true";
        let refused = options(&["--storage-backend=memory", reload]).expect_err("no file");
        assert!(refused.contains("--encryption-provider-config"), "{refused}");
        let parsed = options(&[
            "--storage-backend=memory",
            reload,
            "--encryption-provider-config=x",
        ]);
        assert!(
            parsed
                .expect("valid")
                .encryption
                .is_some_and(|encryption| encryption.reload)
        );
    }
}
