//! Why a command failed.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unknown command {0:?} for \"kubeadm\"")]
    Command(String),
    #[error("invalid subcommand {0:?}")]
    Phase(String),
    #[error(transparent)]
    Flags(#[from] component_base::options::Error),
    /// Not a failure: help was asked for, and this is its text.
    #[error("{0}")]
    Help(String),
    #[error("--{flag}: {reason}")]
    Flag { flag: &'static str, reason: String },
    #[error("{0}")]
    Missing(&'static str),
    #[error("cannot make {what}")]
    Pki { what: String, source: pki::Error },
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
