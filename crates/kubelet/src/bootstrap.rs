//! Gets a kubelet its identity: with a bootstrap token it asks for a client certificate, and keeps a kubeconfig with it.
//! Upstream: `pkg/kubelet/certificate/bootstrap`.

use api::certificates::v1::CertificateSigningRequest;
use client::Client;
use component_base::{clock::Clock, config};
use serde_json::{Value, json};
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// How often the request is looked at, and for how long.
const POLL: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 450;
const PEM_FILE: &str = "kubelet-client-current.pem";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the bootstrap kubeconfig")]
    Client(#[from] client::config::Error),
    #[error("cannot make a certificate request")]
    Request(#[from] rcgen::Error),
    #[error("cannot ask for a certificate")]
    Api(#[from] client::Error),
    #[error("certificate signing request {name} was denied: {message}")]
    Denied { name: String, message: String },
    #[error("certificate signing request {0} was not signed in time")]
    Unsigned(String),
    #[error("malformed bootstrap kubeconfig {path}: {reason}")]
    Malformed { path: PathBuf, reason: String },
    #[error("{path}")]
    File { path: PathBuf, source: io::Error },
}

/// What is needed for an identity, and where it goes.
pub struct Bootstrap<'a> {
    pub bootstrap_kubeconfig: &'a Path,
    pub kubeconfig: &'a Path,
    pub cert_dir: &'a Path,
    pub node_name: &'a str,
    pub clock: &'a Arc<dyn Clock>,
}

impl Bootstrap<'_> {
    /// Makes the kubeconfig, unless there is one.
    pub async fn run(&self) -> Result<(), Error> {
        if self.kubeconfig.exists() {
            return Ok(());
        }
        let client = Client::new(client::Config::from_kubeconfig(self.bootstrap_kubeconfig)?)?;
        let key = rcgen::KeyPair::generate()?;
        let request = request(&key, self.node_name)?;
        let certificate = self.certificate(&client, request).await?;
        let pem = self.cert_dir.join(PEM_FILE);
        let mut content = certificate;
        content.extend_from_slice(key.serialize_pem().as_bytes());
        write(&pem, &content)?;
        let text = config::read(self.bootstrap_kubeconfig).map_err(|error| self.malformed(error))?;
        let bootstrap = config::yaml(&text).map_err(|error| self.malformed(error))?;
        let folder = self.bootstrap_kubeconfig.parent().unwrap_or(Path::new("/"));
        let document = kubeconfig(&bootstrap, folder, &pem).map_err(|reason| self.malformed(reason))?;
        write(self.kubeconfig, document.to_string().as_bytes())
    }

    fn malformed(&self, reason: impl ToString) -> Error {
        Error::Malformed {
            path: self.bootstrap_kubeconfig.to_path_buf(),
            reason: reason.to_string(),
        }
    }

    async fn certificate(&self, client: &Client, request: String) -> Result<Vec<u8>, Error> {
        let api = client.api::<CertificateSigningRequest>();
        let mut object = CertificateSigningRequest::default();
        object.metadata.generate_name = "csr-".into();
        object.spec.request = request.into_bytes();
        object.spec.signer_name = SIGNER.into();
        object.spec.usages = vec!["digital signature".into(), "client auth".into()];
        let name = api.create(&object).await?.metadata.name;
        tracing::info!(name, "waiting for the certificate signing request to be signed");
        for _ in 0..ATTEMPTS {
            let current = api.get(&name).await?;
            if !current.status.certificate.is_empty() {
                return Ok(current.status.certificate);
            }
            let refused = |kind: &str| matches!(kind, "Denied" | "Failed");
            if let Some(condition) = current.status.conditions.iter().find(|c| refused(&c.type_)) {
                return Err(Error::Denied {
                    name,
                    message: condition.message.clone(),
                });
            }
            self.clock.sleep(POLL).await;
        }
        Err(Error::Unsigned(name))
    }
}

/// A request for a node's identity, in PEM.
fn request(key: &rcgen::KeyPair, node_name: &str) -> Result<String, rcgen::Error> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::OrganizationName, "system:nodes");
    let name = format!("system:node:{node_name}");
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    parameters.serialize_request(key)?.pem()
}

/// The bootstrap kubeconfig's cluster, with the certificate in place of the token. JSON is YAML.
fn kubeconfig(bootstrap: &Value, folder: &Path, pem: &Path) -> Result<Value, String> {
    let named = |list: &str, name: &Value| {
        let found = bootstrap[list]
            .as_array()
            .and_then(|all| all.iter().find(|one| &one["name"] == name));
        found.cloned().ok_or_else(|| format!("no {name} in {list}"))
    };
    let context = named("contexts", &bootstrap["current-context"])?;
    let mut cluster = named("clusters", &context["context"]["cluster"])?["cluster"].clone();
    // Paths are relative to the file that they stand in, and the new file stands elsewhere.
    let authority = cluster["certificate-authority"]
        .as_str()
        .map(|path| folder.join(path));
    if let Some(authority) = authority {
        cluster["certificate-authority"] = authority.to_string_lossy().into();
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "default-cluster", "cluster": cluster }],
        "users": [{ "name": "default-auth", "user": { "client-certificate": pem, "client-key": pem } }],
        "contexts": [{
            "name": "default-context",
            "context": { "cluster": "default-cluster", "user": "default-auth", "namespace": "default" },
        }],
        "current-context": "default-context",
    }))
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let put = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        io::Write::write_all(&mut file, content)
    };
    put().map_err(|source| Error::File {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_stays_and_the_user_changes() {
        let bootstrap = json!({
            "current-context": "b",
            "contexts": [{ "name": "b", "context": { "cluster": "c", "user": "token" } }],
            "clusters": [{ "name": "c", "cluster": { "server": "https://x", "certificate-authority": "ca.crt" } }],
        });
        let made = kubeconfig(&bootstrap, Path::new("/etc/kubernetes"), Path::new("/pki/c.pem")).unwrap();
        assert_eq!(made["clusters"][0]["cluster"]["server"], "https://x");
        assert_eq!(
            made["clusters"][0]["cluster"]["certificate-authority"],
            "/etc/kubernetes/ca.crt"
        );
        assert_eq!(made["users"][0]["user"]["client-key"], "/pki/c.pem");
        assert!(kubeconfig(&json!({}), Path::new("/"), Path::new("/p")).is_err());
    }

    #[test]
    fn a_request_is_for_the_node() {
        let key = rcgen::KeyPair::generate().unwrap();
        assert!(
            request(&key, "node-1")
                .unwrap()
                .starts_with("-----BEGIN CERTIFICATE REQUEST-----")
        );
    }
}
