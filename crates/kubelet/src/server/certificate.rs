//! The certificate that the kubelet serves with: the configured one, or one that it signs itself.

use crate::{config::Config, options::Options};
use component_base::tls::CertificateFiles;
use jiff::Timestamp;
use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// Finds the files, or makes them.
pub fn files(config: &Config, options: &Options, now: Timestamp) -> Result<CertificateFiles, Error> {
    if let (Some(certificate), Some(key)) = (&config.tls_cert_file, &config.tls_private_key_file) {
        return Ok(CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        });
    }
    let files = CertificateFiles {
        certificate: options.cert_dir.join("kubelet.crt"),
        key: options.cert_dir.join("kubelet.key"),
    };
    if !files.certificate.exists() || !files.key.exists() {
        make(&files, options, now)?;
    }
    Ok(files)
}

fn make(files: &CertificateFiles, options: &Options, now: Timestamp) -> Result<(), Error> {
    let names: Vec<String> = std::iter::once(options.node_name.clone())
        .chain(options.node_ips.iter().cloned())
        .collect();
    let mut parameters = rcgen::CertificateParams::new(names)?;
    let common_name = format!("{}@{}", options.node_name, now.as_second());
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, common_name);
    parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    write(&files.key, key.serialize_pem().as_bytes(), 0o600)?;
    write(&files.certificate, certificate.pem().as_bytes(), 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    let put = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(path)?;
        io::Write::write_all(&mut file, content)
    };
    put().map_err(|source| Error::Write {
        path: path.to_path_buf(),
        source,
    })
}
