//! Why the server can't start or had to end.

use std::path::PathBuf;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("invalid --{flag}: {why}")]
    Flag { flag: &'static str, why: String },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("keys and certificates")]
    Pki(#[from] pki::Error),
    #[error("TLS")]
    Tls(#[from] component_base::tls::Error),
    #[error("the client certificate for kubelets")]
    KubeletTls(#[source] rustls::Error),
    #[error("the encryption configuration")]
    Encryption(#[from] component_base::config::Error),
    #[error("TLS to etcd")]
    EtcdTls(#[source] rustls::Error),
    #[error("the authentication configuration")]
    Authentication(#[from] auth::configuration::Error),
    #[error("the token file")]
    TokenFile(#[from] auth::authenticators::token_file::LoadError),
    #[error("the store can't be opened")]
    Store(#[from] storage::Error),
    #[error("the contents can't be copied")]
    Transfer(#[from] storage::contents::TransferError),
    #[error("unknown command {0:?} for \"kube-apiserver store\"")]
    Command(String),
    #[error(transparent)]
    Usage(#[from] component_base::options::Error),
    #[error("the server can't be built")]
    Server(#[from] apiserver::Error),
    #[error("cannot listen on {address}")]
    Listen {
        address: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the server did not go through all stages of its end")]
    Ending(#[source] tokio::task::JoinError),
    #[error("the runtime can't be started")]
    Runtime(#[source] std::io::Error),
}
