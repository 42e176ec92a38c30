//! Pods keep to the Pod Security Standard that their namespace asks for.
//!
//! [`policy`] reads the namespace's labels, [`baseline`] and [`restricted`] hold the checks.

mod baseline;
mod policy;
mod restricted;
mod view;

use std::sync::Arc;

use api::Object;
use api::core::v1::{Namespace, Pod, PodSpec};
use api::meta::v1::ObjectMeta;
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use auth::Objects;
use component_base::metrics::{IntCounterVec, Registry};

use crate::plugin::{Outcome, done, pass};
use crate::{Attributes, Operation, Plugin, Review};
use policy::{Level, Policy, Standard};
use view::View;

/// Subresources that leave the pod's containers as they are.
const IGNORED: [&str; 9] = [
    "exec",
    "attach",
    "binding",
    "eviction",
    "log",
    "portforward",
    "proxy",
    "status",
    "resize",
];
/// Pods to look at when a namespace becomes stricter, for a warning.
const MAX_PODS_TO_WARN_OF: usize = 3000;

/// What a standard is evaluated for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Enforce,
    Audit,
    Warn,
}

impl Mode {
    fn label(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
            Self::Warn => "warn",
        }
    }
}

pub struct PodSecurity {
    objects: Arc<dyn Objects>,
    evaluations: IntCounterVec,
}

/// Every violation of a standard: a reason with its detail, baseline first.
fn violations(standard: Standard, metadata: &ObjectMeta, spec: &PodSpec) -> Vec<String> {
    if standard.level == Level::Privileged {
        return Vec::new();
    }
    let view = View::new(metadata, spec, standard);
    let mut found = baseline::check(&view);
    if standard.level == Level::Restricted {
        found.extend(restricted::check(&view));
    }
    found
        .into_iter()
        .map(|violation| format!("{} ({})", violation.reason, violation.detail))
        .collect()
}

impl PodSecurity {
    pub fn new(objects: Arc<dyn Objects>, metrics: &Registry) -> Self {
        let evaluations = metrics.counter_vec(
            "pod_security_evaluations_total",
            "[STABLE] Number of policy evaluations that occurred, not counting ignored or exempt requests.",
            &[
                "decision",
                "mode",
                "policy_level",
                "policy_version",
                "request_operation",
                "resource",
                "subresource",
            ],
        );
        Self { objects, evaluations }
    }

    fn count(&self, attributes: &Attributes<'_>, mode: Mode, standard: Standard, broken: &[String]) {
        let decision = if broken.is_empty() { "allow" } else { "deny" };
        // What is allowed counts where it is enforced alone.
        if broken.is_empty() && mode != Mode::Enforce {
            return;
        }
        let text = standard.to_string();
        let (level, version) = text.split_once(':').unwrap_or((&text, ""));
        let resource = if attributes.resource.resource == "pods" {
            "pod"
        } else {
            "controller"
        };
        let operation = if attributes.operation == Operation::Create {
            "create"
        } else {
            "update"
        };
        let labels = [
            decision,
            mode.label(),
            level,
            version,
            operation,
            resource,
            attributes.subresource,
        ];
        self.evaluations.with_label_values(&labels).inc();
    }

    async fn check_pod(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(policy) = self.policy(attributes).await? else {
            return Ok(());
        };
        let Some(pod) = review.object_as::<Pod>() else {
            return Ok(());
        };
        if attributes.operation == Operation::Update
            && review
                .old_as::<Pod>()
                .is_some_and(|old| !images_changed(&pod.spec, &old.spec))
        {
            return Ok(());
        }
        let broken = violations(policy.enforce, &pod.metadata, &pod.spec);
        self.count(attributes, Mode::Enforce, policy.enforce, &broken);
        if !broken.is_empty() {
            let message = format!(
                "violates PodSecurity \"{}\": {}",
                policy.enforce,
                broken.join(", ")
            );
            return Err(attributes.forbidden(Some(pod), message));
        }
        let warned = violations(policy.warn, &pod.metadata, &pod.spec);
        let audited = violations(policy.audit, &pod.metadata, &pod.spec);
        self.count(attributes, Mode::Audit, policy.audit, &audited);
        self.count(attributes, Mode::Warn, policy.warn, &warned);
        tell(review, &policy, &warned, &audited);
        Ok(())
    }

    /// What makes pods is warned of, never refused: its pods will be.
    async fn check_template(
        &self,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let Some(policy) = self.policy(attributes).await? else {
            return Ok(());
        };
        let Some((metadata, spec)) = review.object().and_then(template) else {
            return Ok(());
        };
        let warned = violations(policy.warn, metadata, spec);
        let audited = violations(policy.audit, metadata, spec);
        self.count(attributes, Mode::Audit, policy.audit, &audited);
        self.count(attributes, Mode::Warn, policy.warn, &warned);
        tell(review, &policy, &warned, &audited);
        Ok(())
    }

    /// The policy of the request's namespace, unless it lets everything pass.
    async fn policy(&self, attributes: &Attributes<'_>) -> Result<Option<Policy>, Status> {
        let name = attributes.namespace;
        let namespace = self.objects.find::<Namespace>("", name).await?;
        let namespace =
            namespace.ok_or_else(|| Status::internal(format!("failed to lookup namespace {name:?}")))?;
        let (policy, _) = Policy::of(&namespace.metadata.labels);
        Ok(Some(policy).filter(|policy| !policy.is_privileged()))
    }

    fn check_namespace(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(namespace) = review.object_as::<Namespace>() else {
            return Ok(());
        };
        let (policy, errors) = Policy::of(&namespace.metadata.labels);
        let before = review
            .old_as::<Namespace>()
            .map(|old| Policy::of(&old.metadata.labels));
        let known = before.as_ref().is_some_and(|(_, old)| {
            errors
                .iter()
                .map(ToString::to_string)
                .eq(old.iter().map(ToString::to_string))
        });
        if !errors.is_empty() && !known {
            let kind = GroupKind {
                group: String::new(),
                kind: "Namespace".to_owned(),
            };
            return Err(Status::invalid(&kind, &namespace.metadata.name, errors));
        }
        let Some((before, _)) = before.filter(|_| attributes.operation == Operation::Update) else {
            return Ok(());
        };
        let relaxed =
            policy.enforce.version == before.enforce.version && policy.enforce.level <= before.enforce.level;
        if policy.enforce == before.enforce || relaxed || policy.enforce.level == Level::Privileged {
            return Ok(());
        }
        let warnings = self.warnings_of(&namespace.metadata.name, policy.enforce);
        review.warnings.extend(warnings);
        Ok(())
    }

    /// The pods that run and would not be let in any more.
    fn warnings_of(&self, namespace: &str, standard: Standard) -> Vec<String> {
        let pods = self
            .objects
            .cached_all::<Pod>(namespace)
            .into_iter()
            .take(MAX_PODS_TO_WARN_OF);
        let broken = pods.filter_map(|pod| {
            let found = violations(standard, &pod.metadata, &pod.spec);
            let reasons: Vec<&str> = found
                .iter()
                .map(|text| text.split(" (").next().unwrap_or(text))
                .collect();
            (!reasons.is_empty()).then(|| format!("{}: {}", pod.metadata.name, reasons.join(", ")))
        });
        let mut warnings: Vec<String> = broken.collect();
        if !warnings.is_empty() {
            let head = format!(
                "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\""
            );
            warnings.insert(0, head);
        }
        warnings
    }
}

fn tell(review: &mut Review<'_>, policy: &Policy, warned: &[String], audited: &[String]) {
    let would = |standard: Standard, found: &[String]| {
        format!("would violate PodSecurity \"{standard}\": {}", found.join(", "))
    };
    if !warned.is_empty() {
        review.warnings.push(would(policy.warn, warned));
    }
    if !audited.is_empty() {
        review.annotations.push((
            "pod-security.kubernetes.io/audit-violations".to_owned(),
            would(policy.audit, audited),
        ));
    }
}

/// The pods that an object makes.
fn template(object: &dyn Object) -> Option<(&ObjectMeta, &PodSpec)> {
    use api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
    use api::batch::v1::{CronJob, Job};
    use api::core::v1::{PodTemplate, ReplicationController};
    let template = if let Some(object) = object.downcast_ref::<Deployment>() {
        &object.spec.template
    } else if let Some(object) = object.downcast_ref::<ReplicaSet>() {
        &object.spec.template
    } else if let Some(object) = object.downcast_ref::<DaemonSet>() {
        &object.spec.template
    } else if let Some(object) = object.downcast_ref::<StatefulSet>() {
        &object.spec.template
    } else if let Some(object) = object.downcast_ref::<Job>() {
        &object.spec.template
    } else if let Some(object) = object.downcast_ref::<CronJob>() {
        &object.spec.job_template.spec.template
    } else if let Some(object) = object.downcast_ref::<PodTemplate>() {
        &object.template
    } else {
        object
            .downcast_ref::<ReplicationController>()?
            .spec
            .template
            .as_deref()?
    };
    Some((&template.metadata, &template.spec))
}

/// Of a pod that exists, images and ephemeral containers are all that can change and matter.
fn images_changed(new: &PodSpec, old: &PodSpec) -> bool {
    let images = |spec: &PodSpec| -> Vec<(String, String)> {
        let plain = spec
            .init_containers
            .iter()
            .chain(&spec.containers)
            .map(|c| (c.name.clone(), c.image.clone()));
        let ephemeral = spec
            .ephemeral_containers
            .iter()
            .map(|c| &c.ephemeral_container_common);
        plain
            .chain(ephemeral.map(|c| (c.name.clone(), c.image.clone())))
            .collect()
    };
    images(new) != images(old)
}

impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        let resource = attributes.resource.resource.as_str();
        match (
            attributes.resource.group.as_str(),
            resource,
            attributes.subresource,
        ) {
            ("", "namespaces", "") => done(self.check_namespace(attributes, review)),
            ("", "pods", subresource) if !IGNORED.contains(&subresource) => {
                Box::pin(self.check_pod(attributes, review))
            }
            ("", "replicationcontrollers" | "podtemplates", "") | ("apps" | "batch", _, "") => {
                Box::pin(self.check_template(attributes, review))
            }
            _ => pass(),
        }
    }
}

#[cfg(test)]
mod tests;
