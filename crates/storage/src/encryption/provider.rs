//! The stored form: `k8s:enc:PROVIDER:v1:KEY-NAME:` and the encrypted value.

use bytes::Bytes;

use super::cipher::{Algorithm, Cipher, KeyError};

/// What every encrypted value begins with.
const MARK: &[u8] = b"k8s:enc:";

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
    pub fn encrypt(&self, key: &[u8], value: &Bytes) -> Result<Bytes, &'static str> {
        let Provider::Keys { keys, .. } = self else {
            return Ok(value.clone());
        };
        let writer = keys.first().ok_or("the provider has no key")?;
        let mut out = writer.prefix.clone();
        writer.cipher.encrypt(key, value, &mut out)?;
        Ok(Bytes::from(out))
    }

    /// The plain value, and whether the first key was used. `Err(None)`: not kept in this way.
    pub fn decrypt(&self, key: &[u8], stored: &Bytes) -> Result<(Bytes, bool), Option<&'static str>> {
        let Provider::Keys { keys, .. } = self else {
            return if stored.starts_with(MARK) {
                Err(None)
            } else {
                Ok((stored.clone(), true))
            };
        };
        for (position, candidate) in keys.iter().enumerate() {
            if let Some(encrypted) = stored.strip_prefix(&candidate.prefix[..]) {
                let value = candidate.cipher.decrypt(key, encrypted).map_err(Some)?;
                return Ok((Bytes::from(value), position == 0));
            }
        }
        Err(None)
    }
}
