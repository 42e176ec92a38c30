//! Trusted authorities that can be replaced while requests come in, with a memory of chains that have been
//! verified: a client sends the same certificate with each of its requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use pki::Certificate;
use pki::chain::{Purpose, Roots};
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;

/// Verified chains to remember.
const MAX_REMEMBERED: usize = 4096;

type Fingerprint = [u8; 32];

/// Authorities for client certificates.
#[derive(Debug)]
pub struct Trust {
    current: ArcSwap<Generation>,
}

/// The memory belongs to the authorities that it was made with.
#[derive(Debug)]
struct Generation {
    roots: Roots,
    verified: Mutex<HashMap<Fingerprint, Arc<Client>>>,
}

/// A verified client.
#[derive(Debug)]
pub struct Client {
    pub certificate: Certificate,
    pub fingerprint: Fingerprint,
}

impl Trust {
    pub fn new(authorities: &[CertificateDer<'_>]) -> Result<Arc<Self>, pki::Error> {
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(Generation::new(authorities)?),
        }))
    }

    /// Takes other authorities from now on.
    pub fn replace(&self, authorities: &[CertificateDer<'_>]) -> Result<(), pki::Error> {
        self.current.store(Arc::new(Generation::new(authorities)?));
        Ok(())
    }

    /// Verifies a client's chain, leaf first.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<Arc<Client>, pki::Error> {
        let generation = self.current.load();
        let fingerprint = fingerprint(chain);
        if let Some(client) = generation.remembered(&fingerprint)
            && client.certificate.is_valid_at(now)
        {
            return Ok(client);
        }
        generation.roots.verify(chain, Purpose::Client, now)?;
        let leaf = chain.first().ok_or(pki::Error::NoPem("certificate"))?;
        let fingerprint_of_leaf = digest_of(&[leaf]);
        let client = Arc::new(Client {
            certificate: Certificate::from_der(leaf)?,
            fingerprint: fingerprint_of_leaf,
        });
        // An intermediate may expire before the leaf does: only a leaf that stands alone is remembered, since
        // its dates (and the roots, which have none) are all there is to check again.
        if chain.len() == 1 {
            generation.remember(fingerprint, &client);
        }
        Ok(client)
    }
}

impl Generation {
    fn new(authorities: &[CertificateDer<'_>]) -> Result<Self, pki::Error> {
        Ok(Self {
            roots: Roots::new(authorities)?,
            verified: Mutex::default(),
        })
    }

    fn remembered(&self, fingerprint: &Fingerprint) -> Option<Arc<Client>> {
        self.verified
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(fingerprint)
            .cloned()
    }

    fn remember(&self, fingerprint: Fingerprint, client: &Arc<Client>) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MAX_REMEMBERED {
            verified.clear();
        }
        verified.insert(fingerprint, client.clone());
    }
}

fn fingerprint(chain: &[CertificateDer<'_>]) -> Fingerprint {
    digest_of(&chain.iter().collect::<Vec<_>>())
}

fn digest_of(certificates: &[&CertificateDer<'_>]) -> Fingerprint {
    let parts: Vec<&[u8]> = certificates.iter().map(|der| der.as_ref()).collect();
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, &parts.concat()).as_ref());
    fingerprint
}
