//! Pods run as a service account: one is named, exists, and its token is mounted.

mod token_volume;

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{LocalObjectReference, Pod, ServiceAccount};
use api::pod_references;
use apimachinery::status::Status;
use auth::Objects;
use component_base::clock::Clock;

use crate::plugin::Outcome;
use crate::{Attributes, Operation, Plugin, Review};

const DEFAULT: &str = "default";
pub(crate) const MIRROR_POD: &str = "kubernetes.io/config.mirror";
const ENFORCE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

/// A namespace's default account is made by a controller a moment after the namespace.
const DEFAULT_ATTEMPTS: u32 = 10;
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(150);

pub struct ServiceAccountPlugin {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
}

impl ServiceAccountPlugin {
    pub fn new(objects: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        Self { objects, clock }
    }

    async fn set(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(pod) = review.object_as_mut::<Pod>() else {
            return Ok(());
        };
        // The kubelet deletes a mirror pod that differs from its file.
        if pod.metadata.annotations.contains_key(MIRROR_POD) {
            return Ok(());
        }
        if pod.spec.service_account_name.is_empty() {
            pod.spec.service_account_name = DEFAULT.to_owned();
        }
        let account = self.account(attributes, pod).await?;
        if is_mounted(&account, pod) {
            token_volume::mount(pod);
        }
        if pod.spec.image_pull_secrets.is_empty() {
            let named = |secret: &LocalObjectReference| LocalObjectReference {
                name: secret.name.clone(),
            };
            pod.spec.image_pull_secrets = account.image_pull_secrets.iter().map(named).collect();
        }
        // The deprecated twin of the field, which old clients read.
        pod.spec.service_account = pod.spec.service_account_name.clone();
        Ok(())
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(pod) = review.object_as::<Pod>() else {
            return Ok(());
        };
        let refuse = |message: String| Err(attributes.forbidden(Some(pod), message));
        if pod.metadata.annotations.contains_key(MIRROR_POD) {
            return match mirror_pod_refusal(pod) {
                Some(message) => refuse(message.to_owned()),
                None => Ok(()),
            };
        }
        if pod.spec.service_account_name.is_empty() {
            return refuse(format!(
                "no service account specified for pod {}/{}",
                attributes.namespace, pod.metadata.name
            ));
        }
        let account = self.account(attributes, pod).await?;
        if !enforces_secrets(&account) {
            return Ok(());
        }
        match secret_refusal(&account, pod, attributes.subresource) {
            Some(message) => refuse(message),
            None => Ok(()),
        }
    }

    async fn account(&self, attributes: &Attributes<'_>, pod: &Pod) -> Result<Box<ServiceAccount>, Status> {
        let (namespace, name) = (attributes.namespace, pod.spec.service_account_name.as_str());
        let attempts = if name == DEFAULT { DEFAULT_ATTEMPTS } else { 1 };
        for attempt in 0..attempts {
            if attempt > 0 {
                self.clock.sleep(ATTEMPT_INTERVAL).await;
            }
            if let Some(account) = self.objects.find::<ServiceAccount>(namespace, name).await? {
                return Ok(account);
            }
        }
        let message =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        Err(attributes.forbidden(Some(pod), message))
    }
}

/// The pod's wish counts more than the account's.
fn is_mounted(account: &ServiceAccount, pod: &Pod) -> bool {
    pod.spec
        .automount_service_account_token
        .or(account.automount_service_account_token)
        .unwrap_or(true)
}

fn enforces_secrets(account: &ServiceAccount) -> bool {
    let value = account
        .metadata
        .annotations
        .get(ENFORCE_SECRETS)
        .map(String::as_str);
    matches!(value, Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// A node makes mirror pods by itself: they must not lead to anything in the API.
fn mirror_pod_refusal(pod: &Pod) -> Option<&'static str> {
    if !pod.spec.service_account_name.is_empty() {
        return Some("a mirror pod may not reference service accounts");
    }
    if !pod_references::secrets(pod).is_empty() {
        return Some("a mirror pod may not reference secrets");
    }
    let mut sources = pod
        .spec
        .volumes
        .iter()
        .flat_map(|volume| volume.volume_source.projected.iter().flat_map(|v| &v.sources));
    sources
        .any(|source| source.service_account_token.is_some())
        .then_some("a mirror pod may not use ServiceAccountToken volume projections")
}

/// With `kubernetes.io/enforce-mountable-secrets` a pod may use the secrets that its account lists.
fn secret_refusal(account: &ServiceAccount, pod: &Pod, subresource: &str) -> Option<String> {
    let name = &account.metadata.name;
    let listed = |secret: &str| account.secrets.iter().any(|reference| reference.name == secret);
    let used = pod_references::secrets(pod);
    let pulled: Vec<&str> = pod
        .spec
        .image_pull_secrets
        .iter()
        .map(|secret| secret.name.as_str())
        .collect();
    let not_listed = used
        .into_iter()
        .find(|secret| !listed(secret) && !pulled.contains(secret));
    if let Some(secret) = not_listed {
        return Some(format!(
            "secret {secret:?} is not allowed because service account {name} does not reference that secret"
        ));
    }
    if subresource == "ephemeralcontainers" {
        return None;
    }
    let may_pull = |secret: &str| {
        account
            .image_pull_secrets
            .iter()
            .any(|reference| reference.name == secret)
    };
    let (index, secret) = pulled.iter().enumerate().find(|(_, secret)| !may_pull(secret))?;
    Some(format!(
        "imagePullSecrets[{index}].name=\"{secret}\" is not allowed because service account {name} does not reference that imagePullSecret"
    ))
}

impl Plugin for ServiceAccountPlugin {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.operation == Operation::Create && attributes.is("", "pods", "") {
            // A refusal comes before those of the plugins that follow.
            return Box::pin(async move {
                self.set(attributes, review).await?;
                self.check(attributes, review).await
            });
        }
        crate::plugin::pass()
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        let is_create = attributes.operation == Operation::Create && attributes.is("", "pods", "");
        let adds_containers =
            attributes.operation == Operation::Update && attributes.is("", "pods", "ephemeralcontainers");
        if is_create || adds_containers {
            return Box::pin(self.check(attributes, review));
        }
        crate::plugin::pass()
    }
}

#[cfg(test)]
mod tests;
