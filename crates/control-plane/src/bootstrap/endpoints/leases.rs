//! The servers' leases: a key for each address, which the store drops when it is not renewed. They are no objects of
//! the API: they stand beside them in the store, where upstream's servers look for them too.

use std::sync::Arc;
use std::time::Duration;

use api::Message;
use api::codec::{TypeMeta, envelope};
use api::core::v1::{EndpointAddress, EndpointSubset, Endpoints};
use apimachinery::status::Status;
use apiserver::objects::failed;
use bytes::Bytes;
use storage::{Error, Expect, RangeRequest, Store, Write};

const PREFIX: &str = "/registry/masterleases/";
const TYPE: TypeMeta<'static> = TypeMeta {
    api_version: "v1",
    kind: "Endpoints",
};

/// A server that has not renewed its lease for so long is gone.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Clone)]
pub struct Leases {
    store: Arc<dyn Store>,
    time_to_live: Duration,
}

impl Leases {
    pub fn new(store: Arc<dyn Store>) -> Leases {
        Leases {
            store,
            time_to_live: TIME_TO_LIVE,
        }
    }

    /// Takes or renews the lease of an address.
    pub async fn renew(&self, address: &str) -> Result<(), Status> {
        let key = key(address);
        loop {
            let (_, standing) = self.store.get(key.as_bytes(), None).await.map_err(status)?;
            let (expect, mut lease) = match &standing {
                Some(standing) => (
                    Expect::Unchanged(standing.mod_revision),
                    decode(&standing.value.bytes())?,
                ),
                None => (Expect::Absent, Endpoints::default()),
            };
            lease.subsets = vec![EndpointSubset {
                addresses: vec![EndpointAddress {
                    ip: address.to_owned(),
                    ..EndpointAddress::default()
                }],
                ..EndpointSubset::default()
            }];
            // Upstream's servers write nothing that does not change, and so do not renew.
            lease.metadata.generation += 1;
            let write = Write::Put {
                value: Bytes::from(envelope::wrap(TYPE, &lease.encode_to_vec())),
                ttl: Some(self.time_to_live),
            };
            match self.store.commit(key.as_bytes(), expect, write).await {
                Ok(_) => return Ok(()),
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(status(error)),
            }
        }
    }

    /// Gives a lease back; `false` if there was none.
    pub async fn remove(&self, address: &str) -> Result<bool, Status> {
        let key = key(address);
        loop {
            let (_, standing) = self.store.get(key.as_bytes(), None).await.map_err(status)?;
            let Some(standing) = standing else {
                return Ok(false);
            };
            let expect = Expect::Unchanged(standing.mod_revision);
            match self.store.commit(key.as_bytes(), expect, Write::Delete).await {
                Ok(_) => return Ok(true),
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(status(error)),
            }
        }
    }

    /// The addresses of all leases.
    pub async fn addresses(&self) -> Result<Vec<String>, Status> {
        let request = RangeRequest {
            prefix: PREFIX.into(),
            ..RangeRequest::default()
        };
        let leases = self.store.range(request).await.map_err(status)?.items;
        let mut addresses = Vec::with_capacity(leases.len());
        for lease in leases {
            let lease = decode(&lease.value.bytes())?;
            let address = lease.subsets.first().and_then(|subset| subset.addresses.first());
            addresses.extend(
                address
                    .map(|address| address.ip.clone())
                    .filter(|ip| !ip.is_empty()),
            );
        }
        Ok(addresses)
    }
}

fn key(address: &str) -> String {
    format!("{PREFIX}{address}")
}

fn status(error: Error) -> Status {
    failed(&error)
}

fn decode(value: &[u8]) -> Result<Endpoints, Status> {
    let raw = envelope::unwrap(value).map_err(Status::internal)?;
    Endpoints::decode(raw.raw).map_err(Status::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn leases_are_renewed_listed_and_given_back() {
        let store = storage::memory::open(storage::memory::Options::default()).expect("a store");
        let leases = Leases::new(Arc::new(store));
        for address in ["10.0.0.2", "10.0.0.1", "10.0.0.2"] {
            leases.renew(address).await.expect("renewed");
        }
        assert_eq!(
            leases.addresses().await.expect("listed"),
            ["10.0.0.1", "10.0.0.2"]
        );
        assert!(leases.remove("10.0.0.2").await.expect("removed"));
        assert!(!leases.remove("10.0.0.2").await.expect("gone already"));
        assert_eq!(leases.addresses().await.expect("listed"), ["10.0.0.1"]);
    }
}
