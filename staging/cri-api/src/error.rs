//! What a call to the runtime can fail with.

use std::time::Duration;

pub use tonic::Code;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The address is not one that this client can dial.
    #[error("runtime endpoint {endpoint:?} is not a unix socket")]
    Endpoint { endpoint: String },
    /// The runtime answered with an error. Worded as upstream words it, since the text reaches events.
    #[error("rpc error: code = {code:?} desc = {message}")]
    Rpc { code: Code, message: String },
    /// The runtime did not answer in time.
    #[error("rpc error: code = DeadlineExceeded desc = {call} did not answer within {}s", limit.as_secs())]
    Deadline { call: &'static str, limit: Duration },
}

impl Error {
    /// The runtime does not know the sandbox, container or image.
    pub fn is_not_found(&self) -> bool {
        matches!(
            self,
            Self::Rpc {
                code: Code::NotFound,
                ..
            }
        )
    }

    /// The runtime has too much to do.
    pub fn is_exhausted(&self) -> bool {
        matches!(
            self,
            Self::Rpc {
                code: Code::ResourceExhausted,
                ..
            }
        )
    }

    /// The runtime is too old for the call.
    pub fn is_unimplemented(&self) -> bool {
        matches!(
            self,
            Self::Rpc {
                code: Code::Unimplemented,
                ..
            }
        )
    }

    pub fn code(&self) -> Code {
        match self {
            Self::Endpoint { .. } => Code::InvalidArgument,
            Self::Rpc { code, .. } => *code,
            Self::Deadline { .. } => Code::DeadlineExceeded,
        }
    }

    /// The description alone, as upstream's events quote it.
    pub fn message(&self) -> String {
        match self {
            Self::Rpc { message, .. } => message.clone(),
            other => other.to_string(),
        }
    }
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        Self::Rpc {
            code: status.code(),
            message: status.message().to_owned(),
        }
    }
}
