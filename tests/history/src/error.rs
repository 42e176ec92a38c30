//! Why a run could not be made: not what it found.

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error("certificates can't be made: {0}")]
    Certificates(String),
    #[error("client: {0}")]
    Client(String),
    #[error("{what} did not come up within {seconds} s; its log: {log}")]
    NotUp { what: String, seconds: u64, log: String },
    #[error("unexpected answer: {0}")]
    Unexpected(String),
    #[error("store: {0}")]
    Store(#[from] storage::Error),
    #[error("usage: {0}")]
    Usage(String),
    #[error("{0}")]
    Found(String),
}

impl Error {
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }
}
