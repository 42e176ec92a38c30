//! Files of authorities and keys that are read again when they change, without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use auth::authenticators::{ServiceAccountTokens, Trust};
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use component_base::tls;

use super::TokenAuthority;
use crate::Error;
use crate::options::ServiceAccountOptions;

/// Files, and who is to be told that they have changed.
pub struct Watched {
    files: Vec<PathBuf>,
    seen: Vec<Stamp>,
    target: Target,
}

enum Target {
    Authorities(Arc<Trust>),
    Keys {
        tokens: Arc<ServiceAccountTokens>,
        options: ServiceAccountOptions,
    },
}

type Stamp = Option<(SystemTime, u64)>;

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

impl Watched {
    /// The authorities of client certificates.
    pub fn authorities(file: &Path, trust: Arc<Trust>) -> Self {
        Self::new(vec![file.to_owned()], Target::Authorities(trust))
    }

    /// The keys that verify service-account tokens.
    pub fn keys(options: &ServiceAccountOptions, tokens: Arc<ServiceAccountTokens>) -> Self {
        Self::new(
            options.key_files.clone(),
            Target::Keys {
                tokens,
                options: options.clone(),
            },
        )
    }

    fn new(files: Vec<PathBuf>, target: Target) -> Self {
        let seen = files.iter().map(|file| stamp(file)).collect();
        Self { files, seen, target }
    }

    /// Reads the files if they have changed. What cannot be read leaves the last good state in force, and is
    /// tried again.
    fn check(&mut self) -> Result<bool, Error> {
        let now: Vec<Stamp> = self.files.iter().map(|file| stamp(file)).collect();
        if now == self.seen {
            return Ok(false);
        }
        match &self.target {
            Target::Authorities(trust) => {
                for file in &self.files {
                    trust.replace(&tls::certificates(file)?)?;
                }
            }
            Target::Keys { tokens, options } => tokens.replace(TokenAuthority::load(options)?.verifier()),
        }
        self.seen = now;
        Ok(true)
    }
}

/// Looks at the files once a minute until the shutdown.
pub async fn follow(mut all: Vec<Watched>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
    while shutdown.guard(clock.sleep(tls::RELOAD_PERIOD)).await.is_some() {
        for watched in &mut all {
            match watched.check() {
                Ok(false) => {}
                Ok(true) => tracing::info!(files = ?watched.files, "credentials reloaded"),
                Err(error) => tracing::error!(files = ?watched.files, %error, "credentials not reloaded"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pki::certificate::{AltNames, Subject};
    use pki::{Authority, PrivateKey, Template, Usage};

    use super::*;

    fn authority() -> Authority {
        let end = Timestamp::from_second(4_000_000_000).expect("a time");
        Authority::self_signed("ca", Timestamp::UNIX_EPOCH, end).expect("an authority")
    }

    #[test]
    fn a_new_authority_is_trusted_and_a_broken_file_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.crt");
        let (old, new) = (authority(), authority());
        std::fs::write(&file, old.certificate().to_pem()).expect("written");
        let trust = Trust::new(&[old.certificate().der.clone()]).expect("trust");
        let mut watched = Watched::authorities(&file, trust.clone());
        assert!(!watched.check().expect("unchanged"));

        std::fs::write(&file, "nothing").expect("written");
        assert!(watched.check().is_err());
        std::fs::write(&file, format!("{}\n", new.certificate().to_pem())).expect("written");
        assert!(watched.check().expect("changed"));
        let template = Template {
            subject: Subject::new("ada", &[]),
            alt_names: AltNames::default(),
            usages: vec![Usage::ClientAuth],
            not_before: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::from_second(3_000_000_000).expect("a time"),
        };
        let key = PrivateKey::generate().expect("a key");
        let leaf = |of: &Authority| of.issue(&template, key.public()).expect("a certificate").der;
        let now = Timestamp::from_second(1000).expect("a time");
        assert!(trust.verify(&[leaf(&new)], now).is_ok());
        assert!(trust.verify(&[leaf(&old)], now).is_err());
    }
}
