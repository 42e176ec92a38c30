//! The one write path: every create, update, patch and delete of every kind runs through here.
//!
//! create: `default -> mutating admission -> prepare -> hooks -> validate -> validating admission -> commit`;
//! update: the same from "load", retried as long as somebody else writes in between. The order is upstream's, so
//! that each step sees what it would see there.

mod admit;
mod create;
mod delete;
pub mod deletion;
pub mod metadata;
mod update;

use api::{Custom, Object};
use apimachinery::field::ErrorList;
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use auth::UserInfo;

use crate::managed_fields;
use crate::objects::{Objects, Written};
use crate::resource::Served;
use crate::state::Api;
use crate::strategy::{Behaviour, Context, Outcome, Strategy, Transaction};

pub use admit::OperationOptions;
pub use delete::{Deleted, check_preconditions};
pub use update::{Applied, Change};

/// Who writes what, through which resource.
pub struct Writer<'a> {
    pub api: &'a Api,
    pub served: &'a Served,
    pub user: &'a UserInfo,
    /// Empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// Empty when the body names the object.
    pub name: &'a str,
    pub subresource: &'a str,
    pub dry_run: bool,
    /// The options of the request, for admission.
    pub options: OperationOptions,
    /// Who comes to own the fields that are written; `None`: nobody.
    pub manager: Option<String>,
    /// For the response's `Warning` headers.
    pub warnings: Vec<String>,
}

/// An object that was written, and what the store said.
pub struct Saved {
    pub written: Written,
    pub created: bool,
}

impl Writer<'_> {
    fn objects(&self) -> &Objects {
        &self.served.objects
    }

    fn behaviour(&self) -> &Behaviour {
        self.objects().behaviour(self.subresource)
    }

    fn strategy(&self) -> &dyn Strategy {
        &*self.behaviour().strategy
    }

    fn context(&self) -> Context<'_> {
        Context {
            user: self.user,
            group: self.served.row.group,
            namespace: (!self.namespace.is_empty()).then_some(self.namespace),
            subresource: self.subresource,
            dry_run: self.dry_run,
            now: self.api.clock.now(),
        }
    }

    /// The namespace that an object of this resource must state.
    fn object_namespace(&self) -> &str {
        if self.served.row.namespaced {
            self.namespace
        } else {
            ""
        }
    }

    fn warn(&mut self, warnings: impl IntoIterator<Item = String>) {
        for warning in warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    /// 422 with all errors, if there are any.
    fn valid(&self, object: &dyn Object, errors: ErrorList) -> Result<(), Status> {
        if errors.is_empty() {
            return Ok(());
        }
        // The rules are those of the stored kind, whatever name it is served by. A custom object says what it is.
        let row = self.objects().row;
        let stated = Custom::of(object).map(|object| object.kind.as_str());
        let kind = GroupKind::new(row.group, stated.unwrap_or(row.kind));
        Err(Status::invalid(&kind, &object.metadata().name, &errors))
    }

    /// Records who changed what. A record that cannot be kept is given up rather than the write, as upstream does.
    fn track_fields(&self, live: Option<&dyn Object>, new: &mut dyn Object) {
        // A binding is recorded as what it is, not as a change of fields.
        let Some(manager) = self.manager.as_deref().filter(|_| self.subresource != "binding") else {
            return;
        };
        let origin = managed_fields::Origin {
            served: self.served,
            manager,
            subresource: self.subresource,
            now: self.api.clock.now(),
        };
        if let Err(error) = managed_fields::track(origin, live, new) {
            tracing::warn!(%error, kind = self.served.row.kind, name = new.metadata().name, "managed fields are lost");
            new.metadata_mut().managed_fields.clear();
        }
    }

    fn deduplicate_owners(&mut self, object: &mut dyn Object, when: &str) {
        let repeated = metadata::deduplicate_owners(object.metadata_mut());
        if !repeated.is_empty() {
            let uids = repeated.join(", ");
            self.warn([format!(".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uids}")]);
        }
    }
}

/// Reservations of a write in progress: given back unless committed.
#[derive(Default)]
struct Reservation(Option<Box<dyn Transaction>>);

impl Reservation {
    fn commit(mut self) {
        if let Some(transaction) = self.0.take() {
            transaction.finish(Outcome::Committed);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(transaction) = self.0.take() {
            transaction.finish(Outcome::Aborted);
        }
    }
}
