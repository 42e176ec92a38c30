//! Keys that verify service-account tokens: public keys, certificates or private keys in PEM files.

use std::path::Path;

use pki::{Certificate, PrivateKey, PublicKey, pem};

use crate::Error;

/// All keys of a file.
pub fn load(file: &Path) -> Result<Vec<PublicKey>, Error> {
    let text = std::fs::read(file).map_err(|source| Error::Read {
        path: file.to_owned(),
        source,
    })?;
    let mut keys = Vec::new();
    for block in pem::parse(&text)? {
        keys.push(match block.label.as_str() {
            "PUBLIC KEY" => PublicKey::from_spki(&block.der)?,
            "CERTIFICATE" => Certificate::from_der(&block.der)?.public_key()?,
            _ => PrivateKey::from_pem(pem::encode(&block.label, &block.der).as_bytes())?
                .public()
                .clone(),
        });
    }
    Ok(keys)
}
