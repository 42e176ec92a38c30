//! Makes sure that a container's image is there. Upstream: `images/image_manager.go`.

use super::{credentials, name};
use crate::{events::Events, metrics::Metrics, security::ImageUser, sync::back_off::BackOff};
use api::core::v1::{Container, Pod, Secret};
use component_base::clock::Clock;
use cri_api::{Error as CriError, Runtime, v1};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

const INITIAL_BACK_OFF: Duration = Duration::from_secs(10);
const MAX_BACK_OFF: Duration = Duration::from_secs(300);

/// Why there is no image: the reason that the container's status shows, and the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub reason: &'static str,
    pub message: String,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// The id by which the runtime is told to use it.
    pub reference: String,
    pub user: ImageUser,
}

pub struct Images {
    runtime: Arc<dyn Runtime>,
    events: Events,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// As many pulls as may run at once.
    pulls: Semaphore,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    back_off: BackOff,
    /// The last failure by key, to be shown while waiting.
    failures: HashMap<String, String>,
}

impl Images {
    pub fn new(
        runtime: Arc<dyn Runtime>,
        events: Events,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        parallel_pulls: usize,
    ) -> Self {
        let waiting = Waiting {
            back_off: BackOff::new(INITIAL_BACK_OFF, MAX_BACK_OFF),
            failures: HashMap::new(),
        };
        Self {
            runtime,
            events,
            clock,
            metrics,
            pulls: Semaphore::new(parallel_pulls),
            waiting: Mutex::new(waiting),
        }
    }

    /// The image of the container, pulled if its policy says so. `secrets` are the pod's pull secrets.
    pub async fn ensure(
        &self,
        pod: &Pod,
        container: &Container,
        secrets: &[Arc<Secret>],
        sandbox: &v1::PodSandboxConfig,
    ) -> Result<Present, Failure> {
        let requested = &container.image;
        let image = name::with_default_tag(requested).map_err(|error| {
            let message = format!("Failed to apply default image tag {requested:?}: {error}");
            self.events
                .container_warning(pod, &container.name, "InspectFailed", &message);
            Failure {
                reason: "InvalidImageName",
                message,
            }
        })?;
        let policy = policy(container, &image);
        if policy != "Always" {
            let found = self.inspect(pod, container, &image).await?;
            if let Some(present) = found {
                let message = format!(
                    "Container image {requested:?} already present on machine and can be accessed by the pod"
                );
                self.events
                    .container_normal(pod, &container.name, "Pulled", message);
                return Ok(present);
            }
            if policy == "Never" {
                let message =
                    format!("Container image {requested:?} is not present with pull policy of Never");
                self.events
                    .container_warning(pod, &container.name, "ErrImageNeverPull", &message);
                return Err(Failure {
                    reason: "ErrImageNeverPull",
                    message,
                });
            }
        }
        self.pull_in_turn(pod, container, &image, secrets, sandbox)
            .await?;
        match self.inspect(pod, container, &image).await? {
            Some(present) => Ok(present),
            None => {
                let message = format!("image {image:?} is not there after it was pulled");
                Err(Failure {
                    reason: "ErrImagePull",
                    message,
                })
            }
        }
    }

    async fn inspect(
        &self,
        pod: &Pod,
        container: &Container,
        image: &str,
    ) -> Result<Option<Present>, Failure> {
        self.status(image).await.map_err(|error| {
            let message = format!("Failed to inspect image {image:?}: {error}");
            self.events
                .container_warning(pod, &container.name, "InspectFailed", &message);
            Failure {
                reason: "ImageInspectError",
                message,
            }
        })
    }

    async fn status(&self, image: &str) -> Result<Option<Present>, CriError> {
        let spec = v1::ImageSpec {
            image: image.to_owned(),
            ..v1::ImageSpec::default()
        };
        let response = self
            .runtime
            .image_status(v1::ImageStatusRequest {
                image: Some(spec),
                verbose: false,
            })
            .await?;
        Ok(response.image.map(|image| Present {
            reference: image.id,
            user: user(image.uid.map(|uid| uid.value), image.username),
        }))
    }

    async fn pull_in_turn(
        &self,
        pod: &Pod,
        container: &Container,
        image: &str,
        secrets: &[Arc<Secret>],
        sandbox: &v1::PodSandboxConfig,
    ) -> Result<(), Failure> {
        let key = format!("{}_{image}", pod.metadata.uid);
        if let Some(failure) = self.must_wait(&key, image) {
            let message = format!("Back-off pulling image {image:?}");
            self.events
                .container_normal(pod, &container.name, "BackOff", message);
            return Err(failure);
        }
        self.events.container_normal(
            pod,
            &container.name,
            "Pulling",
            format!("Pulling image {image:?}"),
        );
        let asked = self.clock.monotonic();
        let turn = self.pulls.acquire().await.map_err(|_| Failure {
            reason: "ErrImagePull",
            message: "the kubelet is shutting down".into(),
        })?;
        let begun = self.clock.monotonic();
        let result = self.pull(image, secrets, sandbox).await;
        drop(turn);
        let now = self.clock.monotonic();
        match result {
            Ok(size) => {
                let message = format!(
                    "Successfully pulled image {image:?} in {} ({} including waiting). Image size: {size} bytes.",
                    crate::duration::go_duration(now.saturating_sub(begun)),
                    crate::duration::go_duration(now.saturating_sub(asked)),
                );
                self.events
                    .container_normal(pod, &container.name, "Pulled", message);
                self.metrics.image_pulled(now.saturating_sub(asked), size);
                self.lock().back_off.collect(now);
                Ok(())
            }
            Err(error) => {
                let message = format!("Failed to pull image {image:?}: {error}");
                self.events
                    .container_warning(pod, &container.name, "Failed", message);
                let failure = pull_failure(image, &error);
                let mut waiting = self.lock();
                waiting.back_off.next(&key, now);
                waiting
                    .failures
                    .insert(key, format!("{}: {}", failure.reason, failure.message));
                Err(failure)
            }
        }
    }

    /// The failure to show while an image that couldn't be pulled is left alone.
    fn must_wait(&self, key: &str, image: &str) -> Option<Failure> {
        let now = self.clock.monotonic();
        let mut waiting = self.lock();
        if waiting.back_off.remaining_since_update(key, now).is_none() {
            waiting.failures.remove(key);
            return None;
        }
        let mut message = format!("Back-off pulling image {image:?}");
        if let Some(previous) = waiting.failures.get(key) {
            message = format!("{message}: {previous}");
        }
        Some(Failure {
            reason: "ImagePullBackOff",
            message,
        })
    }

    /// How long until a pull of the image is tried again.
    pub fn retry_after(&self, pod_uid: &str, image: &str) -> Option<Duration> {
        let image = name::with_default_tag(image).ok()?;
        let now = self.clock.monotonic();
        self.lock()
            .back_off
            .remaining_since_update(&format!("{pod_uid}_{image}"), now)
    }

    /// Tries each credential, or none if there are none, and gives the image's size.
    async fn pull(
        &self,
        image: &str,
        secrets: &[Arc<Secret>],
        sandbox: &v1::PodSandboxConfig,
    ) -> Result<u64, CriError> {
        let mut auths: Vec<Option<v1::AuthConfig>> =
            credentials::for_image(image, secrets.iter().map(AsRef::as_ref))
                .into_iter()
                .map(Some)
                .collect();
        if auths.is_empty() {
            auths.push(None);
        }
        let spec = v1::ImageSpec {
            image: image.to_owned(),
            ..v1::ImageSpec::default()
        };
        let mut last = None;
        for auth in auths {
            let request = v1::PullImageRequest {
                image: Some(spec.clone()),
                auth,
                sandbox_config: Some(sandbox.clone()),
            };
            match self.runtime.pull_image(request).await {
                Ok(_) => return self.size(&spec).await,
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or(CriError::Rpc {
            code: cri_api::error::Code::Unknown,
            message: "nothing tried".into(),
        }))
    }

    async fn size(&self, spec: &v1::ImageSpec) -> Result<u64, CriError> {
        let request = v1::ImageStatusRequest {
            image: Some(spec.clone()),
            verbose: false,
        };
        Ok(self
            .runtime
            .image_status(request)
            .await?
            .image
            .map_or(0, |image| image.size))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An image that names no user runs as root.
fn user(uid: Option<i64>, name: String) -> ImageUser {
    ImageUser {
        uid: uid.or(name.is_empty().then_some(0)),
        name,
    }
}

/// Without a policy, `latest` is pulled always and anything else once.
fn policy<'a>(container: &'a Container, image: &str) -> &'a str {
    match container.image_pull_policy.as_str() {
        "" if image.ends_with(":latest") => "Always",
        "" => "IfNotPresent",
        policy => policy,
    }
}

fn pull_failure(image: &str, error: &CriError) -> Failure {
    let text = error.message();
    for (reason, words) in [
        ("RegistryUnavailable", "the registry is unavailable"),
        ("SignatureValidationFailed", "the signature validation failed"),
    ] {
        if let Some(detail) = text.strip_prefix(reason) {
            return Failure {
                reason,
                message: format!("image pull failed for {image} because {words}{detail}"),
            };
        }
    }
    Failure {
        reason: "ErrImagePull",
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_upstream_s_reasons() {
        let rpc = |message: &str| CriError::Rpc {
            code: cri_api::error::Code::Unknown,
            message: message.into(),
        };
        let failure = pull_failure("x", &rpc("RegistryUnavailable: down"));
        assert_eq!(
            failure.message,
            "image pull failed for x because the registry is unavailable: down"
        );
        let failure = pull_failure("x", &rpc("no such host"));
        assert_eq!(
            (failure.reason, failure.message.as_str()),
            ("ErrImagePull", "rpc error: code = Unknown desc = no such host")
        );
    }
}
