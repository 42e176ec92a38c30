//! The two admission phases, as the write path calls them.
//!
//! A Scale is admitted as what it is, although the workload is what is written.

use admission::{Attributes, Review};
use api::Object;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;

pub use admission::Operation;

use super::Writer;

/// The request's options as JSON (CreateOptions, UpdateOptions, …), the form in which webhooks get them.
#[derive(Clone, Debug, Default)]
pub struct OperationOptions(pub Vec<u8>);

#[derive(Clone, Copy)]
enum Phase {
    Mutate,
    Validate,
}

impl Writer<'_> {
    /// The first phase: plugins may change the object.
    pub(super) async fn mutate(
        &mut self,
        operation: Operation,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if operation == Operation::Create && !self.strategy().takes_new_objects() {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(Status::forbidden(&self.served.group_resource(), self.name, why));
        }
        if self.subresource != "scale" {
            return self.admit(Phase::Mutate, operation, Some(object), old).await;
        }
        let Some(mut scale) = self.scale(&**object) else {
            return Err(Status::path_not_found());
        };
        let before = old.and_then(|old| self.scale(old));
        self.admit(Phase::Mutate, operation, Some(&mut scale), before.as_deref())
            .await?;
        match scale.downcast_ref() {
            Some(scale) => self.strategy().set_scale(&mut **object, scale),
            None => Ok(()),
        }
    }

    /// The second phase: plugins see the final object.
    pub(super) async fn validate(
        &mut self,
        operation: Operation,
        object: &mut Box<dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if self.subresource != "scale" {
            return self.admit(Phase::Validate, operation, Some(object), old).await;
        }
        let mut scale = self.scale(&**object);
        let before = old.and_then(|old| self.scale(old));
        self.admit(Phase::Validate, operation, scale.as_mut(), before.as_deref())
            .await
    }

    /// Both phases of a delete, which has only the former state. An eviction was admitted as what it is.
    pub(super) async fn admit_delete(&mut self, old: &dyn Object) -> Result<(), Status> {
        if self.subresource == "eviction" {
            return Ok(());
        }
        for phase in [Phase::Mutate, Phase::Validate] {
            self.admit(phase, Operation::Delete, None, Some(old)).await?;
        }
        Ok(())
    }

    /// Whatever comes of it, the client hears the warnings.
    async fn admit(
        &mut self,
        phase: Phase,
        operation: Operation,
        object: Option<&mut Box<dyn Object>>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        // A new object's name is its own; it may not have one yet.
        let name = match &object {
            Some(object) if self.name.is_empty() => object.metadata().name.clone(),
            _ => self.name.to_owned(),
        };
        let mut review = Review::new(object, old);
        let attributes = self.attributes(operation, &name);
        let outcome = match phase {
            Phase::Mutate => self.api.admission.mutate(&attributes, &mut review).await,
            Phase::Validate => self.api.admission.validate(&attributes, &mut review).await,
        };
        let warnings = std::mem::take(&mut review.warnings);
        self.warn(warnings);
        outcome
    }

    fn scale(&self, workload: &dyn Object) -> Option<Box<dyn Object>> {
        let scale = self.strategy().scale(workload)?;
        Some(Box::new(scale))
    }

    fn attributes<'a>(&'a self, operation: Operation, name: &'a str) -> Attributes<'a> {
        let row = self.served.row;
        let kind = match row.subresource(self.subresource) {
            Some(sub) => GroupVersionKind::new(sub.group, sub.version, sub.kind),
            None => GroupVersionKind::new(row.group, row.version, row.kind),
        };
        Attributes {
            operation,
            kind,
            resource: GroupVersionResource::new(row.group, row.version, row.plural),
            subresource: self.subresource,
            namespace: self.namespace,
            name,
            user: self.user,
            dry_run: self.dry_run,
            options: &self.options.0,
            now: self.api.clock.now(),
        }
    }
}
