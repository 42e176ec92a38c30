//! The stored form: `k8s:enc:PROVIDER:v1:KEY-NAME:` and the encrypted value.

use std::borrow::Cow;

use bytes::Bytes;

use super::cipher::{Algorithm, Cipher, KeyError};
use super::kms::Kms;

/// What every encrypted value begins with.
const MARK: &[u8] = b"k8s:enc:";

/// Why a value can't be kept or read.
pub type Reason = Cow<'static, str>;

/// One way of keeping values.
#[derive(Debug)]
pub enum Provider {
    /// As they are.
    Identity,
    /// Encrypted; the first key writes, all of them read.
    Keys {
        algorithm: Algorithm,
        keys: Vec<SecretKey>,
    },
    /// Encrypted with the help of a service that keeps the keys.
    Kms(Kms),
}

/// A key with its name; the secret is not shown.
pub struct SecretKey {
    /// `k8s:enc:aesgcm:v1:key1:`
    prefix: Vec<u8>,
    cipher: Cipher,
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.prefix))
    }
}

impl SecretKey {
    /// `secret` is 16, 24 or 32 bytes for AES in CBC mode, 16 or 32 for GCM, 32 for secretbox.
    pub fn new(algorithm: Algorithm, name: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let prefix = format!("k8s:enc:{}:v1:{name}:", algorithm.name()).into_bytes();
        Ok(Self {
            prefix,
            cipher: Cipher::new(algorithm, secret)?,
        })
    }
}

impl Provider {
    /// `key` is authenticated with the value where the algorithm can: a value can't be moved to another key.
    pub fn encrypt(&self, key: &[u8], value: &Bytes) -> Result<Bytes, Reason> {
        match self {
            Provider::Identity => Ok(value.clone()),
            Provider::Kms(kms) => kms.encrypt(key, value),
            Provider::Keys { keys, .. } => {
                let writer = keys.first().ok_or("the provider has no key")?;
                let mut out = writer.prefix.clone();
                writer.cipher.encrypt(key, value, &mut out)?;
                Ok(Bytes::from(out))
            }
        }
    }

    /// The plain value, and whether it is kept as it would be written now. `Err(None)`: not kept in this way.
    pub fn decrypt(&self, key: &[u8], stored: &Bytes) -> Result<(Bytes, bool), Option<Reason>> {
        match self {
            Provider::Identity if stored.starts_with(MARK) => Err(None),
            Provider::Identity => Ok((stored.clone(), true)),
            Provider::Kms(kms) => kms.decrypt(key, stored),
            Provider::Keys { keys, .. } => {
                for (position, candidate) in keys.iter().enumerate() {
                    if let Some(encrypted) = stored.strip_prefix(&candidate.prefix[..]) {
                        let value = candidate.cipher.decrypt(key, encrypted);
                        let value = value.map_err(|reason| Some(reason.into()))?;
                        return Ok((Bytes::from(value), position == 0));
                    }
                }
                Err(None)
            }
        }
    }
}
