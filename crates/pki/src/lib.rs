//! Certificates, signing requests, and service-account tokens.
//!
//! Reading order: [`pem`] and [`der`] (forms), [`key`] (private and public keys), [`usage`] (what a
//! certificate is for), [`certificate`] (reading one), [`authority`] (issuing), [`request`] (PKCS#10),
//! [`chain`] (verifying), [`token`] (JSON Web Tokens of service accounts, discovery documents), [`detached`]
//! (signatures by a shared secret), [`bootstrap`] (the files of a new cluster), [`kubeconfig`].
//!
//! It knows nothing of API objects or servers: callers hand in names, usages and times.
//!
//! Certificates are written by our own encoder: rcgen keeps one value for each attribute of a name, and a
//! client certificate states a group per organization attribute.
//!
//! Upstream: `k8s.io/client-go/util/{cert,keyutil}`, `pkg/serviceaccount`,
//! `pkg/controller/certificates/authority`, `cmd/kubeadm/app/phases/{certs,kubeconfig}`.

pub mod authority;
pub mod bootstrap;
pub mod certificate;
pub mod chain;
pub mod der;
pub mod detached;
pub mod key;
pub mod kubeconfig;
pub mod pem;
pub mod request;
pub mod token;
pub mod usage;

pub use authority::{Authority, Template};
pub use certificate::{AltNames, Certificate, Subject};
pub use key::{PrivateKey, PublicKey};
pub use usage::Usage;

/// What goes wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot access {path}")]
    File {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("no {0} found in PEM data")]
    NoPem(&'static str),
    #[error("malformed PEM data")]
    Pem,
    #[error("malformed {0}")]
    Malformed(&'static str),
    #[error("unsupported {0}")]
    Unsupported(&'static str),
    #[error("the signature does not verify")]
    Signature,
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    #[error("{0} is not a certificate authority")]
    NotAnAuthority(String),
    #[error("the system's random number generator failed")]
    Random,
    #[error("{0}")]
    Invalid(String),
}
