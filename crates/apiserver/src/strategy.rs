//! What a resource adds to the one write path: a strategy per kind, called by `write` in this order:
//! `prepare_*` (after defaulting) -> mutating admission -> `validate_*` -> validating admission -> store.

use apimachinery::field::ErrorList;
use api::Object;

/// What a strategy may know of the request.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub user: &'a auth::UserInfo,
    pub namespace: Option<&'a str>,
    /// `""` for the resource itself, else `status`, `scale`, …
    pub subresource: &'a str,
    pub dry_run: bool,
    pub now: jiff::Timestamp,
}

/// How a kind differs from any other. All functions are pure.
pub trait Strategy: Send + Sync + 'static {
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

    /// Warnings for the `Warning` header.
    fn warnings(&self, _cx: &Context<'_>, _object: &dyn Object, _old: Option<&dyn Object>) -> Vec<String> {
        Vec::new()
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

    /// Value of a selectable field beyond metadata.name and metadata.namespace; `None`: the field is not
    /// selectable for this kind.
    fn selectable_field(&self, _object: &dyn Object, _field: &str) -> Option<String> {
        None
    }

    /// Names of the selectable fields beyond metadata.name and metadata.namespace.
    fn selectable_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Cells of a Table row, in the order of the catalogue's columns (see `registry::table`).
    fn table_row(&self, object: &dyn Object, now: jiff::Timestamp) -> Vec<serde_json::Value>;
}
