//! Nothing is made in a namespace that is missing or on its way out; some namespaces stay for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::core::v1::Namespace;
use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use auth::Objects;
use component_base::clock::Clock;

use crate::plugin::Outcome;
use crate::{Attributes, Operation, Plugin, Review};

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];
const TERMINATING: &str = "Terminating";

/// How long a namespace whose deletion was seen is read from the store: the cache may lag behind.
const DISTRUST: Duration = Duration::from_secs(30);
const MAX_DISTRUSTED: usize = 100;

pub struct NamespaceLifecycle {
    objects: Arc<dyn Objects>,
    clock: Arc<dyn Clock>,
    /// Namespaces not to be believed by the cache, until when.
    distrusted: Mutex<HashMap<String, Duration>>,
}

impl NamespaceLifecycle {
    pub fn new(objects: Arc<dyn Objects>, clock: Arc<dyn Clock>) -> Self {
        Self {
            objects,
            clock,
            distrusted: Mutex::default(),
        }
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        let is_namespace = attributes.kind.group.is_empty() && attributes.kind.kind == "Namespace";
        if is_namespace {
            return self.check_namespace(attributes);
        }
        let exempt = attributes.operation == Operation::Delete || is_access_review(attributes);
        if attributes.namespace.is_empty() || exempt {
            return Ok(());
        }
        let namespace = self.namespace(attributes.namespace).await?;
        if attributes.operation != Operation::Create || namespace.status.phase != TERMINATING {
            return Ok(());
        }
        let name = attributes.namespace;
        let message =
            format!("unable to create new content in namespace {name} because it is being terminated");
        let refusal = attributes.forbidden(review.object(), message);
        Err(refusal.with_cause(
            "NamespaceTerminating",
            format!("namespace {name} is being terminated"),
            "metadata.namespace",
        ))
    }

    fn check_namespace(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        if attributes.operation != Operation::Delete {
            return Ok(());
        }
        if IMMORTAL.contains(&attributes.name) {
            let resource = attributes.group_resource();
            return Err(Status::forbidden(
                &resource,
                attributes.name,
                "this namespace may not be deleted",
            ));
        }
        self.distrust(attributes.name);
        Ok(())
    }

    fn distrust(&self, name: &str) {
        let now = self.clock.monotonic();
        let mut distrusted = self.distrusted.lock().unwrap_or_else(PoisonError::into_inner);
        if distrusted.len() >= MAX_DISTRUSTED {
            distrusted.retain(|_, until| *until > now);
        }
        if distrusted.len() < MAX_DISTRUSTED {
            distrusted.insert(name.to_owned(), now + DISTRUST);
        }
    }

    fn is_distrusted(&self, name: &str) -> bool {
        let distrusted = self.distrusted.lock().unwrap_or_else(PoisonError::into_inner);
        distrusted
            .get(name)
            .is_some_and(|until| *until > self.clock.monotonic())
    }

    /// From the cache, or from the store if it is not there or may have changed.
    async fn namespace(&self, name: &str) -> Result<Box<Namespace>, Status> {
        if let Some(namespace) = self.objects.cached::<Namespace>("", name)
            && (namespace.status.phase == TERMINATING || !self.is_distrusted(name))
        {
            return Ok(namespace);
        }
        let not_found = || {
            Status::not_found(
                &GroupResource {
                    group: String::new(),
                    resource: "namespaces".to_owned(),
                },
                name,
            )
        };
        self.objects
            .live::<Namespace>("", name)
            .await?
            .ok_or_else(not_found)
    }
}

/// Such a review asks about a namespace; the answer must not tell whether it is there.
fn is_access_review(attributes: &Attributes<'_>) -> bool {
    attributes.resource.group == "authorization.k8s.io"
        && attributes.resource.resource == "localsubjectaccessreviews"
}

impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Connect
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        Box::pin(self.check(attributes, review))
    }
}

#[cfg(test)]
mod tests;
