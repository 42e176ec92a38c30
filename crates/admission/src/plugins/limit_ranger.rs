//! Containers, pods and claims stay within the limit ranges of their namespace, and get its defaults.

mod rules;

use std::sync::Arc;

use api::core::v1::{LimitRange, PersistentVolumeClaim, Pod};
use apimachinery::status::Status;
use auth::Objects;

use crate::plugin::{Outcome, done, pass};
use crate::{Attributes, Operation, Plugin, Review};

pub struct LimitRanger {
    objects: Arc<dyn Objects>,
}

impl LimitRanger {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    fn ranges(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Vec<LimitRange> {
        let deleted = review
            .old
            .is_some_and(|old| old.metadata().deletion_timestamp.is_some());
        if deleted || !concerns(attributes) {
            return Vec::new();
        }
        self.objects.cached_all::<LimitRange>(attributes.namespace)
    }

    fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        for range in self.ranges(attributes, review) {
            let refusals = match (
                review.object_as::<Pod>(),
                review.object_as::<PersistentVolumeClaim>(),
            ) {
                (Some(pod), _) => rules::check_pod(&range, pod),
                (None, Some(claim)) => rules::check_claim(&range, claim),
                (None, None) => Vec::new(),
            };
            let message = match refusals.len() {
                0 => continue,
                1 => refusals.into_iter().collect(),
                _ => format!("[{}]", refusals.join(", ")),
            };
            return Err(attributes.forbidden(review.object(), message));
        }
        Ok(())
    }
}

/// The resources of a running pod change by `resize` alone.
fn concerns(attributes: &Attributes<'_>) -> bool {
    let updates = attributes.operation == Operation::Update;
    (attributes.is("", "pods", "") && !updates)
        || (attributes.is("", "pods", "resize") && updates)
        || attributes.is("", "persistentvolumeclaims", "")
}

impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        let ranges = self.ranges(attributes, review);
        if let Some(pod) = review.object_as_mut::<Pod>() {
            ranges.iter().for_each(|range| rules::set_defaults(range, pod));
        }
        pass()
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        done(self.check(attributes, review))
    }
}

#[cfg(test)]
mod tests;
