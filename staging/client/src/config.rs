//! Where the server is, how it is trusted and who we are.

mod in_cluster;
pub mod kubeconfig;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::credentials::Credentials;
use crate::transport::tls;

/// Everything a client needs to know. The rates are client-go's defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `https://host:port`, with a path where the server is behind one.
    pub server: String,
    pub tls: tls::Options,
    pub credentials: Credentials,
    /// The namespace of the context; `default` when it names none.
    pub namespace: String,
    pub user_agent: String,
    /// Requests a second; not positive means unlimited. Watches don't count.
    pub qps: f32,
    pub burst: u32,
    /// A limit for requests that aren't streams.
    pub timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            server: "http://localhost:8080".into(),
            tls: tls::Options::default(),
            credentials: Credentials::None,
            namespace: "default".into(),
            user_agent: "oxikube".into(),
            qps: 5.0,
            burst: 10,
            timeout: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("malformed kubeconfig {}: {message}", path.display())]
    Malformed { path: PathBuf, message: String },
    #[error("kubeconfig: {0}")]
    Reference(String),
    #[error("not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined")]
    NotInCluster,
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

impl Config {
    /// The current context of a kubeconfig file.
    pub fn from_kubeconfig(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?;
        let file = kubeconfig::parse(&text).map_err(|message| Error::Malformed {
            path: path.to_owned(),
            message,
        })?;
        let directory = path.parent().unwrap_or(Path::new("."));
        kubeconfig::resolve(&file, None, directory)
    }

    /// The service account that this process's pod runs as.
    pub fn in_cluster() -> Result<Self, Error> {
        in_cluster::load(
            |name| std::env::var(name).ok(),
            Path::new(in_cluster::SERVICE_ACCOUNT),
        )
    }

    /// Replaces the server's address, as `--master` does.
    pub fn with_server(mut self, server: impl Into<String>) -> Self {
        self.server = server.into();
        self
    }

    /// Another identity at the same server, by token alone.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.tls.identity = None;
        self.credentials = Credentials::Token(token.into());
        self
    }

    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    pub fn with_rate(mut self, qps: f32, burst: u32) -> Self {
        self.qps = qps;
        self.burst = burst;
        self
    }
}
