//! The configuration of a process in a pod.

use std::path::Path;

use super::{Config, Error};
use crate::credentials::Credentials;
use crate::transport::tls::{self, Pem};

pub(super) const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// `env` looks up an environment variable; `mount` is where the service account's volume is.
pub(super) fn load(env: impl Fn(&str) -> Option<String>, mount: &Path) -> Result<Config, Error> {
    let set = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .ok_or(Error::NotInCluster)
    };
    let (host, port) = (set("KUBERNETES_SERVICE_HOST")?, set("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };

    let token = mount.join("token");
    std::fs::metadata(&token).map_err(|source| Error::Read {
        path: token.clone(),
        source,
    })?;
    // Absent in a pod that mounts only a token: then requests simply default to `default`.
    let namespace = std::fs::read_to_string(mount.join("namespace")).unwrap_or_else(|_| "default".into());
    Ok(Config {
        server: format!("https://{host}:{port}"),
        tls: tls::Options {
            ca: Some(Pem::File(mount.join("ca.crt"))),
            ..tls::Options::default()
        },
        credentials: Credentials::TokenFile(token),
        namespace: namespace.trim().to_owned(),
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_and_token_come_from_the_pod() {
        let mount = tempfile::tempdir().expect("directory");
        std::fs::write(mount.path().join("token"), "t").expect("write");
        std::fs::write(mount.path().join("namespace"), "kube-system\n").expect("write");
        let env = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("fd00::1".to_owned()),
            "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
            _ => None,
        };
        let config = load(env, mount.path()).expect("in cluster");
        assert_eq!(config.server, "https://[fd00::1]:443");
        assert_eq!(config.namespace, "kube-system");
        assert_eq!(
            config.credentials,
            Credentials::TokenFile(mount.path().join("token"))
        );
        assert!(matches!(load(|_| None, mount.path()), Err(Error::NotInCluster)));
    }
}
