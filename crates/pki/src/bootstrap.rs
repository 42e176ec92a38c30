//! The certificates and keys of a new cluster, in kubeadm's files and names.
//!
//! What exists stays: a second run with the same folder changes nothing. A file that does not fit (a key
//! of another certificate, a certificate of another authority) is an error rather than overwritten.

pub mod files;
mod rows;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::authority::{Authority, Template};
use crate::certificate::{AltNames, Certificate, Subject};
use crate::kubeconfig::{Credentials, Kubeconfig};
use crate::{Error, PrivateKey, Usage};

pub use rows::{AUTHORITIES, AuthorityRow, LEAVES, LeafRow};

const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
pub const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// Certificates begin a little before now, so that clocks may differ.
const BACKDATE: Duration = Duration::from_secs(5 * 60);

/// What the names in the certificates depend on.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub node_name: String,
    pub advertise_address: IpAddr,
    /// The first address of the service range: the `kubernetes` Service.
    pub service_address: IpAddr,
    pub dns_domain: String,
    pub extra_names: Vec<String>,
}

/// A folder of certificates.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    now: Timestamp,
}

/// What a call did with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Kept,
}

impl Folder {
    pub fn new(path: &Path, now: Timestamp) -> Self {
        Self {
            path: path.to_owned(),
            now,
        }
    }

    /// The file `name` with an extension.
    pub fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.path.join(format!("{name}.{extension}"))
    }

    /// Makes or checks an authority.
    pub fn authority(&self, row: &AuthorityRow) -> Result<Outcome, Error> {
        let (certificate, key) = (self.file(row.name, "crt"), self.file(row.name, "key"));
        if certificate.exists() {
            Authority::load(&certificate, &key)?;
            return Ok(Outcome::Kept);
        }
        let authority =
            Authority::self_signed(row.common_name, self.not_before(), self.until(AUTHORITY_LIFETIME))?;
        files::write_private(&key, &authority.key().to_pem())?;
        files::write(&certificate, &authority.certificate().to_pem())?;
        Ok(Outcome::Created)
    }

    /// Makes or checks one of the table's certificates.
    pub fn leaf(&self, row: &LeafRow, cluster: &Cluster) -> Result<Outcome, Error> {
        let (certificate, key) = (self.file(row.name, "crt"), self.file(row.name, "key"));
        self.issue(
            row.authority,
            &row.subject(cluster),
            &row.alt_names(cluster),
            row.usages,
            &certificate,
            &key,
        )
    }

    /// Makes or checks the certificate that a kubelet serves with.
    pub fn kubelet_server(&self, out: &Path, node_name: &str, node_ips: &[IpAddr]) -> Result<Outcome, Error> {
        let mut alt_names = AltNames::default();
        alt_names.push(node_name);
        node_ips.iter().for_each(|ip| alt_names.push(&ip.to_string()));
        let subject = Subject::new(&format!("system:node:{node_name}"), &["system:nodes"]);
        let usages = &[Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ServerAuth];
        self.issue(
            "ca",
            &subject,
            &alt_names,
            usages,
            &out.join("kubelet.crt"),
            &out.join("kubelet.key"),
        )
    }

    /// Makes or checks the key pair that signs service-account tokens.
    pub fn service_account_keys(&self) -> Result<Outcome, Error> {
        let (private, public) = (self.file("sa", "key"), self.file("sa", "pub"));
        let outcome = if private.exists() {
            Outcome::Kept
        } else {
            Outcome::Created
        };
        if outcome == Outcome::Created {
            files::write_private(&private, &PrivateKey::generate()?.to_pem())?;
        }
        if !public.exists() {
            files::write(&public, &PrivateKey::load(&private)?.public().to_pem())?;
        }
        Ok(outcome)
    }

    /// A kubeconfig for a user with a new client certificate.
    pub fn kubeconfig(&self, server: &str, user: &str, groups: &[&str]) -> Result<String, Error> {
        let authority = self.load_authority("ca")?;
        let key = PrivateKey::generate()?;
        let usages = vec![Usage::DigitalSignature, Usage::KeyEncipherment, Usage::ClientAuth];
        let template = self.template(Subject::new(user, groups), AltNames::default(), usages);
        let certificate = authority.issue(&template, key.public())?.to_pem();
        let credentials = Credentials::Certificate {
            certificate: &certificate,
            key: &key.to_pem(),
        };
        let authority = authority.certificate().to_pem();
        Ok(Kubeconfig {
            cluster: "kubernetes",
            server,
            authority: &authority,
            user,
            credentials,
        }
        .to_yaml())
    }

    /// As [`Folder::kubeconfig`], into a file unless there is one.
    pub fn kubeconfig_file(
        &self,
        path: &Path,
        server: &str,
        user: &str,
        groups: &[&str],
    ) -> Result<Outcome, Error> {
        if path.exists() {
            return Ok(Outcome::Kept);
        }
        files::write_private(path, &self.kubeconfig(server, user, groups)?)?;
        Ok(Outcome::Created)
    }

    fn issue(
        &self,
        authority: &str,
        subject: &Subject,
        alt_names: &AltNames,
        usages: &[Usage],
        certificate: &Path,
        key: &Path,
    ) -> Result<Outcome, Error> {
        let authority = self.load_authority(authority)?;
        if certificate.exists() {
            check(&authority, certificate, key)?;
            return Ok(Outcome::Kept);
        }
        let private = PrivateKey::generate()?;
        let template = self.template(subject.clone(), alt_names.clone(), usages.to_vec());
        let issued = authority.issue(&template, private.public())?;
        files::write_private(key, &private.to_pem())?;
        files::write(certificate, &issued.to_pem())?;
        Ok(Outcome::Created)
    }

    fn load_authority(&self, name: &str) -> Result<Authority, Error> {
        Authority::load(&self.file(name, "crt"), &self.file(name, "key"))
    }

    fn template(&self, subject: Subject, alt_names: AltNames, usages: Vec<Usage>) -> Template {
        Template {
            subject,
            alt_names,
            usages,
            not_before: self.not_before(),
            not_after: self.until(LEAF_LIFETIME),
        }
    }

    fn not_before(&self) -> Timestamp {
        self.now.saturating_sub(BACKDATE).unwrap_or(self.now)
    }

    fn until(&self, lifetime: Duration) -> Timestamp {
        self.now.saturating_add(lifetime).unwrap_or(Timestamp::MAX)
    }
}

/// An existing pair must fit together and come from the authority.
fn check(authority: &Authority, certificate: &Path, key: &Path) -> Result<(), Error> {
    let existing = Certificate::load(certificate)?.swap_remove(0);
    if existing.public_key()? != *PrivateKey::load(key)?.public() {
        return Err(Error::KeyMismatch);
    }
    if !authority.has_issued(&existing)? {
        let (file, authority) = (
            certificate.display(),
            &authority.certificate().subject.common_name,
        );
        return Err(Error::Invalid(format!("{file} was not issued by {authority}")));
    }
    Ok(())
}
