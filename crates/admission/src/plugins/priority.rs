//! Pods get the number behind their priority class; only one class is the default.

use std::sync::Arc;

use api::core::v1::Pod;
use api::scheduling::v1::PriorityClass;
use apimachinery::status::Status;
use auth::Objects;

use crate::plugin::{Outcome, done};
use crate::{Attributes, Operation, Plugin, Review};

const PREEMPT: &str = "PreemptLowerPriority";

pub struct Priority {
    objects: Arc<dyn Objects>,
}

/// What a class stands for.
struct Resolved {
    class: String,
    value: i32,
    preemption_policy: Option<String>,
}

impl Resolved {
    fn of(class: &PriorityClass) -> Self {
        Self {
            class: class.metadata.name.clone(),
            value: class.value,
            preemption_policy: class.preemption_policy.clone(),
        }
    }
}

impl Priority {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    async fn set(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(pod) = review.object_as_mut::<Pod>() else {
            return Ok(());
        };
        let resolved = self.resolve(attributes, pod).await?;
        pod.spec.priority_class_name = resolved.class;
        if let Some(given) = pod.spec.priority.filter(|given| *given != resolved.value) {
            let computed = resolved.value;
            let message = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
            );
            return Err(attributes.forbidden(Some(pod), message));
        }
        pod.spec.priority = Some(resolved.value);
        let Some(policy) = resolved.preemption_policy else {
            return Ok(());
        };
        if let Some(given) = pod
            .spec
            .preemption_policy
            .as_ref()
            .filter(|given| **given != policy)
        {
            let message = format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            );
            return Err(attributes.forbidden(Some(pod), message));
        }
        pod.spec.preemption_policy = Some(policy);
        Ok(())
    }

    async fn resolve(&self, attributes: &Attributes<'_>, pod: &Pod) -> Result<Resolved, Status> {
        let name = pod.spec.priority_class_name.as_str();
        if name.is_empty() {
            let none = || Resolved {
                class: String::new(),
                value: 0,
                preemption_policy: Some(PREEMPT.to_owned()),
            };
            return Ok(self
                .default_class()
                .map_or_else(none, |class| Resolved::of(&class)));
        }
        match self.objects.find::<PriorityClass>("", name).await? {
            Some(class) => Ok(Resolved::of(&class)),
            None => {
                Err(attributes.forbidden(Some(pod), format!("no PriorityClass with name {name} was found")))
            }
        }
    }

    /// Two defaults can come about by a race: the lower one counts.
    fn default_class(&self) -> Option<PriorityClass> {
        let classes = self.objects.cached_all::<PriorityClass>("");
        classes
            .into_iter()
            .filter(|class| class.global_default)
            .min_by_key(|class| class.value)
    }

    fn check_class(&self, attributes: &Attributes<'_>, class: &PriorityClass) -> Result<(), Status> {
        let other = if class.global_default {
            self.default_class()
        } else {
            None
        };
        match other {
            Some(other)
                if attributes.operation == Operation::Create
                    || other.metadata.name != class.metadata.name =>
            {
                let message = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    other.metadata.name
                );
                Err(attributes.forbidden(Some(class), message))
            }
            _ => Ok(()),
        }
    }
}

/// An update that leaves the fields out keeps what was computed.
fn keep(review: &mut Review<'_>) {
    let Some(old) = review.old_as::<Pod>() else { return };
    let (priority, policy) = (old.spec.priority, old.spec.preemption_policy.clone());
    if let Some(pod) = review.object_as_mut::<Pod>() {
        pod.spec.priority = pod.spec.priority.or(priority);
        pod.spec.preemption_policy = pod.spec.preemption_policy.take().or(policy);
    }
}

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if !attributes.is("", "pods", "") {
            return crate::plugin::pass();
        }
        if attributes.operation == Operation::Update {
            keep(review);
            return crate::plugin::pass();
        }
        Box::pin(self.set(attributes, review))
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        match review.object_as::<PriorityClass>() {
            Some(class) if attributes.subresource.is_empty() => done(self.check_class(attributes, class)),
            _ => crate::plugin::pass(),
        }
    }
}

#[cfg(test)]
mod tests;
