//! What the port serves with: the given certificate, else one that the server makes for itself.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use component_base::tls::{self, CertificateFiles, ClientCertificates, MinVersion};
use jiff::{SignedDuration, Timestamp};
use pki::certificate::{AltNames, Subject};
use pki::{Authority, PrivateKey, Template, Usage};
use rustls::ServerConfig;

use crate::Error;
use crate::options::Options;

/// Base name of the files below `--cert-dir`.
const PAIR_NAME: &str = "apiserver";
const LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
/// Clocks of clients may be behind.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);
/// The Service in front of the server is reached under these names.
const SERVICE_NAMES: [&str; 3] = ["kubernetes.default.svc", "kubernetes.default", "kubernetes"];

/// The certificate's files are followed until the shutdown. `None`: without TLS, in tests alone.
pub fn serve_with(
    options: &Options,
    own: &[IpAddr],
    clock: &Arc<dyn Clock>,
    shutdown: &Shutdown,
) -> Result<Option<Arc<ServerConfig>>, Error> {
    let files = match &options.serving {
        Some(files) => files.clone(),
        None if options.cert_dir.as_os_str().is_empty() => return Ok(None),
        None => self_signed(&options.cert_dir, own, clock.now())?,
    };
    let certificate = tls::Reloading::new(files)?;
    tokio::spawn(certificate.clone().follow(clock.clone(), shutdown.clone()));
    let min_version = MinVersion::parse(&options.tls_min_version)?;
    Ok(Some(tls::server_config(
        certificate,
        ClientCertificates::Request,
        min_version,
    )?))
}

/// The pair in the folder: as it is, if it is there, else made.
fn self_signed(folder: &Path, own: &[IpAddr], now: Timestamp) -> Result<CertificateFiles, Error> {
    let files = CertificateFiles {
        certificate: folder.join(format!("{PAIR_NAME}.crt")),
        key: folder.join(format!("{PAIR_NAME}.key")),
    };
    if files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let host = own
        .first()
        .map_or_else(|| "localhost".to_owned(), IpAddr::to_string);
    let (begin, end) = (shifted(now, -BACKDATED), shifted(now, LIFETIME));
    let seconds = now.as_second();
    let authority = Authority::self_signed(&format!("{host}-ca@{seconds}"), begin, end)?;
    let key = PrivateKey::generate()?;
    let mut names: Vec<String> = SERVICE_NAMES.map(str::to_owned).into();
    names.push("localhost".to_owned());
    let template = Template {
        subject: Subject::new(&format!("{host}@{seconds}"), &[]),
        alt_names: AltNames {
            dns: names,
            ips: own.to_vec(),
            ..AltNames::default()
        },
        usages: vec![Usage::ServerAuth],
        not_before: begin,
        not_after: end,
    };
    let certificate = authority.issue(&template, key.public())?;
    let chain = certificate.to_pem() + &authority.certificate().to_pem();
    pki::bootstrap::files::write(&files.certificate, &chain)?;
    pki::bootstrap::files::write_private(&files.key, &key.to_pem())?;
    tracing::info!(certificate = %files.certificate.display(), key = %files.key.display(), "generated self-signed cert");
    Ok(files)
}

fn shifted(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use pki::Certificate;

    use super::*;

    #[test]
    fn a_certificate_is_made_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let nested = folder.path().join("kubernetes");
        let own = ["192.0.2.10".parse().expect("an address")];
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let files = self_signed(&nested, &own, now).expect("made");
        files.load().expect("a pair");
        let chain = Certificate::load(&files.certificate).expect("read");
        assert!(chain[0].is_signed_by(&chain[1]).expect("compared"));
        assert!(chain[0].is_valid_at(shifted(now, LIFETIME - BACKDATED)));
        assert_eq!(chain[0].alt_names.ips, own);
        let before = std::fs::read(&files.key).expect("read");
        self_signed(&nested, &own, now).expect("found");
        assert_eq!(std::fs::read(&files.key).expect("read"), before);
    }
}
