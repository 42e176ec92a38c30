//! PATCH: JSON patch, merge patch and strategic merge patch on the JSON of the served version, or on as much of it as
//! the patch looks at ([`excerpt`]).

mod excerpt;

use api::{Object, codec};
use apimachinery::field::{Error, Path};
use apimachinery::gvk::{GroupKind, GroupResource};
use apimachinery::patch;
use apimachinery::status::Status;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use structured_merge::Printed;

use super::{manager_of, not_found, object_renderer, respond, writer};
use crate::decode::{Expected, json_type, read_json, to_object, yaml_warning};
use crate::managed_fields::{self, ApplyRequest, Configuration, Origin};
use crate::request::options::{FieldValidation, WriteKind, WriteOptions};
use crate::request::{Request, body};
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;
use crate::unstructured::as_conversion;
use crate::write::{Applied, Change};

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Patches of resources that have types.
pub const PATCHES: &[&str] = &[JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH];
/// Patches of custom resources: nothing tells how to merge their lists.
pub const CUSTOM_PATCHES: &[&str] = &[JSON_PATCH, MERGE_PATCH, APPLY_PATCH];

/// Operations of one JSON patch.
const MAX_OPERATIONS: usize = 10_000;

/// A patch, parsed once and applied as often as the write is retried.
pub enum Patch {
    Json(Value),
    Merge(Value),
    Strategic(Value),
    Apply(Configuration),
}

impl Patch {
    /// Reads a patch of a content type, and what strict reading has against it.
    pub fn parse(content_type: &str, body: &Bytes, kinds: &[&str]) -> Result<(Patch, Vec<String>), Status> {
        if !kinds.contains(&content_type) {
            return Err(Status::unsupported_media_type(kinds));
        }
        let document = |context: &str| {
            codec::document::parse(body).map_err(|error| Status::bad_request(format!("{context}{error}")))
        };
        match content_type {
            JSON_PATCH => {
                let (operations, repeated) = document("error decoding patch: ")?;
                check_operations(&operations)?;
                let count = operations.as_array().map_or(0, Vec::len);
                if count > MAX_OPERATIONS {
                    return Err(Status::request_entity_too_large(format!(
                        "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
                    )));
                }
                let repeated = repeated.iter().map(|error| format!("json patch {error}"));
                Ok((Patch::Json(operations), repeated.collect()))
            }
            MERGE_PATCH => {
                let (patch, repeated) = document("error decoding patch: ")?;
                check_object(&patch, "error decoding patch: ")?;
                Ok((Patch::Merge(patch), repeated))
            }
            STRATEGIC_MERGE_PATCH => {
                let (patch, repeated) = document("")?;
                check_object(&patch, "")?;
                Ok((Patch::Strategic(patch), repeated))
            }
            _ => {
                let configuration = Configuration::parse(body)?;
                let repeated = codec::yaml::strict_error(body);
                Ok((Patch::Apply(configuration), repeated.into_iter().collect()))
            }
        }
    }

    /// The patched document.
    pub fn apply(&self, ty: &'static api::types::Type, mut document: Value) -> Result<Value, Status> {
        match self {
            Patch::Json(Value::Null) => Ok(document),
            Patch::Json(operations) => {
                patch::json_patch(&mut document, operations).map_err(|error| {
                    Status::generic(422, "", &GroupResource::default(), "", &error.to_string())
                })?;
                Ok(document)
            }
            Patch::Merge(patch) => {
                patch::merge_patch(&mut document, patch);
                Ok(document)
            }
            Patch::Strategic(patch) => strategic(ty, document, patch),
            Patch::Apply(_) => Err(Status::bad_request(
                "an apply patch applies to a resource, not to a part of one",
            )),
        }
    }

    fn may_create(&self) -> bool {
        matches!(self, Patch::Apply(_))
    }
}

fn check_object(patch: &Value, context: &str) -> Result<(), Status> {
    let found = json_type(patch);
    if matches!(found, "object" | "null") {
        return Ok(());
    }
    let why =
        format!("{context}json: cannot unmarshal {found} into Go value of type map[string]interface {{}}");
    Err(Status::bad_request(why))
}

/// A JSON patch is a list of objects; what these say is judged when they are applied.
fn check_operations(operations: &Value) -> Result<(), Status> {
    let unfit = |found: &str, wanted: &str| {
        Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"
        ))
    };
    let list = match operations {
        Value::Null => return Ok(()),
        Value::Array(list) => list,
        other => return Err(unfit(json_type(other), "[]handlers.jsonPatchOp")),
    };
    match list.iter().find(|operation| !operation.is_object()) {
        Some(other) => Err(unfit(json_type(other), "handlers.jsonPatchOp")),
        None => Ok(()),
    }
}

/// The object stays what it is, whatever kind the patch states.
fn strategic(ty: &'static api::types::Type, document: Value, patch: &Value) -> Result<Value, Status> {
    let mut patch = patch.clone();
    match patch.as_object_mut() {
        Some(members) => members.retain(|name, _| name != "kind" && name != "apiVersion"),
        None => return Ok(document),
    }
    api::smp::apply(document, patch, ty).map_err(|error| Status::bad_request(error.to_string()))
}

/// A patch as the write path's change.
pub struct Patching<'a> {
    pub served: &'a Served,
    pub name: &'a str,
    pub patch: Patch,
    pub validation: FieldValidation,
    /// Members that the patch repeats.
    pub repeated: Vec<String>,
    /// For apply patches, which record themselves who owns what.
    pub origin: Origin<'a>,
    pub force: bool,
}

impl Change for Patching<'_> {
    fn tracks_fields(&self) -> bool {
        matches!(self.patch, Patch::Apply(_))
    }

    fn apply(&self, current: Option<&dyn Object>) -> Result<Applied, Status> {
        if let Patch::Apply(configuration) = &self.patch {
            let request = ApplyRequest {
                origin: self.origin,
                force: self.force,
            };
            let object = managed_fields::apply(request, configuration, current)?;
            let warnings = self.judge_yaml()?;
            return Ok(Applied { object, warnings });
        }
        let Some(current) = current else {
            return Err(not_found(self.served, self.name));
        };
        let raw = self.served.encode(current)?;
        let excerpt = || match self.repeated.as_slice() {
            [] if !self.served.is_custom() => excerpt::apply(self.served.row, &self.patch, &raw),
            _ => None,
        };
        let (object, warnings) = match excerpt() {
            Some(object) => (object, Vec::new()),
            None => self.apply_to_all(&raw)?,
        };
        Ok(Applied {
            object: self.served.to_storage(object)?,
            warnings,
        })
    }
}

impl Patching<'_> {
    /// Warns of, or refuses, keys that an apply patch repeats.
    fn judge_yaml(&self) -> Result<Vec<String>, Status> {
        match (self.validation, self.repeated.first()) {
            (FieldValidation::Ignore, _) | (_, None) => Ok(Vec::new()),
            (FieldValidation::Warn, Some(_)) => Ok(self
                .repeated
                .iter()
                .map(|error| yaml_warning(error).to_owned())
                .collect()),
            (FieldValidation::Strict, Some(error)) => Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {error}"
            ))),
        }
    }

    fn apply_to_all(&self, raw: &[u8]) -> Result<(Box<dyn Object>, Vec<String>), Status> {
        let row = self.served.row;
        let document = raw_to_document(self.served, raw)?;
        let patched = self.patch.apply(row.ty, document)?;
        let json = serde_json::to_vec(&patched).map_err(Status::internal)?;
        let decoded = match read_json(&json, Expected::from(row)) {
            Ok(decoded) => decoded,
            Err(failure) => return Err(self.unreadable(raw, &patched, failure.into_reason())?),
        };
        let (object, found) = match to_object(self.served, decoded) {
            Ok(object) => object,
            Err(why) => return Err(self.unreadable(raw, &patched, why)?),
        };
        let mut strict_errors = self.repeated.clone();
        strict_errors.extend(found);
        let warnings = match self.validation {
            FieldValidation::Ignore => Vec::new(),
            FieldValidation::Warn => strict_errors,
            FieldValidation::Strict if strict_errors.is_empty() => Vec::new(),
            FieldValidation::Strict => {
                let why = format!("strict decoding error: {}", strict_errors.join(", "));
                return Err(self.unreadable(raw, &patched, why)?);
            }
        };
        Ok((object, warnings))
    }

    /// The patch makes something that is no object of the kind. Upstream shows what it had in hand: the document as
    /// patched, or the patch alone.
    fn unreadable(&self, raw: &[u8], patched: &Value, why: String) -> Result<Status, Status> {
        let (value, why) = match &self.patch {
            Patch::Strategic(patch) => (Printed(patch).to_string(), as_conversion(why)),
            Patch::Merge(patch) => (self.shown(raw, patched, patch)?, why),
            Patch::Json(operations) => (self.shown(raw, patched, &touched(operations))?, why),
            Patch::Apply(_) => (patched.to_string(), why),
        };
        let error = Error::invalid(&Path::new("patch"), value, why);
        Ok(Status::invalid(&GroupKind::default(), "", vec![error]))
    }

    fn shown(&self, raw: &[u8], patched: &Value, patch: &Value) -> Result<String, Status> {
        let before = to_json(self.served, raw)?;
        let before = serde_json::value::RawValue::from_string(before).map_err(Status::internal)?;
        Ok(shown(Some(&before), patched, patch))
    }
}

/// What the operations of a JSON patch lead through, as a merge patch would.
fn touched(operations: &Value) -> Value {
    let mut all = Value::Object(serde_json::Map::new());
    let operations = operations.as_array().into_iter().flatten();
    for path in operations.flat_map(|operation| [&operation["path"], &operation["from"]]) {
        let mut place = &mut all;
        for name in path.as_str().unwrap_or_default().split('/').skip(1) {
            let name = name.replace("~1", "/").replace("~0", "~");
            if !place.is_object() {
                *place = Value::Object(serde_json::Map::new());
            }
            place = &mut place[name];
        }
    }
    all
}

/// A document after a merge patch: members in the order of their names where the patch was, else as they were.
fn shown(before: Option<&serde_json::value::RawValue>, after: &Value, patch: &Value) -> String {
    let (Some(members), Some(patches)) = (after.as_object(), patch.as_object()) else {
        return after.to_string();
    };
    type Members<'m> = std::collections::BTreeMap<String, &'m serde_json::value::RawValue>;
    let old: Members<'_> = before
        .and_then(|before| serde_json::from_str(before.get()).ok())
        .unwrap_or_default();
    let member = |(name, value): (&String, &Value)| {
        let old = old.get(name.as_str()).copied();
        let text = match (patches.get(name), old) {
            (None, Some(old)) => old.get().to_owned(),
            (None, None) => value.to_string(),
            (Some(patch), old) => shown(old, value, patch),
        };
        format!("{}:{text}", Value::from(name.as_str()))
    };
    let members: Vec<String> = members.iter().map(member).collect();
    format!("{{{}}}", members.join(","))
}

/// The JSON of bare protobuf of the served version, as a tree.
pub fn raw_to_document(served: &Served, raw: &[u8]) -> Result<Value, Status> {
    serde_json::from_str(&to_json(served, raw)?).map_err(Status::internal)
}

fn to_json(served: &Served, raw: &[u8]) -> Result<String, Status> {
    let meta = codec::TypeMeta {
        api_version: served.row.api_version,
        kind: served.row.kind,
    };
    let mut json = Vec::with_capacity(raw.len() * 2);
    crate::kind::push_json(Some(meta), served.row.ty, raw, &mut json).map_err(Status::internal)?;
    String::from_utf8(json).map_err(Status::internal)
}

async fn exists(served: &Served, request: &Request) -> Result<bool, Status> {
    let key = served.objects.key(&request.info.namespace, &request.info.name);
    Ok(served.objects.load(&key).await?.is_some())
}

/// Kinds of patches that a resource takes.
pub fn accepted(served: &Served) -> &'static [&'static str] {
    if served.is_custom() {
        CUSTOM_PATCHES
    } else {
        PATCHES
    }
}

pub async fn patch(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let content_type = request
        .header("content-type")
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let kind = if content_type == APPLY_PATCH {
        WriteKind::Apply
    } else {
        WriteKind::Patch
    };
    let renderer = object_renderer(api, served, request)?;
    let body = body::read(request).await?;
    let options = WriteOptions::parse(&request.query, kind)?;
    let name = request.info.name.clone();
    let (patch, repeated) = match Patch::parse(&content_type, &body, accepted(served)) {
        Ok(parsed) => parsed,
        // What can't be applied to nothing is not even read.
        Err(_) if kind == WriteKind::Patch && !exists(served, request).await? => {
            return Err(not_found(served, &name));
        }
        Err(status) => return Err(status),
    };
    let force_create = patch.may_create();
    let (manager, subresource) = (manager_of(request), request.info.subresource.clone());
    let change = Patching {
        served,
        name: &name,
        patch,
        validation: options.field_validation,
        repeated,
        origin: Origin {
            served,
            manager: &manager,
            subresource: &subresource,
            now: api.clock.now(),
        },
        force: options.force == Some(true),
    };
    let mut writer = writer(api, served, request, options.dry_run, options.to_json(kind));
    let saved = writer.update(&change, force_create).await;
    let warnings = std::mem::take(&mut writer.warnings);
    warnings.into_iter().for_each(|warning| request.warn(warning));
    let saved = saved?;
    let code = if saved.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    respond(&renderer, request, code, &saved.written).await
}
