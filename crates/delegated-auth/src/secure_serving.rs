//! The secure port of a daemon that is no API server: health, metrics, configuration, behind a [`Guard`].
//!
//! Upstream: `k8s.io/apiserver/pkg/server/options/{serving,authentication,authorization}.go`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::core::v1::ConfigMap;
use client::{Client, Config};
use component_base::clock::Clock;
use component_base::health::Checks;
use component_base::metrics::Registry;
use component_base::options::{FlagSet, Values};
use component_base::serving::{Request, Response, Server, body};
use component_base::shutdown::Shutdown;
use component_base::tls::{
    self, CertificateFiles, ClientCertificates, MinVersion, Reloading, ResolvesServerCert,
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use pki::chain::Roots;
use pki::{Authority, Usage};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpListener;
use tracing::warn;

use crate::{Delegate, Guard, Options, delegate};

/// How long a certificate that the daemon made for itself is good.
const SELF_SIGNED_VALIDITY: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The command line of the secure port.
#[derive(Clone, Debug)]
pub struct Settings {
    pub address: SocketAddr,
    pub files: Option<CertificateFiles>,
    /// Where a self-signed pair is kept; empty: in memory of this run only.
    pub cert_dir: PathBuf,
    pub pair_name: String,
    pub min_version: MinVersion,
    pub authentication_kubeconfig: Option<PathBuf>,
    pub delegate: Options,
    pub skip_lookup: bool,
    pub open_paths: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--bind-address: {0:?} is not an address")]
    Address(String),
    #[error("--secure-port: {0} is not between 0 and 65535")]
    Port(i64),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot write the self-signed certificate to {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("cannot make a self-signed certificate")]
    Pki(#[from] pki::Error),
    #[error("cannot use the key of a self-signed certificate")]
    Key(#[source] rustls_pki_types::pem::Error),
    #[error(transparent)]
    Client(#[from] client::config::Error),
    #[error(transparent)]
    Delegate(#[from] delegate::Error),
}

/// Adds the flags; `port` is the daemon's own default.
pub fn flags(set: &mut FlagSet, port: u16) {
    set.string(
        "bind-address",
        "0.0.0.0",
        "Address on which to listen for the secure port.",
    );
    set.int(
        "secure-port",
        port.into(),
        "Port of HTTPS with authentication and authorization; 0 serves none.",
    );
    set.string(
        "cert-dir",
        "",
        "Where a self-signed pair is kept if no certificate is given.",
    );
    set.string(
        "tls-cert-file",
        "",
        "Certificate to serve with, followed by its intermediates.",
    );
    set.string("tls-private-key-file", "", "Key of --tls-cert-file.");
    set.string(
        "tls-min-version",
        "",
        "Lowest TLS version: VersionTLS12 or VersionTLS13.",
    );
    set.string(
        "client-ca-file",
        "",
        "Authorities of client certificates; by default those that the API server publishes.",
    );
    set.string(
        "authentication-kubeconfig",
        "",
        "Kubeconfig with which tokens are reviewed; without it, all are anonymous.",
    );
    set.string(
        "authorization-kubeconfig",
        "",
        "Kubeconfig with which access is reviewed.",
    );
    set.switch(
        "authentication-skip-lookup",
        false,
        "Do not ask the API server for its client authorities.",
    );
    set.strings(
        "authorization-always-allow-paths",
        "/healthz,/readyz,/livez",
        "Paths that need no authorization.",
    );
    set.duration(
        "authentication-token-webhook-cache-ttl",
        "10s",
        "How long a token's review holds.",
    );
    set.duration(
        "authorization-webhook-cache-authorized-ttl",
        "10s",
        "How long a granted access holds.",
    );
    set.duration(
        "authorization-webhook-cache-unauthorized-ttl",
        "10s",
        "How long a refused access holds.",
    );
}

impl Settings {
    /// `pair_name` names the files of a self-signed pair.
    pub fn new(values: &Values, pair_name: &str) -> Result<Option<Self>, Error> {
        let port = values.int("secure-port");
        let port = u16::try_from(port).map_err(|_| Error::Port(port))?;
        if port == 0 {
            return Ok(None);
        }
        let text = values.string("bind-address");
        let ip: IpAddr = text.parse().map_err(|_| Error::Address(text.to_owned()))?;
        let path = |name: &str| values.non_empty(name).map(PathBuf::from);
        let files = path("tls-cert-file").zip(path("tls-private-key-file"));
        Ok(Some(Self {
            address: SocketAddr::new(ip, port),
            files: files.map(|(certificate, key)| CertificateFiles { certificate, key }),
            cert_dir: PathBuf::from(values.string("cert-dir")),
            pair_name: pair_name.to_owned(),
            min_version: MinVersion::parse(values.string("tls-min-version"))?,
            authentication_kubeconfig: path("authentication-kubeconfig")
                .or_else(|| path("authorization-kubeconfig")),
            delegate: Options {
                client_ca_file: path("client-ca-file"),
                anonymous: true,
                token_ttl: values.duration("authentication-token-webhook-cache-ttl"),
                allow_ttl: values.duration("authorization-webhook-cache-authorized-ttl"),
                deny_ttl: values.duration("authorization-webhook-cache-unauthorized-ttl"),
            },
            skip_lookup: values.bool("authentication-skip-lookup"),
            open_paths: values.strings("authorization-always-allow-paths").to_vec(),
        }))
    }
}

/// What the secure port serves.
pub struct Content {
    /// `healthz`, `livez` and `readyz`.
    pub checks: Vec<Checks>,
    pub registry: Registry,
    /// The daemon's configuration in JSON, under `/configz`.
    pub configz: String,
}

/// What the port is served with.
enum ServingCertificate {
    Files(Arc<Reloading>),
    /// Made for this run only.
    Own(Arc<dyn ResolvesServerCert>),
}

impl ServingCertificate {
    fn new(settings: &Settings, now: Timestamp) -> Result<Self, Error> {
        let files = match &settings.files {
            Some(files) => files.clone(),
            None if settings.cert_dir.as_os_str().is_empty() => {
                let (chain, key) = self_signed(now)?;
                let chain = chain.into_iter().map(|certificate| certificate.der);
                let key = PrivateKeyDer::from_pem_slice(key.to_pem().as_bytes()).map_err(Error::Key)?;
                return Ok(Self::Own(tls::in_memory(chain.collect(), key)?));
            }
            None => kept(&settings.cert_dir, &settings.pair_name, now)?,
        };
        Ok(Self::Files(Reloading::new(files)?))
    }

    fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        match self {
            Self::Files(files) => files.clone(),
            Self::Own(pair) => pair.clone(),
        }
    }
}

/// The secure port, bound and not yet served.
pub struct SecureServer {
    listener: TcpListener,
    certificate: ServingCertificate,
    settings: Settings,
    clock: Arc<dyn Clock>,
    client: Client,
}

impl SecureServer {
    /// `client` reviews tokens and access unless the settings name a kubeconfig for that.
    pub async fn bind(settings: Settings, client: Client, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let address = settings.address;
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let certificate = ServingCertificate::new(&settings, clock.now())?;
        let client = match &settings.authentication_kubeconfig {
            Some(path) => Client::new(Config::from_kubeconfig(path)?)?,
            None => client,
        };
        Ok(Self {
            listener,
            certificate,
            settings,
            clock,
            client,
        })
    }

    pub async fn run(self, content: Content, shutdown: Shutdown) -> Result<(), Error> {
        let options = self.settings.delegate.clone();
        let look_up = options.client_ca_file.is_none() && !self.settings.skip_lookup;
        let mut delegate = Delegate::new(self.client.clone(), self.clock.clone(), options)?;
        if look_up && let Some(roots) = published_authorities(&self.client).await {
            delegate = delegate.with_roots(roots);
        }
        let handler = Arc::new(move |request: Request| {
            let response = respond(&content, &request);
            async move { response }
        });
        let guard = Guard {
            inner: handler,
            delegate,
            open_paths: self.settings.open_paths,
        };
        let config = tls::server_config(
            self.certificate.resolver(),
            ClientCertificates::Request,
            self.settings.min_version,
        )?;
        if let ServingCertificate::Files(files) = self.certificate {
            tokio::spawn(files.follow(self.clock, shutdown.clone()));
        }
        Server::default()
            .serve(self.listener, Some(config), Arc::new(guard), shutdown)
            .await;
        Ok(())
    }
}

fn respond(content: &Content, request: &Request) -> Response {
    let (path, query) = (request.uri().path(), request.uri().query());
    match path {
        "/metrics" => content.registry.respond(),
        "/configz" => {
            let mut response = body::text(StatusCode::OK, content.configz.clone());
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(http::header::CONTENT_TYPE, json);
            response
        }
        _ => {
            let answer = content
                .checks
                .iter()
                .find_map(|checks| checks.respond(path, query));
            answer.unwrap_or_else(|| body::text(StatusCode::NOT_FOUND, "404 page not found\n"))
        }
    }
}

/// The authorities of client certificates that the API server publishes for daemons such as this.
async fn published_authorities(client: &Client) -> Option<Roots> {
    let maps = client.api::<ConfigMap>().namespace("kube-system");
    let map = match maps.get("extension-apiserver-authentication").await {
        Ok(map) => map,
        Err(error) => {
            warn!(%error, "cannot look up client authorities: client certificates are not accepted");
            return None;
        }
    };
    let pem = map.data.get("client-ca-file")?;
    let certificates = pki::Certificate::from_pem(pem.as_bytes()).ok()?;
    let ders: Vec<_> = certificates
        .into_iter()
        .map(|certificate| certificate.der)
        .collect();
    Roots::new(&ders).ok()
}

/// A self-signed pair in files: the one made earlier, or a new one.
fn kept(dir: &Path, name: &str, now: Timestamp) -> Result<CertificateFiles, Error> {
    let files = CertificateFiles {
        certificate: dir.join(format!("{name}.crt")),
        key: dir.join(format!("{name}.key")),
    };
    if files.load().is_err() {
        let (chain, key) = self_signed(now)?;
        let text: String = chain.iter().map(pki::Certificate::to_pem).collect();
        write_private(dir, &files.key, &key.to_pem())?;
        write_private(dir, &files.certificate, &text)?;
    }
    Ok(files)
}

/// A certificate, its authority's, and its key.
fn self_signed(now: Timestamp) -> Result<([pki::Certificate; 2], pki::PrivateKey), Error> {
    let host = "localhost";
    let authority = Authority::self_signed(&format!("{host}-ca"), now, now + SELF_SIGNED_VALIDITY)?;
    let key = pki::PrivateKey::generate()?;
    let mut alt_names = pki::certificate::AltNames::default();
    alt_names.push(host);
    alt_names.push("127.0.0.1");
    let template = pki::authority::Template {
        subject: pki::certificate::Subject::new(host, &[]),
        alt_names,
        usages: vec![Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth],
        not_before: now,
        not_after: now + SELF_SIGNED_VALIDITY,
    };
    let certificate = authority.issue(&template, key.public())?;
    Ok(([certificate, authority.certificate().clone()], key))
}

/// Writes a file that only this user may read.
fn write_private(dir: &Path, path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let write = || {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}
