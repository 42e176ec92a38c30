//! Who a request says it is from: bearer tokens, fixed or in a file that is rotated under us.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;

/// How long a token read from a file is used before the file is read again.
///
/// Upstream: client-go/transport/token_source.go (one minute, ten seconds early).
const TOKEN_FILE_PERIOD: Duration = Duration::from_secs(50);

/// Credentials sent in the `Authorization` header. Client certificates belong to the transport.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Credentials {
    #[default]
    None,
    Token(String),
    TokenFile(PathBuf),
    /// A token that its owner renews.
    Shared(SharedToken),
    Basic {
        username: String,
        password: String,
    },
}

/// A token that may be replaced while clients use it.
#[derive(Clone, Default)]
pub struct SharedToken(Arc<RwLock<String>>);

impl SharedToken {
    pub fn new(token: impl Into<String>) -> Self {
        SharedToken(Arc::new(RwLock::new(token.into())))
    }

    pub fn set(&self, token: impl Into<String>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token.into();
    }

    fn get(&self) -> String {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for SharedToken {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for SharedToken {
    /// Tokens stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedToken")
    }
}

/// Credentials with the cache of their file.
#[derive(Debug)]
pub(crate) struct Source {
    credentials: Credentials,
    cached: Mutex<Option<(Instant, String)>>,
}

impl Source {
    pub(crate) fn new(credentials: Credentials) -> Self {
        Source {
            credentials,
            cached: Mutex::new(None),
        }
    }

    /// The value of the `Authorization` header, if there is one to send.
    pub(crate) fn header(&self, now: Instant) -> Result<Option<String>, std::io::Error> {
        match &self.credentials {
            Credentials::None => Ok(None),
            Credentials::Token(token) => Ok(Some(format!("Bearer {token}"))),
            Credentials::Shared(token) => Ok(Some(format!("Bearer {}", token.get()))),
            Credentials::Basic { username, password } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
                Ok(Some(format!("Basic {pair}")))
            }
            Credentials::TokenFile(path) => {
                let mut cached = self
                    .cached
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                if let Some((read, header)) = cached.as_ref()
                    && now.saturating_duration_since(*read) < TOKEN_FILE_PERIOD
                {
                    return Ok(Some(header.clone()));
                }
                let header = match std::fs::read_to_string(path) {
                    Ok(text) => format!("Bearer {}", text.trim()),
                    // A rotation in progress: the old token is most likely still good.
                    Err(error) => match cached.take() {
                        Some((_, header)) => header,
                        None => return Err(error),
                    },
                };
                *cached = Some((now, header.clone()));
                Ok(Some(header))
            }
        }
    }

    /// The server refused the token: read the file again at the next request.
    pub(crate) fn forget(&self) {
        self.cached
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_file_is_read_again_after_its_period_and_on_refusal() {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), "one\n").expect("write");
        let source = Source::new(Credentials::TokenFile(file.path().to_owned()));
        let start = Instant::now();
        let at = |seconds| {
            source
                .header(start + Duration::from_secs(seconds))
                .expect("readable")
        };

        assert_eq!(at(0).as_deref(), Some("Bearer one"));
        std::fs::write(file.path(), "two").expect("write");
        assert_eq!(at(49).as_deref(), Some("Bearer one"));
        assert_eq!(at(51).as_deref(), Some("Bearer two"));
        std::fs::write(file.path(), "three").expect("write");
        source.forget();
        assert_eq!(at(52).as_deref(), Some("Bearer three"));
    }

    #[test]
    fn missing_token_file_is_an_error_only_while_nothing_was_read() {
        let source = Source::new(Credentials::TokenFile("/nonexistent/token".into()));
        assert!(source.header(Instant::now()).is_err());
    }
}
