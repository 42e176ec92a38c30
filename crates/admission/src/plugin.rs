//! The contract of a plugin.

use api::Object;
use apimachinery::status::Status;
use futures_util::future::BoxFuture;

use crate::reinvocation::Reinvocation;
use crate::{Attributes, Operation};

/// The object under admission, its former state, and what to tell the client.
///
/// On a delete there is only the former state; on a connect there may be neither.
#[derive(Default)]
pub struct Review<'a> {
    /// In a box, so that a webhook's or a policy's answer can take its place; the kind stays.
    pub object: Option<&'a mut Box<dyn Object>>,
    pub old: Option<&'a dyn Object>,
    /// On a connect, its options as a JSON document.
    pub connect: Option<Vec<u8>>,
    /// For the `Warning` headers of the response.
    pub warnings: Vec<String>,
    /// For the audit log: key and value.
    pub annotations: Vec<(String, String)>,
    pub reinvocation: Reinvocation,
}

impl<'a> Review<'a> {
    pub fn new(object: Option<&'a mut Box<dyn Object>>, old: Option<&'a dyn Object>) -> Self {
        Self {
            object,
            old,
            ..Self::default()
        }
    }

    /// The object, to read.
    pub fn object(&self) -> Option<&dyn Object> {
        self.object.as_deref().map(|object| &**object)
    }

    /// The object as one of a type.
    pub fn object_as<T: api::Resource>(&self) -> Option<&T> {
        self.object()?.downcast_ref()
    }

    /// The object as one of a type, to change.
    pub fn object_as_mut<T: api::Resource>(&mut self) -> Option<&mut T> {
        self.object.as_deref_mut()?.downcast_mut()
    }

    /// The former state as one of a type.
    pub fn old_as<T: api::Resource>(&self) -> Option<&T> {
        self.old?.downcast_ref()
    }
}

/// What a plugin's phase gives: nothing, or the refusal.
pub type Outcome<'a> = BoxFuture<'a, Result<(), Status>>;

/// One plugin. Both phases default to letting everything pass.
pub trait Plugin: Send + Sync {
    /// Upstream's name, as in `--enable-admission-plugins`.
    fn name(&self) -> &'static str;

    /// Cheap filter on operations: the others never reach it.
    fn handles(&self, operation: Operation) -> bool;

    /// May change the object.
    fn mutate<'a>(&'a self, _attributes: &'a Attributes<'_>, _review: &'a mut Review<'_>) -> Outcome<'a> {
        pass()
    }

    /// Sees the object in its final form.
    fn validate<'a>(&'a self, _attributes: &'a Attributes<'_>, _review: &'a mut Review<'_>) -> Outcome<'a> {
        pass()
    }
}

/// Lets the request pass.
pub fn pass<'a>() -> Outcome<'a> {
    done(Ok(()))
}

/// An outcome known without waiting.
pub fn done<'a>(result: Result<(), Status>) -> Outcome<'a> {
    Box::pin(std::future::ready(result))
}
