//! The scale of whatever an autoscaler is for, of any kind that has one.
//!
//! Upstream: staging/src/k8s.io/client-go/scale

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::Message;
use api::autoscaling::v1::Scale;
use api::autoscaling::v2::CrossVersionObjectReference;
use apimachinery::gvk::GroupVersionResource;
use client::discovery::{self, ServedResource};
use client::request::{JSON, Request};
use client::{Client, ResourcePath, Scope};
use component_base::clock::Clock;
use http::Method;
use std::sync::Arc;

/// How long what the server serves is taken to be as it was.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// How often a write is tried anew when somebody else was faster.
const WRITE_ATTEMPTS: u32 = 5;
const WRITE_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unexpected GroupVersion string: {0}")]
    Version(String),
    #[error("no matches for kind {kind:?} in group {group:?}")]
    UnknownKind { group: String, kind: String },
    #[error(transparent)]
    Client(#[from] client::Error),
}

/// Reads and writes scales.
pub struct Scales {
    client: Client,
    clock: Arc<dyn Clock>,
    /// When it was read, and what it was.
    served: Mutex<Option<(Duration, Arc<Vec<ServedResource>>)>>,
}

/// Where a target's scale is.
pub struct Target {
    path: String,
}

/// The group of `group/version`; empty for the core group.
pub fn group_of(api_version: &str) -> Result<&str, Error> {
    let mut parts = api_version.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (_, None, _) => Ok(""),
        (Some(group), Some(_), None) => Ok(group),
        _ => Err(Error::Version(api_version.to_owned())),
    }
}

impl Scales {
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Scales {
            client,
            clock,
            served: Mutex::new(None),
        }
    }

    /// The resource of a kind, in the version that its group prefers.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<GroupVersionResource, Error> {
        let group = group_of(api_version)?;
        let served = self.served().await?;
        let found = served
            .iter()
            .find(|row| row.gvr.group == group && row.kind == kind);
        found
            .map(|row| row.gvr.clone())
            .ok_or_else(|| Error::UnknownKind {
                group: group.to_owned(),
                kind: kind.to_owned(),
            })
    }

    async fn served(&self) -> Result<Arc<Vec<ServedResource>>, Error> {
        let now = self.clock.monotonic();
        let lock = || self.served.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().clone();
        if let Some((at, served)) = known
            && now.saturating_sub(at) < DISCOVERY_PERIOD
        {
            return Ok(served);
        }
        let discovered = discovery::preferred_resources(&self.client).await?;
        let served = Arc::new(discovered.resources);
        *lock() = Some((now, served.clone()));
        Ok(served)
    }

    pub async fn get(
        &self,
        namespace: &str,
        reference: &CrossVersionObjectReference,
    ) -> Result<(Target, Scale), Error> {
        let gvr = self.resource(&reference.api_version, &reference.kind).await?;
        let path = ResourcePath::new(gvr, Scope::Namespace(namespace.to_owned()));
        let target = Target {
            path: path.subresource(&reference.name, "scale"),
        };
        let scale = self.read(&target).await?;
        Ok((target, scale))
    }

    async fn read(&self, target: &Target) -> Result<Scale, client::Error> {
        let request = Request::get(target.path.clone()).accept(JSON);
        let response = self.client.send(request).await?;
        Scale::from_json(&response.body).map_err(|error| client::Error::Decode(error.to_string()))
    }

    /// Sets the number of pods, on top of what others changed meanwhile.
    pub async fn set(&self, target: &Target, mut scale: Scale, replicas: i32) -> Result<(), client::Error> {
        let mut attempt = 1;
        loop {
            scale.spec.replicas = replicas;
            let request = Request::new(Method::PUT, target.path.clone());
            let request = request.body(JSON, scale.to_json()).accept(JSON);
            match self.client.send(request).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_conflict() && attempt < WRITE_ATTEMPTS => {
                    attempt += 1;
                    self.clock.sleep(WRITE_PAUSE).await;
                    scale = self.read(target).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_versions() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(group_of(text).ok(), expected, "{text}");
        check("v1", Some(""));
        check("apps/v1", Some("apps"));
        check("a/b/c", None);
        check("", Some(""));
    }
}
