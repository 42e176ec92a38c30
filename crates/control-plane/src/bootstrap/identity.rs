//! The Lease that tells that this server is there, and since when.

use std::time::Duration;

use api::coordination::v1::Lease;
use apimachinery::status::Status;
use apimachinery::time::MicroTime;
use apiserver::local::Local;
use jiff::Timestamp;

const NAMESPACE: &str = "kube-system";
const LEASE_SECONDS: i32 = 3600;
pub const RENEW_INTERVAL: Duration = Duration::from_secs(10);

const IDENTITY_LABEL: &str = "apiserver.kubernetes.io/identity";
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// Who this server is: stable for a host, new for each start.
#[derive(Clone, Debug)]
pub struct Identity {
    hostname: String,
    name: String,
    holder: String,
}

impl Identity {
    pub fn new() -> Identity {
        let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_default()
            .trim()
            .to_lowercase();
        // A name-based identity, so that a restart on the same host takes its own lease over.
        let id = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("apiserver-{}", fingerprint(&hostname));
        Identity {
            holder: format!("{name}_{id}"),
            name,
            hostname,
        }
    }

    /// Makes or renews the lease.
    pub async fn renew(&self, local: &Local, now: Timestamp) -> Result<(), Status> {
        super::namespaces::ensure(local).await?;
        let mut lease = Lease::default();
        lease.metadata.name.clone_from(&self.name);
        lease.metadata.namespace = NAMESPACE.to_owned();
        lease
            .metadata
            .labels
            .insert(IDENTITY_LABEL.to_owned(), "kube-apiserver".to_owned());
        lease
            .metadata
            .labels
            .insert(HOSTNAME_LABEL.to_owned(), self.hostname.clone());
        lease.spec.acquire_time = Some(MicroTime(now));
        super::ensure(local, lease).await?;
        let renew = |lease: &mut Lease| {
            lease.spec.holder_identity = Some(self.holder.clone());
            lease.spec.lease_duration_seconds = Some(LEASE_SECONDS);
            lease.spec.renew_time = Some(MicroTime(now));
        };
        local.update(NAMESPACE, &self.name, renew).await.map(drop)
    }
}

/// FNV-1a over a text, in lower-case letters and digits.
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
