//! What a resource adds to the one write path. The path calls a strategy in this order:
//! `default` -> mutating admission -> `prepare_*` -> `validate_*` -> validating admission -> store.

use std::time::Duration;

use api::Object;
use api::apiextensions::v1::JSONSchemaProps;
use api::autoscaling::v1::Scale;
use api::core::v1::Binding;
use apimachinery::field::ErrorList;
use apimachinery::status::Status;
use futures_util::future::BoxFuture;

/// What a strategy may know of the request.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub user: &'a auth::UserInfo,
    pub namespace: Option<&'a str>,
    /// The API group that the client asked for: Events stand in two.
    pub group: &'a str,
    /// `""` for the resource itself, else `status`, `scale`, …
    pub subresource: &'a str,
    pub dry_run: bool,
    pub now: jiff::Timestamp,
}

/// Paths of members.
pub type FieldPaths = &'static [&'static [&'static str]];

/// What happens to an owner's dependents when the client does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GarbageCollection {
    /// The garbage collector deletes them afterwards.
    DeleteDependents,
    /// They stay, without their owner reference.
    OrphanDependents,
    /// The kind has no dependents and takes no propagation finalizers.
    Unsupported,
}

/// How a kind differs from any other. All functions are pure.
///
/// The write path itself fills and preserves the metadata that clients can't set (uid, creationTimestamp,
/// deletionTimestamp, generation of the old object on update). Validation here covers all of the object,
/// metadata included.
pub trait Strategy: Send + Sync + 'static {
    /// Drops what an object of a custom kind can't hold, in every object read from a request body and from the store.
    /// Returns the paths of members that the kind does not know.
    fn prune(&self, _object: &mut dyn Object) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    /// Of what objects of a custom kind are made.
    fn schema(&self) -> Option<&JSONSchemaProps> {
        None
    }

    /// What to warn clients of who use this version.
    fn deprecation_warning(&self) -> Option<&str> {
        None
    }

    /// Whether objects may be created: not any more when their kind is going away.
    fn takes_new_objects(&self) -> bool {
        true
    }

    /// Fills what the API defaults, in every object read from a request body (and from the store).
    fn default(&self, object: &mut dyn Object);

    /// Clears what a client may not set on create (status, for instance).
    fn prepare_create(&self, cx: &Context<'_>, object: &mut dyn Object);

    /// Restores what this (sub)resource may not change, and bumps the generation if the spec changed.
    fn prepare_update(&self, cx: &Context<'_>, object: &mut dyn Object, old: &dyn Object);

    /// Every error of a new object, paths as upstream's.
    fn validate_create(&self, cx: &Context<'_>, object: &dyn Object) -> ErrorList;

    /// Every error of a change.
    fn validate_update(&self, cx: &Context<'_>, object: &dyn Object, old: &dyn Object) -> ErrorList;

    /// Adds what rules written in a custom kind's schema find to the errors that validation has found. Returns warnings:
    /// what they find wrong in what an update leaves alone.
    fn check_rules(
        &self,
        _object: &dyn Object,
        _old: Option<&dyn Object>,
        _errors: &mut ErrorList,
    ) -> Vec<String> {
        Vec::new()
    }

    /// Warnings for the `Warning` header.
    fn warnings(&self, _cx: &Context<'_>, _object: &dyn Object, _old: Option<&dyn Object>) -> Vec<String> {
        Vec::new()
    }

    /// Fields that writes through a subresource leave as they are, so that nobody comes to own them by stating them.
    /// Through the object itself (`""`) its status is always among them.
    fn left_alone(&self, subresource: &str) -> FieldPaths {
        match subresource {
            "status" => &[&["spec"]],
            _ => &[],
        }
    }

    /// Whether PUT to an absent name creates it.
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without resourceVersion is last-write-wins.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// Graceful deletion: the grace period that applies (`None`: delete at once). May set fields of the object
    /// that is about to wait for its end.
    fn grace_period(&self, _object: &mut dyn Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Notes in an object that somebody deletes it, before it is judged whether it can go at once.
    fn begin_deletion(&self, _object: &mut dyn Object, _now: jiff::Timestamp) {}

    /// Why a client can't delete the object of this name.
    fn undeletable(&self, _name: &str) -> Option<&'static str> {
        None
    }

    /// Whether an object that is being deleted, without finalizers, may go while it is updated. Namespaces wait
    /// for `spec.finalizers` as well.
    fn finished(&self, _object: &dyn Object) -> bool {
        true
    }

    /// What deletion does to dependents by default.
    fn garbage_collection(&self) -> GarbageCollection {
        GarbageCollection::DeleteDependents
    }

    /// What to warn clients of who delete an object without saying what becomes of its dependents.
    fn delete_warning(&self) -> Option<&'static str> {
        None
    }

    /// Whether DELETE answers with the deleted object instead of a Status.
    fn returns_deleted_object(&self) -> bool {
        false
    }

    /// How long the store keeps an object after its last write; `None`: for good. Only Events expire.
    fn time_to_live(&self) -> Option<Duration> {
        None
    }

    /// Value of a selectable field beyond metadata.name and metadata.namespace; `None`: the field is not
    /// selectable for this kind.
    fn selectable_field(&self, _object: &dyn Object, _field: &str) -> Option<String> {
        None
    }

    /// Names of the selectable fields beyond metadata.name and metadata.namespace.
    fn selectable_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Paths of members that neither labels nor selectable fields depend on, nor the defaults of these: indexes are
    /// kept without reading them.
    fn unselected(&self) -> &'static [&'static str] {
        &[]
    }

    /// The selectable field that clients of `group` call `label`; `None`: they can't select by that.
    fn field_of_label(&self, _group: &str, label: &str) -> Option<&'static str> {
        self.selectable_fields()
            .iter()
            .copied()
            .find(|field| *field == label)
    }

    /// The object as its `scale` subresource shows it; `None`: the kind has none.
    fn scale(&self, _object: &dyn Object) -> Option<Scale> {
        None
    }

    /// Why the `scale` subresource of an object can't be read though its kind has one.
    fn check_scale(&self, _object: &dyn Object) -> Result<(), Status> {
        Ok(())
    }

    /// Cells of a Scale's Table row: name, desired and available replicas, age.
    fn scale_row(&self, _scale: &Scale, _now: jiff::Timestamp) -> Vec<serde_json::Value> {
        Vec::new()
    }

    /// Takes the wanted replicas of a valid Scale over.
    fn set_scale(&self, _object: &mut dyn Object, _scale: &Scale) -> Result<(), Status> {
        Err(Status::path_not_found())
    }

    /// Assigns the object (a Pod) to what the Binding names. A refusal is reported as a conflict.
    fn bind(
        &self,
        _object: &mut dyn Object,
        _binding: &Binding,
        _now: jiff::Timestamp,
    ) -> Result<(), String> {
        Err("this kind can't be bound".to_owned())
    }

    /// Cells of a Table row, in the order of the catalogue's columns (see `registry::table`).
    fn table_row(&self, object: &dyn Object, now: jiff::Timestamp) -> Vec<serde_json::Value>;
}

/// Effects outside the object that go with a write, such as reserving a Service's cluster IP.
///
/// `begin_*` runs after `prepare_*` and before validation, as upstream's BeginCreate and BeginUpdate do, and may
/// be called more than once for one request (a conflict is retried): each returned [`Transaction`] is finished.
pub trait Hooks: Send + Sync + 'static {
    fn begin_create<'a>(
        &'a self,
        cx: &'a Context<'a>,
        object: &'a mut dyn Object,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Transaction>>, Status>>;

    fn begin_update<'a>(
        &'a self,
        cx: &'a Context<'a>,
        object: &'a mut dyn Object,
        old: &'a dyn Object,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Transaction>>, Status>>;

    /// After the object is gone from the store.
    fn after_delete<'a>(&'a self, object: &'a dyn Object) -> BoxFuture<'a, ()>;
}

/// What [`Hooks`] reserved.
pub trait Transaction: Send {
    /// Keeps the reservation if the write was committed, gives it back else.
    fn finish(self: Box<Self>, outcome: Outcome);
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Committed,
    /// Failed, or a dry run.
    Aborted,
}

/// A kind's part of the server: the strategy, and effects if it has any.
#[derive(Clone)]
pub struct Behaviour {
    pub strategy: std::sync::Arc<dyn Strategy>,
    pub hooks: Option<std::sync::Arc<dyn Hooks>>,
}
