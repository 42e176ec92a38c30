//! Request bodies as messages: by content type, strictly or not, with upstream's errors.

use api::catalogue::Resource;
use api::codec::{self, envelope};
use api::meta::v1::DeleteOptions;
use api::types::{Form, Type};
use api::{Custom, Message};
use apimachinery::gvk::GroupVersion;
use apimachinery::status::Status;
use serde_json::Value;

use crate::kind::api_version_of;
use crate::request::negotiate::{Encoding, body_encoding};
use crate::request::options::{FieldValidation, flag, number};
use crate::request::{Request, body};
use crate::resource::Served;

/// How much of an unreadable body an error quotes.
const SUMMARY_BYTES: usize = 30;

/// In what custom objects are read.
const DOCUMENTS: [&str; 2] = ["application/json", "application/yaml"];

/// How errors of strict YAML reading begin where they are not warnings.
const YAML_ERRORS: &str = "yaml: unmarshal errors:\n  ";

/// What upstream calls the registries of its kinds in errors: where in its source they are made.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";
const OPTIONS_SCHEME: &str = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27";

/// How upstream's decoder names the type that it reads a body's kind into.
const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

/// The kind that a body shall have.
#[derive(Clone, Copy)]
pub struct Expected {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub ty: &'static Type,
    /// Former versions, with the same fields, that are read as well.
    pub also: &'static [&'static str],
}

impl From<&'static Resource> for Expected {
    fn from(row: &'static Resource) -> Expected {
        Expected {
            group: row.group,
            version: row.version,
            kind: row.kind,
            ty: row.ty,
            also: &[],
        }
    }
}

/// A body as bare protobuf, with what strict reading has against it.
pub struct Decoded {
    pub proto: Vec<u8>,
    pub strict_errors: Vec<String>,
}

/// Reads the body as an object of a resource.
pub async fn read_object(
    request: &mut Request,
    served: &Served,
    validation: FieldValidation,
) -> Result<Box<dyn api::Object>, Status> {
    let row = served.row;
    let decoded = read_body(request, row.into(), validation).await?;
    let (object, strict_errors) = to_object(served, decoded).map_err(Status::bad_request)?;
    judge(request, row.into(), validation, &strict_errors)?;
    Ok(object)
}

/// A message as an object of a resource, with what strict reading has against it. What a custom kind does not know is
/// dropped.
pub fn to_object(served: &Served, decoded: Decoded) -> Result<(Box<dyn api::Object>, Vec<String>), String> {
    let mut strict_errors = decoded.strict_errors;
    let mut object = (served.row.decode)(&decoded.proto).map_err(|error| error.to_string())?;
    if let Some(custom) = Custom::of_mut(&mut *object) {
        let unknown = served.objects.strategy().prune(custom)?;
        strict_errors.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
    }
    Ok((object, strict_errors))
}

/// Reads the body as one kind, and returns its bare protobuf.
pub async fn read_message(
    request: &mut Request,
    expected: Expected,
    validation: FieldValidation,
) -> Result<Vec<u8>, Status> {
    let decoded = read_body(request, expected, validation).await?;
    judge(request, expected, validation, &decoded.strict_errors)?;
    Ok(decoded.proto)
}

async fn read_body(
    request: &mut Request,
    expected: Expected,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let encoding = body_encoding(request.header("content-type"))?;
    let body = body::read(request).await?;
    Ok(match encoding {
        Encoding::Json => decode_json(&body, expected)?,
        Encoding::Yaml => {
            let json = codec::yaml::to_json(&body)
                .map_err(|error| unrecognized(expected, &error.to_string(), &body))?;
            let mut decoded = decode_json(&json, expected)?;
            if validation != FieldValidation::Ignore {
                decoded
                    .strict_errors
                    .splice(0..0, codec::yaml::strict_error(&body));
            }
            decoded
        }
        Encoding::Protobuf if expected.ty.form == Form::Open => {
            return Err(Status::unsupported_media_type(&DOCUMENTS));
        }
        Encoding::Protobuf => decode_protobuf(&body, expected)?,
    })
}

/// An error of strict reading as a warning.
pub fn yaml_warning(error: &str) -> &str {
    error.strip_prefix(YAML_ERRORS).unwrap_or(error)
}

/// Warns of, or refuses, what strict reading has against a body.
fn judge(
    request: &mut Request,
    expected: Expected,
    validation: FieldValidation,
    strict_errors: &[String],
) -> Result<(), Status> {
    match validation {
        _ if strict_errors.is_empty() => {}
        FieldValidation::Ignore => {}
        FieldValidation::Warn => strict_errors
            .iter()
            .for_each(|error| request.warn(yaml_warning(error))),
        FieldValidation::Strict => {
            let errors = strict_errors.join(", ");
            let Expected { kind, version, .. } = expected;
            return Err(cannot_be_handled(
                kind,
                version,
                expected,
                &format!("strict decoding error: {errors}"),
            ));
        }
    }
    Ok(())
}

/// Why a document is not the kind that it shall be.
pub enum Failure {
    /// It does not say what it is.
    Unrecognized(String),
    /// It is something else, or not well-formed.
    Unfit {
        kind: String,
        version: String,
        why: String,
    },
    /// It is of another version.
    OtherVersion(String),
}

impl Failure {
    fn unfit(expected: Expected, why: String) -> Failure {
        Failure::Unfit {
            kind: expected.kind.to_owned(),
            version: expected.version.to_owned(),
            why,
        }
    }

    /// As it is told about a request's body.
    fn into_status(self, expected: Expected, body: &[u8]) -> Status {
        match self {
            Failure::Unrecognized(why) => unrecognized(expected, &why, body),
            Failure::Unfit { kind, version, why } => cannot_be_handled(&kind, &version, expected, &why),
            Failure::OtherVersion(why) => Status::bad_request(why),
        }
    }

    /// The bare reason.
    pub fn into_reason(self) -> String {
        match self {
            Failure::Unrecognized(why) | Failure::Unfit { why, .. } | Failure::OtherVersion(why) => why,
        }
    }
}

/// Reads a JSON document as one kind, as a request's body.
pub fn decode_json(json: &[u8], expected: Expected) -> Result<Decoded, Status> {
    read_json(json, expected).map_err(|failure| failure.into_status(expected, json))
}

/// Reads a JSON document as one kind.
pub fn read_json(json: &[u8], expected: Expected) -> Result<Decoded, Failure> {
    match codec::json_to_proto(expected.ty, json) {
        Ok(parsed) => {
            if expected.ty.form == Form::Open && parsed.kind.is_empty() {
                let shown = String::from_utf8_lossy(json);
                let why = format!("Object 'Kind' is missing in '{shown}'");
                return Err(Failure::Unrecognized(why));
            }
            check_kind(&parsed.api_version, &parsed.kind, expected)?;
            Ok(Decoded {
                proto: parsed.proto,
                strict_errors: parsed.strict_errors,
            })
        }
        Err(error) => {
            // What the body says it is stands in the error; it may be why reading it as something else failed.
            let (api_version, kind) = stated_kind(json, &error).map_err(Failure::Unrecognized)?;
            check_kind(&api_version, &kind, expected)?;
            Err(Failure::unfit(expected, error.to_string()))
        }
    }
}

/// apiVersion and kind of a document that could not be read as its kind; or why it has none.
fn stated_kind(json: &[u8], error: &codec::Error) -> Result<(String, String), String> {
    let unreadable = |why: &str| format!("couldn't get version/kind; json parse error: {why}");
    let document: Value = serde_json::from_slice(json).map_err(|_| unreadable(&error.to_string()))?;
    let found = json_type(&document);
    if !matches!(found, "object" | "null") {
        let why = format!("json: cannot unmarshal {found} into Go value of type {TYPE_META}");
        return Err(unreadable(&why));
    }
    let text = |key: &str| match &document[key] {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        other => Err(unreadable(&format!(
            "json: cannot unmarshal {} into Go struct field .{key} of type string",
            json_type(other)
        ))),
    };
    Ok((text("apiVersion")?, text("kind")?))
}

/// What Go's decoder calls a JSON value.
pub fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A kind of a version as upstream prints it; nothing of it if the version is none.
pub fn kind_text(api_version: &str, kind: &str) -> String {
    match GroupVersion::parse(api_version) {
        Ok(GroupVersion { group, version }) => format!("{group}/{version}, Kind={kind}"),
        Err(_) => "/, Kind=".to_owned(),
    }
}

fn decode_protobuf(body: &[u8], expected: Expected) -> Result<Decoded, Status> {
    let envelope =
        envelope::unwrap(body).map_err(|error| unrecognized(expected, &error.to_string(), body))?;
    check_kind(envelope.type_meta.api_version, envelope.type_meta.kind, expected)
        .map_err(|failure| failure.into_status(expected, body))?;
    codec::check_documents(expected.ty, envelope.raw)
        .map_err(|error| cannot_be_handled(expected.kind, expected.version, expected, &error.to_string()))?;
    Ok(Decoded {
        proto: envelope.raw.to_vec(),
        strict_errors: Vec::new(),
    })
}

/// The body must be of the endpoint's kind; what it leaves out is taken to be.
fn check_kind(api_version: &str, kind: &str, expected: Expected) -> Result<(), Failure> {
    let wanted = api_version_of(expected.group, expected.version);
    if expected.ty.form == Form::Open {
        return check_custom_version(api_version, &wanted);
    }
    let stated = if api_version.is_empty() {
        wanted.as_str()
    } else {
        api_version
    };
    let kind = if kind.is_empty() { expected.kind } else { kind };
    let former = |version: &&str| stated == api_version_of(expected.group, version);
    if kind == expected.kind && (stated == wanted || expected.also.iter().any(former)) {
        return Ok(());
    }
    let GroupVersion { group, version } =
        GroupVersion::parse(stated).map_err(|error| Failure::Unrecognized(error.to_string()))?;
    let unfit = |why: String| Failure::Unfit {
        kind: kind.to_owned(),
        version: version.clone(),
        why,
    };
    if api::catalogue::kind(&group, &version, kind).is_none() {
        return Err(unfit(format!(
            "no kind {kind:?} is registered for version {stated:?} in scheme {SCHEME:?}"
        )));
    }
    if kind != expected.kind {
        return Err(unfit(format!(
            "converting ({version}.{kind}) to ({}.{}): unknown conversion",
            go_package(expected.group),
            expected.kind
        )));
    }
    Err(Failure::OtherVersion(format!(
        "the API version in the data ({stated}) does not match the expected API version ({wanted})"
    )))
}

/// A custom object states its version; whether its kind is right is for validation to say.
fn check_custom_version(stated: &str, wanted: &str) -> Result<(), Failure> {
    if stated == wanted {
        return Ok(());
    }
    Err(Failure::OtherVersion(format!(
        "the API version in the data ({stated}) does not match the expected API version ({wanted})"
    )))
}

/// The Go package of a group's internal types, as conversion errors name it.
fn go_package(group: &str) -> &str {
    match group.split('.').next().unwrap_or_default() {
        "" => "core",
        first => first,
    }
}

fn cannot_be_handled(kind: &str, version: &str, expected: Expected, why: &str) -> Status {
    Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {}: {why}",
        expected.kind
    ))
}

fn unrecognized(expected: Expected, why: &str, body: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        expected.kind,
        summary(body)
    ))
}

/// The start of a body: as text if it looks like JSON, in hexadecimal else.
fn summary(body: &[u8]) -> String {
    let start = &body[..body.len().min(SUMMARY_BYTES)];
    let text = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(start).into_owned(),
        Some(_) => start.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > SUMMARY_BYTES {
        format!("{text} ...")
    } else {
        text
    }
}

/// DeleteOptions come as a body or, without one, as parameters.
pub async fn read_delete_options(request: &mut Request) -> Result<DeleteOptions, Status> {
    let encoding = body_encoding(request.header("content-type"));
    let body = body::read(request).await?;
    if body.is_empty() {
        return delete_options_from_query(request);
    }
    let unreadable = |error: &dyn std::fmt::Display| Status::bad_request(error.to_string());
    let proto = match encoding? {
        Encoding::Protobuf => {
            let envelope = envelope::unwrap(&body).map_err(|error| unreadable(&error))?;
            check_options_kind(envelope.type_meta.api_version, envelope.type_meta.kind)?;
            envelope.raw.to_vec()
        }
        Encoding::Json => options_of_json(&body)?,
        Encoding::Yaml => options_of_json(&codec::yaml::to_json(&body).map_err(|error| unreadable(&error))?)?,
    };
    DeleteOptions::decode(&proto).map_err(|error| unreadable(&error))
}

fn options_of_json(json: &[u8]) -> Result<Vec<u8>, Status> {
    match codec::json_to_proto(&api::types::meta_v1::DELETE_OPTIONS, json) {
        Ok(parsed) => {
            check_options_kind(&parsed.api_version, &parsed.kind)?;
            Ok(parsed.proto)
        }
        Err(error) => {
            let (api_version, kind) = stated_kind(json, &error).map_err(Status::bad_request)?;
            check_options_kind(&api_version, &kind)?;
            Err(Status::bad_request(error.to_string()))
        }
    }
}

/// Clients may send the DeleteOptions of any group that there is.
fn check_options_kind(api_version: &str, kind: &str) -> Result<(), Status> {
    let api_version = if api_version.is_empty() {
        "meta.k8s.io/v1"
    } else {
        api_version
    };
    let kind = if kind.is_empty() { "DeleteOptions" } else { kind };
    let stated = GroupVersion::parse(api_version).map_err(|error| Status::bad_request(error.to_string()))?;
    let is_served = stated.group == "meta.k8s.io"
        || api::catalogue::GROUPS
            .iter()
            .any(|group| group.name == stated.group);
    if kind == "DeleteOptions" && is_served {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "no kind {kind:?} is registered for version {api_version:?} in scheme {OPTIONS_SCHEME:?}"
    )))
}

fn delete_options_from_query(request: &Request) -> Result<DeleteOptions, Status> {
    let query = &request.query;
    Ok(DeleteOptions {
        grace_period_seconds: number(query, "gracePeriodSeconds")?,
        orphan_dependents: flag(query, "orphanDependents"),
        propagation_policy: query.get("propagationPolicy").map(str::to_owned),
        dry_run: query.all("dryRun").map(str::to_owned).collect(),
        ..DeleteOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(json: &str, expected: Expect) {
        let row = api::catalogue::resource("", "v1", "configmaps").expect("served");
        let line = match decode_json(json.as_bytes(), row.into()) {
            Ok(decoded) => format!("ok {:?}", decoded.strict_errors),
            Err(status) => format!("{} {}", status.code, status.message),
        };
        expected.assert_eq(&line);
    }

    #[test]
    fn bodies_are_judged_as_upstream_does() {
        check(r#"{"metadata":{"name":"a"}}"#, expect!["ok []"]);
        check(
            r#"{"kind":"ConfigMap","apiVersion":"v1","foo":1}"#,
            expect![[r#"ok ["unknown field \"foo\""]"#]],
        );
        check(
            r#"{"kind":"Pod","apiVersion":"v1"}"#,
            expect![[
                r#"400 Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion"#
            ]],
        );
        check(
            r#"{"kind":"Nope","apiVersion":"v1"}"#,
            expect![[
                r#"400 Nope in version "v1" cannot be handled as a ConfigMap: no kind "Nope" is registered for version "v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#
            ]],
        );
    }
}
