//! The kubeconfig file: clusters, users, and contexts that pair them.
//!
//! Upstream: client-go/tools/clientcmd/api/v1

use std::path::Path;

use base64::Engine;
use serde::Deserialize;

use super::{Config, Error};
use crate::credentials::Credentials;
use crate::transport::tls::{self, Pem};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Kubeconfig {
    pub current_context: Option<String>,
    pub clusters: Option<Vec<NamedCluster>>,
    pub users: Option<Vec<NamedUser>>,
    pub contexts: Option<Vec<NamedContext>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamedCluster {
    pub name: String,
    pub cluster: Cluster,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Cluster {
    pub server: String,
    pub certificate_authority: Option<String>,
    pub certificate_authority_data: Option<String>,
    pub insecure_skip_tls_verify: bool,
    pub tls_server_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamedUser {
    pub name: String,
    pub user: User,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct User {
    pub client_certificate: Option<String>,
    pub client_certificate_data: Option<String>,
    pub client_key: Option<String>,
    pub client_key_data: Option<String>,
    pub token: Option<String>,
    #[serde(rename = "tokenFile")]
    pub token_file: Option<String>,
    pub username: Option<String>,
    pub password: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamedContext {
    pub name: String,
    pub context: Context,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Context {
    pub cluster: String,
    pub user: String,
    pub namespace: Option<String>,
}

/// Parses YAML (or JSON, which is YAML).
pub fn parse(text: &str) -> Result<Kubeconfig, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// The configuration of a context, the current one unless named. Relative paths are relative to the file.
pub fn resolve(file: &Kubeconfig, context: Option<&str>, directory: &Path) -> Result<Config, Error> {
    let name = context
        .or(file.current_context.as_deref())
        .filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::Reference("no current context".into()))?;
    let contexts = file.contexts.as_deref().unwrap_or_default();
    let context = contexts
        .iter()
        .find(|entry| entry.name == name)
        .map(|entry| &entry.context)
        .ok_or_else(|| Error::Reference(format!("context {name:?} does not exist")))?;
    let cluster = file
        .clusters
        .iter()
        .flatten()
        .find(|entry| entry.name == context.cluster)
        .map(|entry| &entry.cluster)
        .ok_or_else(|| Error::Reference(format!("cluster {:?} does not exist", context.cluster)))?;
    // Upstream's rule too: a context without a user is anonymous, one with an unknown user is a mistake.
    let anonymous = User::default();
    let user = match context.user.as_str() {
        "" => &anonymous,
        wanted => file
            .users
            .iter()
            .flatten()
            .find(|entry| entry.name == wanted)
            .map(|entry| &entry.user)
            .ok_or_else(|| Error::Reference(format!("user {wanted:?} does not exist")))?,
    };
    Ok(Config {
        server: cluster.server.clone(),
        tls: tls_options(cluster, user, directory)?,
        credentials: credentials(user, directory),
        namespace: context.namespace.clone().unwrap_or_else(|| "default".into()),
        ..Config::default()
    })
}

fn tls_options(cluster: &Cluster, user: &User, directory: &Path) -> Result<tls::Options, Error> {
    let ca = pem(
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
        directory,
    )?;
    let certificate = pem(&user.client_certificate_data, &user.client_certificate, directory)?;
    let key = pem(&user.client_key_data, &user.client_key, directory)?;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(Error::Reference(
                "client certificate and key must be given together".into(),
            ));
        }
    };
    Ok(tls::Options {
        ca,
        identity,
        server_name: cluster.tls_server_name.clone(),
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
    })
}

/// Inline data wins over a file, as upstream.
fn pem(data: &Option<String>, file: &Option<String>, directory: &Path) -> Result<Option<Pem>, Error> {
    if let Some(data) = data.as_deref().filter(|data| !data.is_empty()) {
        let compact: String = data.split_ascii_whitespace().collect();
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(compact)
            .map_err(|error| Error::Reference(format!("invalid base64: {error}")))?;
        return Ok(Some(Pem::Data(decoded)));
    }
    let file = file.as_deref().filter(|file| !file.is_empty());
    Ok(file.map(|file| Pem::File(directory.join(file))))
}

/// A token file wins over an inline token, which serves until the file is readable upstream too.
fn credentials(user: &User, directory: &Path) -> Credentials {
    let given = |field: &Option<String>| field.clone().filter(|value| !value.is_empty());
    if let Some(file) = given(&user.token_file) {
        Credentials::TokenFile(directory.join(file))
    } else if let Some(token) = given(&user.token) {
        Credentials::Token(token)
    } else if let Some(username) = given(&user.username) {
        Credentials::Basic {
            username,
            password: user.password.clone().unwrap_or_default(),
        }
    } else {
        Credentials::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
apiVersion: v1
kind: Config
preferences: {}
current-context: a
clusters:
- name: local
  cluster: {server: "https://127.0.0.1:6443", certificate-authority: pki/ca.crt}
- name: other
  cluster:
    server: https://other
    insecure-skip-tls-verify: true
    tls-server-name: kubernetes
users:
- name: cert
  user: {client-certificate-data: Yw==, client-key: k.pem}
- name: token
  user: {token: secret}
contexts:
- name: a
  context: {cluster: local, user: cert, namespace: prod}
- name: b
  context: {cluster: other, user: token}
- name: c
  context: {cluster: other, user: nobody}
"#;

    fn load(context: Option<&str>) -> Result<Config, Error> {
        resolve(
            &parse(FILE).expect("valid"),
            context,
            Path::new("/etc/kubernetes"),
        )
    }

    #[test]
    fn current_context_with_certificates() {
        let config = load(None).expect("resolves");
        assert_eq!(
            (config.server.as_str(), config.namespace.as_str()),
            ("https://127.0.0.1:6443", "prod")
        );
        assert_eq!(
            config.tls.ca,
            Some(Pem::File("/etc/kubernetes/pki/ca.crt".into()))
        );
        let identity = (
            Pem::Data(b"c".to_vec()),
            Pem::File("/etc/kubernetes/k.pem".into()),
        );
        assert_eq!(config.tls.identity, Some(identity));
    }

    #[test]
    fn named_context_with_token() {
        let config = load(Some("b")).expect("resolves");
        assert_eq!(config.credentials, Credentials::Token("secret".into()));
        assert!(config.tls.insecure_skip_verify);
        assert_eq!(config.tls.server_name.as_deref(), Some("kubernetes"));
        assert_eq!(config.namespace, "default");
    }

    #[test]
    fn dangling_references_are_named() {
        let message = |context| load(Some(context)).expect_err("must fail").to_string();
        assert_eq!(message("c"), "kubeconfig: user \"nobody\" does not exist");
        assert_eq!(message("d"), "kubeconfig: context \"d\" does not exist");
        assert!(parse("clusters: [").is_err());
    }
}
