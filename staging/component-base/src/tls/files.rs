//! PEM files, read again when they change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{Error, provider};
use crate::clock::Clock;
use crate::shutdown::Shutdown;

/// How often files are looked at, as upstream's dynamic certificate controllers do.
pub const RELOAD_PERIOD: Duration = Duration::from_secs(60);

/// The certificates of a PEM file, leaf first.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| pem_error(path, "certificate", &error))?;
    if certificates.is_empty() {
        return Err(Error::Empty {
            path: path.to_owned(),
            what: "certificate",
        });
    }
    Ok(certificates)
}

/// The private key of a PEM file, in PKCS#8, PKCS#1 or SEC1 form.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| pem_error(path, "private key", &error))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn pem_error(path: &Path, what: &'static str, error: &PemError) -> Error {
    match error {
        PemError::NoItemsFound => Error::Empty {
            path: path.to_owned(),
            what,
        },
        other => Error::Pem {
            path: path.to_owned(),
            reason: other.to_string(),
        },
    }
}

/// A certificate and its key, by file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl CertificateFiles {
    pub fn load(&self) -> Result<CertifiedKey, Error> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| Error::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    fn stamp(&self) -> Stamp {
        Stamp(vec![modified(&self.certificate), modified(&self.key)])
    }
}

/// When files were last written; what is compared to see a change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(Vec<Option<(SystemTime, u64)>>);

fn modified(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// A serving certificate that follows its files. A pair that cannot be loaded leaves the last good one in
/// use: files are often replaced one after the other.
pub struct Reloading {
    files: CertificateFiles,
    current: ArcSwap<Loaded<Arc<CertifiedKey>>>,
}

struct Loaded<T> {
    stamp: Stamp,
    value: T,
}

impl Reloading {
    pub fn new(files: CertificateFiles) -> Result<Arc<Self>, Error> {
        let loaded = Loaded {
            stamp: files.stamp(),
            value: Arc::new(files.load()?),
        };
        Ok(Arc::new(Self {
            files,
            current: ArcSwap::from_pointee(loaded),
        }))
    }

    /// Loads the files if they have changed; says whether they had.
    pub fn reload(&self) -> Result<bool, Error> {
        let stamp = self.files.stamp();
        if self.current.load().stamp == stamp {
            return Ok(false);
        }
        let value = Arc::new(self.files.load()?);
        self.current.store(Arc::new(Loaded { stamp, value }));
        Ok(true)
    }

    /// The pair in use.
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.current.load().value.clone()
    }

    /// Looks at the files every [`RELOAD_PERIOD`] until the shutdown.
    pub async fn follow(self: Arc<Self>, clock: Arc<dyn Clock>, shutdown: Shutdown) {
        while shutdown.guard(clock.sleep(RELOAD_PERIOD)).await.is_some() {
            let path = self.files.certificate.display();
            match self.reload() {
                Ok(false) => {}
                Ok(true) => tracing::info!(path = %path, "serving certificate reloaded"),
                Err(error) => {
                    tracing::error!(path = %path, error = %error, "serving certificate not reloaded")
                }
            }
        }
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// A bundle of trusted certificates that follows its file.
#[derive(Debug)]
pub struct ReloadingBundle {
    path: PathBuf,
    current: ArcSwap<Loaded<Bundle>>,
}

type Bundle = Arc<[CertificateDer<'static>]>;

impl fmt::Debug for Loaded<Bundle> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.value.len())
    }
}

impl ReloadingBundle {
    pub fn new(path: PathBuf) -> Result<Arc<Self>, Error> {
        let loaded = Loaded {
            stamp: Stamp(vec![modified(&path)]),
            value: certificates(&path)?.into(),
        };
        Ok(Arc::new(Self {
            path,
            current: ArcSwap::from_pointee(loaded),
        }))
    }

    pub fn current(&self) -> Bundle {
        self.current.load().value.clone()
    }

    /// Loads the file if it has changed; says whether it had.
    pub fn reload(&self) -> Result<bool, Error> {
        let stamp = Stamp(vec![modified(&self.path)]);
        if self.current.load().stamp == stamp {
            return Ok(false);
        }
        let value = certificates(&self.path)?.into();
        self.current.store(Arc::new(Loaded { stamp, value }));
        Ok(true)
    }
}
