//! What is stored: the encrypted value beside its encrypted seed, and the ciphers of both kinds of seeds. Pure but for
//! random numbers.
//!
//! Upstream: `kmsv2/v2/api.proto`, `encrypt/aes/aes_extended_nonce.go`.

use std::collections::BTreeMap;

use prost::Message;
use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::encryption::cipher::{Algorithm, Cipher, random};

const MAX_KEY_ID: usize = 1024;
const MAX_SOURCE: usize = 1024;
const MAX_ANNOTATIONS: usize = 32 * 1024;
/// The seed, and the random part of each value from which its key is derived.
const SEED: usize = 32;
const INFO: usize = 32;

/// The decrypted source is the key of AES-GCM.
const AES_GCM_KEY: i32 = 0;
/// The decrypted source is a seed: with HKDF's expansion over the first 32 bytes of the data it gives the key.
const HKDF_SEED: i32 = 1;

/// A stored value, behind the text that names the provider.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EncryptedObject {
    #[prost(bytes = "vec", tag = "1")]
    pub encrypted_data: Vec<u8>,
    #[prost(string, tag = "2")]
    pub key_id: String,
    #[prost(bytes = "vec", tag = "3")]
    pub encrypted_source: Vec<u8>,
    #[prost(btree_map = "string, bytes", tag = "4")]
    pub annotations: BTreeMap<String, Vec<u8>>,
    #[prost(int32, tag = "5")]
    pub source_kind: i32,
}

/// Tells encrypted seeds apart.
pub(super) type SourceId = [u8; 32];

impl EncryptedObject {
    /// One without data, as the plugin has encrypted its seed.
    pub fn of_seed(
        key_id: String,
        encrypted_source: Vec<u8>,
        annotations: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, String> {
        let object = Self {
            encrypted_data: Vec::new(),
            key_id,
            encrypted_source,
            annotations,
            source_kind: HKDF_SEED,
        };
        object.check().map(|()| object)
    }

    pub fn parse(stored: &[u8]) -> Result<Self, String> {
        let object = Self::decode(stored).map_err(|error| error.to_string())?;
        if object.encrypted_data.is_empty() {
            return Err("encrypted data is empty".to_owned());
        }
        object.check().map(|()| object)
    }

    pub fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encode_to_vec());
    }

    pub fn source_id(&self) -> SourceId {
        let without_data = Self {
            encrypted_data: Vec::new(),
            ..self.clone()
        };
        let mut id = SourceId::default();
        id.copy_from_slice(digest(&SHA256, &without_data.encode_to_vec()).as_ref());
        id
    }

    fn check(&self) -> Result<(), String> {
        if ![AES_GCM_KEY, HKDF_SEED].contains(&self.source_kind) {
            return Err(format!("unknown encryptedDEKSourceType: {}", self.source_kind));
        }
        if self.encrypted_source.is_empty() {
            return Err("encrypted DEK source is empty".to_owned());
        }
        if self.encrypted_source.len() > MAX_SOURCE {
            return Err(format!(
                "encrypted DEK source is {} bytes, which exceeds the max size of {MAX_SOURCE}",
                self.encrypted_source.len()
            ));
        }
        check_key_id(&self.key_id).map_err(|(_, reason)| reason)?;
        check_annotations(&self.annotations)
    }
}

/// The plugin's name for its key; upstream's code with the reason.
pub(super) fn check_key_id(key_id: &str) -> Result<(), (&'static str, String)> {
    match key_id.len() {
        0 => Err(("empty", "keyID is empty".to_owned())),
        len if len > MAX_KEY_ID => Err((
            "too_long",
            format!("keyID is {len} bytes, which exceeds the max size of {MAX_KEY_ID}"),
        )),
        _ => Ok(()),
    }
}

fn check_annotations(annotations: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let mut size = 0;
    for (name, value) in annotations {
        if !is_qualified(name) {
            return Err(format!(
                "annotation {name:?} is not a fully qualified domain name"
            ));
        }
        size += name.len() + value.len();
    }
    if size > MAX_ANNOTATIONS {
        return Err(format!(
            "total size of annotations is {size}, which exceeds the max size of {MAX_ANNOTATIONS}"
        ));
    }
    Ok(())
}

/// A domain name of three labels at least, as upstream asks for.
fn is_qualified(name: &str) -> bool {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').count() >= 3 && name.split('.').all(label)
}

/// A decrypted source.
pub(super) enum Seed {
    Key(Cipher),
    /// Each value has a key of its own.
    Derive(hmac::Key),
}

impl Seed {
    pub fn new(kind: i32, plain: Vec<u8>) -> Result<Self, String> {
        if kind == AES_GCM_KEY {
            let cipher = Cipher::new(Algorithm::AesGcm, &plain);
            return cipher.map(Self::Key).map_err(|error| error.to_string());
        }
        if plain.len() < SEED {
            return Err(format!(
                "invalid seed length {} used for key generation",
                plain.len()
            ));
        }
        Ok(Self::Derive(hmac::Key::new(hmac::HMAC_SHA256, &plain)))
    }

    /// A new seed, and its bytes for the plugin.
    pub fn generate() -> Result<(Self, Vec<u8>), String> {
        let bytes: [u8; SEED] = random()?;
        Ok((Self::new(HKDF_SEED, bytes.to_vec())?, bytes.to_vec()))
    }

    /// `key` is authenticated with the value.
    pub fn encrypt(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::with_capacity(value.len() + INFO + 32);
        match self {
            Self::Key(cipher) => cipher.encrypt(key, value, &mut out)?,
            Self::Derive(seed) => {
                let info: [u8; INFO] = random()?;
                out.extend_from_slice(&info);
                derive(seed, &info)?.encrypt(key, value, &mut out)?;
            }
        }
        Ok(out)
    }

    pub fn decrypt(&self, key: &[u8], data: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Key(cipher) => cipher.decrypt(key, data),
            Self::Derive(seed) => {
                let (info, sealed) = data
                    .split_first_chunk::<INFO>()
                    .ok_or("the stored data was shorter than the required size")?;
                derive(seed, info)?.decrypt(key, sealed)
            }
        }
    }
}

/// HKDF's expansion (RFC 5869, 2.3) to one block of SHA-256, which is the key's size.
fn derive(seed: &hmac::Key, info: &[u8; INFO]) -> Result<Cipher, &'static str> {
    let mut context = hmac::Context::with_key(seed);
    context.update(info);
    context.update(&[1]);
    Cipher::new(Algorithm::AesGcm, context.sign().as_ref()).map_err(|_| "the derived key has another length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_sources_round_trip_and_are_bound_to_their_key() {
        for kind in [AES_GCM_KEY, HKDF_SEED] {
            let seed = Seed::new(kind, vec![7; 32]).unwrap();
            for len in [0, 1, 100] {
                let value = vec![b'v'; len];
                let kept = seed.encrypt(b"/a", &value).unwrap();
                assert_eq!(seed.decrypt(b"/a", &kept).unwrap(), value);
                assert!(seed.decrypt(b"/b", &kept).is_err());
                assert!(seed.decrypt(b"/a", &kept[..kept.len() - 1]).is_err());
            }
        }
        assert!(Seed::new(HKDF_SEED, vec![7; 31]).is_err());
        assert!(Seed::new(AES_GCM_KEY, vec![7; 31]).is_err());
    }

    /// The expansion of RFC 5869's first test case, whose first 32 bytes are one block.
    #[test]
    fn derivation_is_hkdf_expand() {
        let unhex = |text: &str| -> Vec<u8> {
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
                .collect()
        };
        let key = unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let info = unhex("f0f1f2f3f4f5f6f7f8f9");
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
        context.update(&info);
        context.update(&[1]);
        assert_eq!(
            context.sign().as_ref(),
            unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
        );
    }

    #[test]
    fn what_a_plugin_may_say_is_bounded() {
        let object = |key_id: &str, source: usize, annotation: &str, size: usize| {
            let annotations = BTreeMap::from([(annotation.to_owned(), vec![0; size])]);
            EncryptedObject::of_seed(key_id.to_owned(), vec![1; source], annotations)
                .map(drop)
                .map_err(|reason| reason.split(' ').take(3).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(object("k", 1, "a.kms.example.com", 1), Ok(()));
        assert_eq!(object("", 1, "a.b.c", 1), Err("keyID is empty".into()));
        assert_eq!(
            object(&"k".repeat(1025), 1, "a.b.c", 1),
            Err("keyID is 1025".into())
        );
        assert_eq!(object("k", 0, "a.b.c", 1), Err("encrypted DEK source".into()));
        assert_eq!(object("k", 1025, "a.b.c", 1), Err("encrypted DEK source".into()));
        assert_eq!(object("k", 1, "plain", 1), Err("annotation \"plain\" is".into()));
        assert_eq!(object("k", 1, "a.b.c", 33 * 1024), Err("total size of".into()));
        assert!(EncryptedObject::parse(b"").is_err());
        assert!(EncryptedObject::parse(b"\xff\xff").is_err());
    }
}
