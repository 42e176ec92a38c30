//! The two admission phases, as the write path calls them.

use admission::{Attributes, Review};
use api::Object;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::status::Status;

pub use admission::Operation;

use super::Writer;

/// The request's options as JSON (CreateOptions, UpdateOptions, …), the form in which webhooks get them.
#[derive(Clone, Debug, Default)]
pub struct OperationOptions(pub Vec<u8>);

impl Writer<'_> {
    /// The first phase: plugins may change the object.
    pub(super) async fn mutate(
        &mut self,
        operation: Operation,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let mut review = Review::new(Some(object), old);
        self.api
            .admission
            .mutate(&self.attributes(operation), &mut review)
            .await?;
        let warnings = std::mem::take(&mut review.warnings);
        self.warn(warnings);
        Ok(())
    }

    /// The second phase: plugins see the final object.
    pub(super) async fn validate(
        &mut self,
        operation: Operation,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let mut review = Review::new(Some(object), old);
        self.api
            .admission
            .validate(&self.attributes(operation), &mut review)
            .await?;
        let warnings = std::mem::take(&mut review.warnings);
        self.warn(warnings);
        Ok(())
    }

    /// Both phases of a delete, which has only the former state.
    pub(super) async fn admit_delete(&mut self, old: &dyn Object) -> Result<(), Status> {
        let mut review = Review::new(None, Some(old));
        let attributes = self.attributes(Operation::Delete);
        self.api.admission.mutate(&attributes, &mut review).await?;
        self.api.admission.validate(&attributes, &mut review).await?;
        let warnings = std::mem::take(&mut review.warnings);
        self.warn(warnings);
        Ok(())
    }

    fn attributes(&self, operation: Operation) -> Attributes<'_> {
        let row = self.served.row;
        Attributes {
            operation,
            kind: GroupVersionKind::new(row.group, row.version, row.kind),
            resource: GroupVersionResource::new(row.group, row.version, row.plural),
            subresource: self.subresource,
            namespace: self.namespace,
            name: self.name,
            user: self.user,
            dry_run: self.dry_run,
            options: &self.options.0,
            now: self.api.clock.now(),
        }
    }
}
