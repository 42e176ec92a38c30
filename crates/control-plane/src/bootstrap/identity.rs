//! The Lease that tells that this server is there, and since when.

use std::time::Duration;

use api::coordination::v1::Lease;
use apimachinery::status::Status;
use apimachinery::time::MicroTime;
use apiserver::local::Local;
use jiff::Timestamp;

use sha2::{Digest, Sha256};

const NAMESPACE: &str = "kube-system";
const LEASE_SECONDS: i32 = 3600;
pub const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// How often leases of servers that are gone are looked for.
pub const COLLECT_INTERVAL: Duration = Duration::from_secs(3600);

const IDENTITY_LABEL: &str = "apiserver.kubernetes.io/identity";
const IDENTITY: &str = "kube-apiserver";
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// Who this server is: the same for a host, whichever its process; the holder is new for each start.
#[derive(Clone, Debug)]
pub struct Identity {
    hostname: String,
    name: String,
    holder: String,
}

impl Identity {
    pub fn of_this_host() -> Identity {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Identity::of(hostname.trim())
    }

    fn of(hostname: &str) -> Identity {
        let name = format!("apiserver-{}", fingerprint(hostname, IDENTITY));
        Identity {
            holder: format!("{name}_{}", uuid::Uuid::new_v4()),
            name,
            hostname: hostname.to_owned(),
        }
    }

    /// Makes or renews the lease.
    pub async fn renew(&self, local: &Local, now: Timestamp) -> Result<(), Status> {
        super::namespaces::ensure(local).await?;
        let mut lease = Lease::default();
        lease.metadata.name.clone_from(&self.name);
        lease.metadata.namespace = NAMESPACE.to_owned();
        self.fill(&mut lease, now);
        if super::ensure(local, lease).await? == super::Ensured::Created {
            return Ok(());
        }
        let renew = |lease: &mut Lease| self.fill(lease, now);
        local.update(NAMESPACE, &self.name, renew).await.map(drop)
    }

    fn fill(&self, lease: &mut Lease, now: Timestamp) {
        for (label, value) in [(IDENTITY_LABEL, IDENTITY), (HOSTNAME_LABEL, &self.hostname)] {
            lease.metadata.labels.insert(label.to_owned(), value.to_owned());
        }
        lease.spec.holder_identity = Some(self.holder.clone());
        lease.spec.lease_duration_seconds = Some(LEASE_SECONDS);
        lease.spec.renew_time = Some(MicroTime(now).truncated());
    }
}

/// Deletes the leases of servers that have not renewed theirs.
pub async fn collect(local: &Local, now: Timestamp) -> Result<(), Status> {
    for lease in local.list::<Lease>(NAMESPACE).await? {
        let of_server = lease.metadata.labels.get(IDENTITY_LABEL) == Some(&IDENTITY.to_owned());
        if !of_server || !is_over(&lease, now) {
            continue;
        }
        // Looked at once more: the list may be older than the holder's last renewal.
        let name = &lease.metadata.name;
        match local.get::<Lease>(NAMESPACE, name).await {
            Ok(lease) if is_over(&lease, now) => match local.delete::<Lease>(NAMESPACE, name).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => tracing::info!(lease = %name, "deleted the lease of a server that is gone"),
            },
            Err(status) if !status.is_not_found() => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

/// A lease without a time is no server's.
fn is_over(lease: &Lease, now: Timestamp) -> bool {
    let (Some(renewed), Some(seconds)) = (lease.spec.renew_time, lease.spec.lease_duration_seconds) else {
        return true;
    };
    let end = renewed
        .timestamp()
        .saturating_add(jiff::SignedDuration::from_secs(i64::from(seconds)));
    end.is_ok_and(|end| end < now)
}

/// Half a SHA-256 over the two texts, each after its length, in base 32: upstream's name for the same host.
fn fingerprint(hostname: &str, identity: &str) -> String {
    let mut hash = Sha256::new();
    for text in [hostname, identity] {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        hash.update(length.to_be_bytes());
        hash.update(text.as_bytes());
    }
    base32(&hash.finalize()[..16])
}

/// RFC 4648 in lower case, without padding.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let bit = |index: usize| {
        bytes
            .get(index / 8)
            .is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
    };
    (0..(bytes.len() * 8).div_ceil(5))
        .map(|digit| {
            let value = (0..5).fold(0, |value, place| value << 1 | usize::from(bit(digit * 5 + place)));
            char::from(ALPHABET[value])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fingerprints_of_hosts() {
        assert_eq!(base32(b"foobar"), "mzxw6ytboi");
        assert_eq!(base32(b"fo"), "mzxq");
        let (one, other) = (Identity::of("one"), Identity::of("other"));
        assert_eq!(one.name, Identity::of("one").name);
        assert_ne!(one.name, other.name);
        assert_eq!(one.name.len(), "apiserver-".len() + 26);
        assert!(one.holder.starts_with(&format!("{}_", one.name)));
    }

    #[test]
    fn leases_end() {
        let check = |renewed: Option<i64>, seconds: Option<i32>| {
            let mut lease = Lease::default();
            lease.spec.renew_time = renewed.map(|at| MicroTime(Timestamp::from_second(at).expect("a time")));
            lease.spec.lease_duration_seconds = seconds;
            is_over(&lease, Timestamp::from_second(10_000).expect("a time"))
        };
        assert!(!check(Some(6400), Some(3600)));
        assert!(check(Some(6399), Some(3600)));
        assert!(check(None, Some(3600)));
        assert!(check(Some(9999), None));
    }
}
