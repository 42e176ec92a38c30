//! Apply patches: a configuration laid over the live object, in the name of a manager.

use api::{Object, codec};
use apimachinery::status::Status;
use apimachinery::time::Time;
use bytes::Bytes;
use serde_json::Value;
use structured_merge::managers::{self, Error, Manager};
use structured_merge::{Conflict, Managers, Set, Versions, compare, field_set};

use super::entries::Entries;
use super::kind_versions::KindVersions;
use super::node::Node;
use super::{Origin, conflicts, document, encoded, internal, record_update, strip};
use crate::decode::{self, Expected};
use crate::resource::Served;

/// Who owned what there was before anything was applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The one manager that takes over what it applied on the client's side.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A partial object, as it was sent.
pub struct Configuration(Value);

/// What an apply is told beside its configuration.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub origin: Origin<'a>,
    pub force: bool,
}

impl Configuration {
    /// Reads YAML or JSON.
    pub fn parse(body: &Bytes) -> Result<Configuration, Status> {
        let unreadable = |why: String| Status::bad_request(format!("error decoding YAML: {why}"));
        let json = codec::yaml::to_json(body)
            .map_err(|error| unreadable(format!("error converting YAML to JSON: {error}")))?;
        let document: Value = serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
        match decode::json_type(&document) {
            "object" | "null" => Ok(Configuration(document)),
            found => Err(unreadable(format!(
                "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
            ))),
        }
    }

    /// Checks that it is a configuration of what it is sent to.
    fn check(&self, served: &Served) -> Result<(), Status> {
        let text = |key: &str| self.0[key].as_str().unwrap_or_default();
        let row = served.row;
        if (text("apiVersion"), text("kind")) != (row.api_version, row.kind) {
            let (group_version, kind) = (text("apiVersion"), text("kind"));
            return Err(Status::bad_request(format!(
                "invalid object type: {}",
                decode::kind_text(group_version, kind)
            )));
        }
        if !self.0["metadata"]["managedFields"].is_null() {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        structured_merge::check(&self.0, Node::root(row, served.objects.strategy())).map_err(|errors| {
            let object = self.described(row.api_version, row.kind);
            Status::unknown(format!(
                "failed to create typed patch object ({object}): {errors}"
            ))
        })
    }

    /// `NAMESPACE/NAME; GROUP/VERSION, Kind=KIND`, as far as it says so.
    fn described(&self, api_version: &str, kind: &str) -> String {
        let metadata = |key: &str| self.0["metadata"][key].as_str().unwrap_or_default();
        let (namespace, name) = (metadata("namespace"), metadata("name"));
        format!("{namespace}/{name}; {}", decode::kind_text(api_version, kind))
    }
}

/// The object that applying makes of a live one (none: of nothing), with its managers.
pub fn apply(
    request: Request<'_>,
    configuration: &Configuration,
    live: Option<&dyn Object>,
) -> Result<Box<dyn Object>, Status> {
    let served = request.origin.served;
    configuration.check(served)?;
    let Some(mut entries) = Entries::stored(live.map_or(&[], |live| &live.metadata().managed_fields)) else {
        return Err(Status::unknown("failed to decode managed fields"));
    };
    let before = document(served, live)?;
    if entries.managers.is_empty() && live.is_some() {
        let origin = Origin {
            manager: BEFORE_FIRST_APPLY,
            ..request.origin
        };
        record_update(
            &mut entries,
            origin,
            &encoded(served, None)?,
            &encoded(served, live)?,
        )
        .map_err(internal)?;
    }
    let new = settle(request, configuration, &before, &mut entries)?;
    let mut object = match (new, live) {
        (None, Some(live)) => live.clone_box(),
        (new, _) => to_object(served, &new.unwrap_or(before), configuration)?,
    };
    renew_last_applied(request.origin.manager, configuration, &mut *object);
    object.metadata_mut().managed_fields = entries.encode();
    Ok(object)
}

/// Applies, and takes over what a client applied by other means before.
fn settle(
    request: Request<'_>,
    configuration: &Configuration,
    before: &Value,
    entries: &mut Entries,
) -> Result<Option<Value>, Status> {
    let origin = request.origin;
    let versions = KindVersions::new(origin.served, origin.subresource);
    let manager = Manager {
        name: origin.manager.to_owned(),
        applies: true,
        api_version: String::new(),
        subresource: origin.subresource.to_owned(),
    };
    let attempt = |managers: &mut Managers, force| {
        managers::apply(managers, before, &configuration.0, &manager, force, &versions)
    };
    let mut managers = entries.managers.clone();
    let mut result = attempt(&mut managers, request.force);
    if let Err(Error::Conflicts(found)) = &result
        && origin.manager == KUBECTL
        && let Some(own) = last_applied(before, &versions)
    {
        let others: Vec<Conflict> = found
            .iter()
            .filter(|conflict| !own.has(&conflict.path))
            .cloned()
            .collect();
        if !others.is_empty() {
            return Err(conflicts::refuse(&others));
        }
        managers = entries.managers.clone();
        result = attempt(&mut managers, true);
    }
    let new = result.map_err(|error| match error {
        Error::Conflicts(found) => conflicts::refuse(&found),
        other => Status::unknown(other.to_string()),
    })?;
    strip(&mut managers, &manager).map_err(internal)?;
    entries.managers = managers;
    // Applying what is there already changes nothing, not even a time.
    if new.is_some() {
        entries.times.insert(manager, Some(Time(origin.now).truncated()));
    }
    Ok(new)
}

/// The fields that the last-applied annotation states and that are still as it states them.
fn last_applied(live: &Value, versions: &KindVersions<'_>) -> Option<Set> {
    let annotation = live["metadata"]["annotations"][LAST_APPLIED]
        .as_str()
        .filter(|text| !text.is_empty())?;
    let stated: Value = serde_json::from_str(annotation).ok()?;
    if stated["apiVersion"].as_str() != Some(versions.own()) {
        return None;
    }
    let schema: Node<'_> = versions.schema(versions.own())?;
    let comparison = compare(&stated, live, schema).ok()?;
    let set = field_set(&stated, schema).ok()?;
    Some(
        set.difference(&comparison.modified)
            .difference(&comparison.added)
            .difference(&comparison.removed),
    )
}

/// Keeps the annotation of a client that still applies by itself in step.
fn renew_last_applied(manager: &str, configuration: &Configuration, object: &mut dyn Object) {
    let annotations = &mut object.metadata_mut().annotations;
    let Some(last) = annotations
        .get_mut(LAST_APPLIED)
        .filter(|last| manager == KUBECTL && !last.is_empty())
    else {
        return;
    };
    let mut stated = configuration.0.clone();
    if let Some(annotations) = stated["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    *last = format!("{stated}\n");
}

/// The merged document as an object of the kind.
fn to_object(
    served: &Served,
    document: &Value,
    configuration: &Configuration,
) -> Result<Box<dyn Object>, Status> {
    let row = served.row;
    let json = serde_json::to_vec(document).map_err(Status::internal)?;
    let decoded = decode::read_json(&json, Expected::from(row)).map_err(|failure| {
        let object = configuration.described(row.api_version, row.kind);
        let kind = decode::kind_text(row.api_version, row.kind);
        let why = crate::unstructured::as_conversion(failure.into_reason());
        Status::unknown(format!(
            "failed to convert new object ({object}) to proper version: unable to convert unstructured object to {kind}: {why}"
        ))
    })?;
    let (object, _) = decode::to_object(served, decoded).map_err(Status::internal)?;
    served.to_storage(object)
}
