//! The algorithms, in upstream's layouts: a random nonce, then what the cipher makes.

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use crypto_secretbox::aead::{AeadInPlace, KeyInit};
use crypto_secretbox::{Nonce as BoxNonce, XSalsa20Poly1305};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// How values are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    AesGcm,
    AesCbc,
    SecretBox,
}

impl Algorithm {
    /// The provider's name in configurations and in what is stored.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::AesGcm => "aesgcm",
            Algorithm::AesCbc => "aescbc",
            Algorithm::SecretBox => "secretbox",
        }
    }
}

/// A secret that the algorithm can't use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} does not take a key of {len} bytes", algorithm.name())]
pub struct KeyError {
    algorithm: Algorithm,
    len: usize,
}

const CBC_BLOCK: usize = 16;
const BOX_NONCE: usize = 24;
const BOX_TAG: usize = 16;
const DAMAGED: &str = "the value was changed or is another key's";
const SHORT: &str = "the stored data was shorter than the required size";

pub(super) enum Cipher {
    Gcm(Box<LessSafeKey>),
    Cbc128([u8; 16]),
    Cbc192([u8; 24]),
    Cbc256([u8; 32]),
    SecretBox(Box<XSalsa20Poly1305>),
}

impl Cipher {
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let refused = KeyError {
            algorithm,
            len: secret.len(),
        };
        match algorithm {
            Algorithm::AesGcm => {
                let kind = match secret.len() {
                    16 => &AES_128_GCM,
                    32 => &AES_256_GCM,
                    _ => return Err(refused),
                };
                let key = UnboundKey::new(kind, secret).map_err(|_| refused)?;
                Ok(Cipher::Gcm(Box::new(LessSafeKey::new(key))))
            }
            Algorithm::AesCbc => match secret.len() {
                16 => secret.try_into().map(Cipher::Cbc128).map_err(|_| refused),
                24 => secret.try_into().map(Cipher::Cbc192).map_err(|_| refused),
                _ => secret.try_into().map(Cipher::Cbc256).map_err(|_| refused),
            },
            Algorithm::SecretBox => {
                let cipher = XSalsa20Poly1305::new_from_slice(secret).map_err(|_| refused)?;
                Ok(Cipher::SecretBox(Box::new(cipher)))
            }
        }
    }

    /// Appends the encrypted value.
    pub fn encrypt(&self, context: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Cipher::Gcm(key) => {
                let nonce: [u8; NONCE_LEN] = random()?;
                let mut sealed = value.to_vec();
                let unique = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_append_tag(unique, Aad::from(context), &mut sealed)
                    .map_err(|_| "sealing failed")?;
                out.extend_from_slice(&nonce);
                out.extend(sealed);
            }
            Cipher::SecretBox(cipher) => {
                let nonce: [u8; BOX_NONCE] = random()?;
                let mut sealed = value.to_vec();
                let tag = cipher.encrypt_in_place_detached(BoxNonce::from_slice(&nonce), b"", &mut sealed);
                let tag = tag.map_err(|_| "sealing failed")?;
                out.extend_from_slice(&nonce);
                // NaCl puts the tag in front.
                out.extend_from_slice(&tag);
                out.extend(sealed);
            }
            Cipher::Cbc128(key) => cbc_encrypt::<Aes128>(key, value, out)?,
            Cipher::Cbc192(key) => cbc_encrypt::<Aes192>(key, value, out)?,
            Cipher::Cbc256(key) => cbc_encrypt::<Aes256>(key, value, out)?,
        }
        Ok(())
    }

    pub fn decrypt(&self, context: &[u8], stored: &[u8]) -> Result<Vec<u8>, &'static str> {
        match self {
            Cipher::Gcm(key) => {
                let (nonce, sealed) = stored.split_first_chunk::<NONCE_LEN>().ok_or(SHORT)?;
                let mut sealed = sealed.to_vec();
                let unique = Nonce::assume_unique_for_key(*nonce);
                let len = key
                    .open_in_place(unique, Aad::from(context), &mut sealed)
                    .map_err(|_| DAMAGED)?
                    .len();
                sealed.truncate(len);
                Ok(sealed)
            }
            Cipher::SecretBox(cipher) => {
                let (nonce, rest) = stored.split_first_chunk::<BOX_NONCE>().ok_or(SHORT)?;
                let (tag, sealed) = rest.split_first_chunk::<BOX_TAG>().ok_or(SHORT)?;
                let mut value = sealed.to_vec();
                let opened = cipher.decrypt_in_place_detached(
                    BoxNonce::from_slice(nonce),
                    b"",
                    &mut value,
                    tag.into(),
                );
                opened.map_err(|_| DAMAGED)?;
                Ok(value)
            }
            Cipher::Cbc128(key) => cbc_decrypt::<Aes128>(key, stored),
            Cipher::Cbc192(key) => cbc_decrypt::<Aes192>(key, stored),
            Cipher::Cbc256(key) => cbc_decrypt::<Aes256>(key, stored),
        }
    }
}

fn cbc_encrypt<C>(key: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str>
where
    C: aes::cipher::BlockCipher
        + aes::cipher::BlockEncrypt
        + aes::cipher::BlockEncryptMut
        + aes::cipher::KeyInit,
{
    let iv: [u8; CBC_BLOCK] = random()?;
    let encryptor =
        cbc::Encryptor::<C>::new_from_slices(key, &iv).map_err(|_| "the key has another length")?;
    out.extend_from_slice(&iv);
    out.extend(encryptor.encrypt_padded_vec_mut::<Pkcs7>(value));
    Ok(())
}

fn cbc_decrypt<C>(key: &[u8], stored: &[u8]) -> Result<Vec<u8>, &'static str>
where
    C: aes::cipher::BlockCipher
        + aes::cipher::BlockDecrypt
        + aes::cipher::BlockDecryptMut
        + aes::cipher::KeyInit,
{
    let (iv, encrypted) = stored.split_first_chunk::<CBC_BLOCK>().ok_or(SHORT)?;
    let decryptor =
        cbc::Decryptor::<C>::new_from_slices(key, iv).map_err(|_| "the key has another length")?;
    decryptor
        .decrypt_padded_vec_mut::<Pkcs7>(encrypted)
        .map_err(|_| DAMAGED)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], &'static str> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| "no random numbers")?;
    Ok(bytes)
}
