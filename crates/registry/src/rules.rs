//! What a kind can differ in, typed; and the adapter that makes it the untyped strategy of the server.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use api::autoscaling::v1::Scale;
use api::core::v1::Binding;
use api::meta::v1::ObjectMeta;
use api::{Object, Resource};
use apimachinery::field::ErrorList;
use apimachinery::status::Status;
use apimachinery::validation::{name_is_dns_subdomain, name_is_path_segment};
use apiserver::strategy::{Context, FieldPaths, GarbageCollection, Strategy};
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata;

/// What of an update's metadata a kind judges once more after the server has: upstream tells clients so often what is
/// wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataChecks {
    Nothing,
    /// What must not change.
    Change,
    /// The whole as well.
    Whole,
    /// The whole object, as a new one's, and then what must not change.
    WholeFirst,
}

/// The rules of one kind. Everything has the meaning that most kinds share; a kind states what differs.
///
/// The macros [`spec!`](crate::spec), [`status!`](crate::status) and [`generation!`](crate::generation) fill in the parts about fields of these names.
pub trait Rules: Send + Sync + 'static {
    type Object: Resource;

    /// Whether PUT to an absent name creates the object.
    const CREATE_ON_UPDATE: bool = false;
    /// Whether an update without resourceVersion is taken.
    const UNCONDITIONAL_UPDATE: bool = true;
    const RETURNS_DELETED: bool = false;
    /// What to warn clients of who delete an object without saying what becomes of its dependents.
    const DELETE_WARNING: Option<&'static str> = None;
    /// Whether metadata of a new object is judged only if nothing else is wrong, and its name only as a part of paths.
    const METADATA_LAST: bool = false;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::DeleteDependents;
    /// Whether `metadata.generation` counts changes.
    const GENERATION: bool = false;
    /// How often metadata is judged when an object changes.
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Change;
    /// The same for changes of the status.
    const STATUS_METADATA_CHECKS: MetadataChecks = MetadataChecks::Change;
    /// Whether an update of the status leaves labels, annotations and finalizers alone.
    const STATUS_KEEPS_METADATA: bool = false;
    /// Whether finalizers without a domain must be Kubernetes' own.
    const PLAIN_FINALIZERS_CHECKED: bool = true;
    /// What nobody comes to own by stating it, beside the status.
    const LEFT_ALONE: FieldPaths = &[];
    /// The same through the status.
    const LEFT_ALONE_BY_STATUS: FieldPaths = &[&["spec"]];
    /// The same through other subresources.
    const LEFT_ALONE_BY_SUBRESOURCES: FieldPaths = &[];
    /// Selectable fields beyond name and namespace.
    const FIELDS: &'static [&'static str] = &[];
    /// Paths of members that neither labels nor these fields depend on, if they are large.
    const UNSELECTED: &'static [&'static str] = &[];
    /// Fields by other names, in groups that have their own: group, label, field.
    const LABELS: &'static [(&'static str, &'static str, &'static str)] = &[];
    /// How long objects are kept after their last write.
    const TIME_TO_LIVE: Option<Duration> = None;

    /// Why a client can't delete the object of this name.
    fn undeletable(_name: &str) -> Option<&'static str> {
        None
    }

    /// What is wrong with a name, or with the prefix of a generated one.
    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_dns_subdomain(name, prefix)
    }

    fn default(_object: &mut Self::Object) {}

    /// Sets the status of a new object (`old` is `None`), or keeps that of the old one.
    fn keep_status(_object: &mut Self::Object, _old: Option<&Self::Object>) {}

    /// Undoes changes that the status subresource may not make.
    fn keep_spec(_object: &mut Self::Object, _old: &Self::Object) {}

    /// Whether the change counts in the generation.
    fn is_new_generation(_object: &Self::Object, _old: &Self::Object) -> bool {
        false
    }

    fn prepare_create(_cx: &Context<'_>, _object: &mut Self::Object) {}

    /// After status and generation have been settled.
    fn prepare_update(_cx: &Context<'_>, _object: &mut Self::Object, _old: &Self::Object) {}

    /// After the spec has been restored.
    fn prepare_status_update(_cx: &Context<'_>, _object: &mut Self::Object, _old: &Self::Object) {}

    /// For subresources besides status that change the object: `finalize`, `approval`, `resize`, …
    fn prepare_subresource_update(cx: &Context<'_>, object: &mut Self::Object, old: &Self::Object) {
        settle_update::<Self>(object, old);
        Self::prepare_update(cx, object, old);
    }

    /// Errors of an object, besides its metadata.
    fn validate(_object: &Self::Object) -> ErrorList {
        ErrorList::new()
    }

    /// Errors of a new object, besides its metadata.
    fn validate_create(_cx: &Context<'_>, object: &Self::Object) -> ErrorList {
        Self::validate(object)
    }

    /// Errors of a change, besides those of metadata.
    fn validate_update(_cx: &Context<'_>, object: &Self::Object, _old: &Self::Object) -> ErrorList {
        Self::validate(object)
    }

    /// Errors of a change of the status.
    fn validate_status_update(_object: &Self::Object, _old: &Self::Object) -> ErrorList {
        ErrorList::new()
    }

    fn validate_subresource_update(cx: &Context<'_>, object: &Self::Object, old: &Self::Object) -> ErrorList {
        Self::validate_update(cx, object, old)
    }

    fn warnings(_object: &Self::Object, _old: Option<&Self::Object>) -> Vec<String> {
        Vec::new()
    }

    fn status_warnings(_object: &Self::Object) -> Vec<String> {
        Vec::new()
    }

    /// Value of one of [`Rules::FIELDS`].
    fn field(_object: &Self::Object, _field: &str) -> Option<String> {
        None
    }

    fn grace_period(_object: &mut Self::Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    fn finished(_object: &Self::Object) -> bool {
        true
    }

    /// Notes that somebody deletes the object.
    fn begin_deletion(_object: &mut Self::Object, _now: Timestamp) {}

    /// The `scale` subresource, for kinds that have one.
    fn scale(_object: &Self::Object) -> Option<Scale> {
        None
    }

    fn set_scale(_object: &mut Self::Object, _scale: &Scale) -> Result<(), Status> {
        Err(Status::path_not_found())
    }

    /// Assigns a pod to a node.
    fn bind(_object: &mut Self::Object, _binding: &Binding, _now: Timestamp) -> Result<(), String> {
        Err("only pods can be bound".to_owned())
    }

    /// Cells of the kind's columns.
    fn row(object: &Self::Object, now: Timestamp) -> Vec<Value>;
}

/// Fills in the parts of [`Rules`] about a field `status`.
#[macro_export]
macro_rules! status {
    () => {
        fn keep_status(object: &mut Self::Object, old: Option<&Self::Object>) {
            object.status = old.map(|old| old.status.clone()).unwrap_or_default();
        }
    };
}

/// Fills in the parts of [`Rules`] about a field `spec` beside a status subresource.
#[macro_export]
macro_rules! spec {
    () => {
        fn keep_spec(object: &mut Self::Object, old: &Self::Object) {
            object.spec = old.spec.clone();
        }
    };
}

/// The generation counts changes of the named field.
#[macro_export]
macro_rules! generation {
    ($field:ident) => {
        const GENERATION: bool = true;

        fn is_new_generation(object: &Self::Object, old: &Self::Object) -> bool {
            object.$field != old.$field
        }
    };
}

/// What an update of the whole object leaves as it was.
fn settle_update<R: Rules + ?Sized>(object: &mut R::Object, old: &R::Object) {
    R::keep_status(object, Some(old));
    let generation = Resource::metadata(old).generation;
    let bump = R::GENERATION && R::is_new_generation(object, old);
    Resource::metadata_mut(object).generation = if bump { generation + 1 } else { generation };
}

/// The rules as the server's strategy.
pub fn strategy<R: Rules>() -> Arc<dyn Strategy> {
    Arc::new(Typed::<R>(PhantomData))
}

struct Typed<R>(PhantomData<fn() -> R>);

/// The name of an object that is there was judged when it was created.
fn any_name(_name: &str, _prefix: bool) -> Vec<String> {
    Vec::new()
}

/// The catalogue pairs each row with the strategy of its kind, so that another type here is a programming error.
const OWN_KIND: &str = "invariant: a strategy only sees objects of its kind";

fn own<T: Resource>(object: &dyn Object) -> &T {
    object.downcast_ref().expect(OWN_KIND)
}

fn own_mut<T: Resource>(object: &mut dyn Object) -> &mut T {
    object.downcast_mut().expect(OWN_KIND)
}

impl<R: Rules> Typed<R> {
    /// Errors of a new object.
    fn validate_whole(&self, cx: &Context<'_>, object: &R::Object) -> ErrorList {
        let metadata = Resource::metadata(object);
        if R::METADATA_LAST {
            let errors = R::validate_create(cx, object);
            if !errors.is_empty() {
                return errors;
            }
            return metadata::validate(metadata, R::Object::NAMESPACED, name_is_path_segment);
        }
        let mut errors = metadata::validate(metadata, R::Object::NAMESPACED, R::check_name);
        errors.extend(plain_finalizers::<R>(metadata));
        errors.extend(R::validate_create(cx, object));
        errors
    }
}

fn plain_finalizers<R: Rules>(metadata: &ObjectMeta) -> ErrorList {
    if R::PLAIN_FINALIZERS_CHECKED {
        metadata::validate_plain_finalizers(metadata)
    } else {
        ErrorList::new()
    }
}

impl<R: Rules> Strategy for Typed<R> {
    fn default(&self, object: &mut dyn Object) {
        R::default(own_mut(object));
    }

    fn prepare_create(&self, cx: &Context<'_>, object: &mut dyn Object) {
        let object = own_mut::<R::Object>(object);
        R::keep_status(object, None);
        if R::GENERATION {
            Resource::metadata_mut(object).generation = 1;
        }
        R::prepare_create(cx, object);
    }

    fn prepare_update(&self, cx: &Context<'_>, object: &mut dyn Object, old: &dyn Object) {
        let (object, old) = (own_mut::<R::Object>(object), own::<R::Object>(old));
        match cx.subresource {
            "" | "scale" => {
                settle_update::<R>(object, old);
                R::prepare_update(cx, object, old);
            }
            "status" => {
                R::keep_spec(object, old);
                if R::STATUS_KEEPS_METADATA {
                    metadata::keep(Resource::metadata_mut(object), Resource::metadata(old));
                }
                Resource::metadata_mut(object).generation = Resource::metadata(old).generation;
                R::prepare_status_update(cx, object, old);
            }
            _ => R::prepare_subresource_update(cx, object, old),
        }
    }

    fn validate_create(&self, cx: &Context<'_>, object: &dyn Object) -> ErrorList {
        let object = own::<R::Object>(object);
        let mut errors = self.validate_whole(cx, object);
        if errors.is_empty() {
            // Whatever a kind thinks of its names, they are parts of paths.
            let metadata = Resource::metadata(object);
            errors = metadata::validate(metadata, R::Object::NAMESPACED, name_is_path_segment);
        }
        errors
    }

    fn validate_update(&self, cx: &Context<'_>, object: &dyn Object, old: &dyn Object) -> ErrorList {
        let (object, old) = (own::<R::Object>(object), own::<R::Object>(old));
        let (metadata, old_metadata) = (Resource::metadata(object), Resource::metadata(old));
        let mut errors = metadata::validate(metadata, R::Object::NAMESPACED, any_name);
        errors.extend(metadata::validate_update(metadata, old_metadata));
        let checks = match cx.subresource {
            "status" => R::STATUS_METADATA_CHECKS,
            _ => R::METADATA_CHECKS,
        };
        if checks == MetadataChecks::WholeFirst {
            errors.extend(self.validate_whole(cx, object));
        }
        if checks != MetadataChecks::Nothing {
            errors.extend(metadata::validate_update(metadata, old_metadata));
            errors.extend(plain_finalizers::<R>(metadata));
        }
        if checks == MetadataChecks::Whole {
            errors.extend(metadata::validate(metadata, R::Object::NAMESPACED, R::check_name));
            errors.extend(plain_finalizers::<R>(metadata));
        }
        errors.extend(match cx.subresource {
            "" | "scale" => R::validate_update(cx, object, old),
            "status" => R::validate_status_update(object, old),
            _ => R::validate_subresource_update(cx, object, old),
        });
        errors
    }

    fn warnings(&self, cx: &Context<'_>, object: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        match cx.subresource {
            "status" => R::status_warnings(own(object)),
            _ => R::warnings(own(object), old.map(own)),
        }
    }

    fn undeletable(&self, name: &str) -> Option<&'static str> {
        R::undeletable(name)
    }

    fn left_alone(&self, subresource: &str) -> FieldPaths {
        match subresource {
            "" => R::LEFT_ALONE,
            "status" if R::STATUS_KEEPS_METADATA => &[&["metadata"], &["spec"]],
            "status" => R::LEFT_ALONE_BY_STATUS,
            _ => R::LEFT_ALONE_BY_SUBRESOURCES,
        }
    }

    fn allow_create_on_update(&self) -> bool {
        R::CREATE_ON_UPDATE
    }

    fn allow_unconditional_update(&self) -> bool {
        R::UNCONDITIONAL_UPDATE
    }

    fn grace_period(&self, object: &mut dyn Object, requested: Option<i64>) -> Option<i64> {
        R::grace_period(own_mut(object), requested)
    }

    fn begin_deletion(&self, object: &mut dyn Object, now: Timestamp) {
        R::begin_deletion(own_mut(object), now);
    }

    fn finished(&self, object: &dyn Object) -> bool {
        R::finished(own(object))
    }

    fn garbage_collection(&self) -> GarbageCollection {
        R::GARBAGE_COLLECTION
    }

    fn delete_warning(&self) -> Option<&'static str> {
        R::DELETE_WARNING
    }

    fn returns_deleted_object(&self) -> bool {
        R::RETURNS_DELETED
    }

    fn time_to_live(&self) -> Option<Duration> {
        R::TIME_TO_LIVE
    }

    fn field_of_label(&self, group: &str, label: &str) -> Option<&'static str> {
        let mut own = R::LABELS.iter().filter(|(of, ..)| *of == group).peekable();
        if own.peek().is_some() {
            return own.find(|(_, name, _)| *name == label).map(|(.., field)| *field);
        }
        R::FIELDS.iter().copied().find(|field| *field == label)
    }

    fn selectable_field(&self, object: &dyn Object, field: &str) -> Option<String> {
        R::field(own(object), field)
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        R::FIELDS
    }

    fn unselected(&self) -> &'static [&'static str] {
        R::UNSELECTED
    }

    fn scale(&self, object: &dyn Object) -> Option<Scale> {
        R::scale(own(object))
    }

    fn scale_row(&self, scale: &Scale, now: Timestamp) -> Vec<Value> {
        crate::scale::row(scale, now)
    }

    fn set_scale(&self, object: &mut dyn Object, scale: &Scale) -> Result<(), Status> {
        R::set_scale(own_mut(object), scale)
    }

    fn bind(&self, object: &mut dyn Object, binding: &Binding, now: Timestamp) -> Result<(), String> {
        R::bind(own_mut(object), binding, now)
    }

    fn table_row(&self, object: &dyn Object, now: Timestamp) -> Vec<Value> {
        R::row(own(object), now)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use api::Message;
    use serde_json::Value;

    pub fn parse<T: Message + Default>(json: &Value) -> T {
        T::from_json(json.to_string().as_bytes()).unwrap()
    }
}
