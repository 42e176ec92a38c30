//! An authority, a server's certificate and a client's, as files: etcd asks clients for theirs.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::Error;

/// Files in PEM, in a directory that goes with this value.
pub struct Certificates {
    pub authority: PathBuf,
    pub server: Pair,
    pub client: Pair,
    _directory: tempfile::TempDir,
}

/// A certificate and its key.
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    /// For a server on 127.0.0.1.
    pub fn make() -> Result<Self, Error> {
        let directory = tempfile::tempdir()?;
        let authority_key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "etcd-ca");
        let certificate = params.self_signed(&authority_key)?;
        let authority = directory.path().join("ca.crt");
        fs::write(&authority, certificate.pem())?;
        let issuer = Issuer::new(params, authority_key);
        let pair = |name: &str| -> Result<Pair, Error> {
            let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
            let key = KeyPair::generate()?;
            let files = Pair {
                certificate: directory.path().join(format!("{name}.crt")),
                key: directory.path().join(format!("{name}.key")),
            };
            fs::write(&files.certificate, params.signed_by(&key, &issuer)?.pem())?;
            fs::write(&files.key, key.serialize_pem())?;
            Ok(files)
        };
        Ok(Self {
            server: pair("server")?,
            client: pair("client")?,
            authority,
            _directory: directory,
        })
    }
}
