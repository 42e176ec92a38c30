//! Service account tokens for pods, renewed before they expire. Upstream: `pkg/kubelet/token`.

use api::{
    authentication::v1::{BoundObjectReference, TokenRequest},
    core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection},
};
use client::Client;
use component_base::clock::Clock;
use jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Tokens are renewed after this part of their life, or after a day if that is sooner.
const RENEW_AFTER_PERCENT: i64 = 80;
const MAX_AGE: i64 = 24 * 60 * 60;
/// Tokens held; what is over this is dropped, oldest expiry first.
const CAPACITY: usize = 4096;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    pod_uid: String,
    namespace: String,
    account: String,
    audience: String,
    seconds: i64,
}

#[derive(Debug, Clone)]
struct Held {
    token: String,
    renew_at: Timestamp,
    expires: Timestamp,
}

pub struct Tokens {
    client: Client,
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<Key, Held>>,
}

impl Tokens {
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            held: Mutex::default(),
        }
    }

    /// A token that still is good for a while.
    pub async fn get(&self, pod: &Pod, projection: &ServiceAccountTokenProjection) -> Result<String, String> {
        let meta = &pod.metadata;
        let key = Key {
            pod_uid: meta.uid.clone(),
            namespace: meta.namespace.clone(),
            account: pod.spec.service_account_name.clone(),
            audience: projection.audience.clone(),
            seconds: projection.expiration_seconds.unwrap_or(3600),
        };
        let now = self.clock.now();
        let held = self.lock().get(&key).cloned();
        if let Some(held) = held.as_ref().filter(|held| now < held.renew_at) {
            return Ok(held.token.clone());
        }
        match self.request(pod, &key).await {
            Ok(fresh) => {
                let token = fresh.token.clone();
                self.keep(key, fresh, now);
                Ok(token)
            }
            // The old one serves for as long as it lasts.
            Err(error) => match held.filter(|held| now < held.expires) {
                Some(held) => {
                    tracing::warn!(account = %key.account, error, "cannot renew token, keeping the old one");
                    Ok(held.token)
                }
                None => Err(format!("failed to fetch token: {error}")),
            },
        }
    }

    async fn request(&self, pod: &Pod, key: &Key) -> Result<Held, String> {
        let mut request = TokenRequest::default();
        request.spec.audiences = Some(key.audience.clone())
            .filter(|audience| !audience.is_empty())
            .into_iter()
            .collect();
        request.spec.expiration_seconds = Some(key.seconds);
        request.spec.bound_object_ref = Some(Box::new(BoundObjectReference {
            kind: "Pod".into(),
            api_version: "v1".into(),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        }));
        let api = self.client.api::<ServiceAccount>().namespace(&key.namespace);
        let answer: TokenRequest = api
            .create_subresource(&key.account, "token", &request)
            .await
            .map_err(|error| error.to_string())?;
        let expires = answer
            .status
            .expiration_timestamp
            .map_or_else(|| self.clock.now(), |time| time.timestamp());
        let issued = self.clock.now();
        let life = expires.as_second() - issued.as_second();
        let renew_in = (life * RENEW_AFTER_PERCENT / 100).clamp(0, MAX_AGE);
        let renew_at = issued.saturating_add(Duration::from_secs(u64::try_from(renew_in).unwrap_or(0)));
        Ok(Held {
            token: answer.status.token,
            renew_at: renew_at.unwrap_or(issued),
            expires,
        })
    }

    fn keep(&self, key: Key, fresh: Held, now: Timestamp) {
        let mut held = self.lock();
        held.retain(|_, held| now < held.expires);
        while held.len() >= CAPACITY {
            let Some(first) = held
                .iter()
                .min_by_key(|(_, held)| held.expires)
                .map(|(key, _)| key.clone())
            else {
                break;
            };
            held.remove(&first);
        }
        held.insert(key, fresh);
    }

    pub fn forget(&self, pod_uid: &str) {
        self.lock().retain(|key, _| key.pod_uid != pod_uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
