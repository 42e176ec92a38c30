//! Why a server can't be built.

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store can't be read")]
    Store(#[from] storage::Error),
    #[error("admission: {0}")]
    Admission(#[from] admission::chain::Error),
    #[error("access control can't be set up")]
    Configuration(#[source] Box<dyn std::error::Error + Send + Sync>),
}
