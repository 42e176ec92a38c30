//! The stored form of objects, as upstream's servers have it: protobuf in an envelope, but JSON for what its
//! extension and aggregation servers keep, custom objects among it; in the version that the catalogue names as that of storage.
//!
//! Versions of a kind that differ in name only are read alike. CustomResourceDefinitions are stored in a version
//! that is not served any more and has another shape: `definitions` converts.
//!
//! Upstream: `StorageFactory`, `apiextensions-apiserver/pkg/apis/apiextensions`.

mod definitions;

use api::Object;
use api::catalogue::{self, Resource};
use api::codec::envelope;
use api::codec::{self, TypeMeta};
use api::types::Form as Shape;

use super::{Error, api_version_of, convert, wrap};

/// Kinds whose versions before v1 have v1's fields and numbers: clusters that lived through them still hold such
/// objects, and some are stored so today.
const SAME_SHAPE: &[(&str, &str, &[&str])] = &[
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicy",
        &["v1alpha1", "v1beta1"],
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        &["v1alpha1", "v1beta1"],
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        &["v1beta1"],
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        &["v1beta1"],
    ),
    ("networking.k8s.io", "IPAddress", &["v1alpha1", "v1beta1"]),
    ("networking.k8s.io", "ServiceCIDR", &["v1alpha1", "v1beta1"]),
    (
        "storage.k8s.io",
        "VolumeAttributesClass",
        &["v1alpha1", "v1beta1"],
    ),
];

/// How a group's objects are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Protobuf,
    Json,
}

fn form(row: &Resource) -> Form {
    match row.group {
        _ if row.ty.form == Shape::Open => Form::Json,
        "apiextensions.k8s.io" | "apiregistration.k8s.io" => Form::Json,
        _ => Form::Protobuf,
    }
}

/// Group and version that stored objects name.
fn storage_version(row: &Resource) -> (&'static str, &'static str) {
    row.storage.unwrap_or((row.group, row.version))
}

/// The stored form of an object of the row's version, given as bare protobuf.
pub fn encode(row: &Resource, raw: &[u8]) -> Result<Vec<u8>, Error> {
    encode_as(row, storage_version(row), raw)
}

/// The same, but naming the row's own version, whatever the storage version is.
pub fn encode_own(row: &Resource, raw: &[u8]) -> Result<Vec<u8>, Error> {
    encode_as(row, (row.group, row.version), raw)
}

fn encode_as(row: &Resource, (group, version): (&str, &str), raw: &[u8]) -> Result<Vec<u8>, Error> {
    if form(row) == Form::Protobuf {
        return Ok(wrap(group, version, row.kind, raw));
    }
    let mut json = Vec::with_capacity(raw.len() * 2);
    let type_meta = TypeMeta {
        api_version: &api_version_of(group, version),
        kind: row.kind,
    };
    codec::proto_to_json(Some(type_meta), row.ty, raw, &mut json)?;
    if version != row.version && row.kind == definitions::KIND {
        json = definitions::to_v1beta1(&json)?;
    }
    // Upstream's encoder ends each document so.
    json.push(b'\n');
    Ok(json)
}

/// The bare protobuf of a stored object, if it stands there as the row's version has it.
pub fn raw<'a>(row: &Resource, value: &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
    if is_json(value) {
        return Ok(None);
    }
    let envelope = envelope::unwrap(value)?;
    Ok(reads_as(row, &envelope.type_meta).then_some(envelope.raw))
}

/// Decodes a stored object into the row's version, whatever version was stored.
pub fn decode(row: &'static Resource, value: &[u8]) -> Result<Box<dyn Object>, Error> {
    if is_json(value) {
        return decode_json(row, value);
    }
    let envelope = envelope::unwrap(value)?;
    if reads_as(row, &envelope.type_meta) {
        return Ok((row.decode)(envelope.raw)?);
    }
    let TypeMeta { api_version, kind } = envelope.type_meta;
    let (group, version) = split(api_version);
    let decode = catalogue::kind(group, version, kind)
        .and_then(|info| info.decode)
        .ok_or_else(|| unknown(api_version, kind))?;
    Ok(convert(decode(envelope.raw)?, row)?)
}

fn decode_json(row: &'static Resource, value: &[u8]) -> Result<Box<dyn Object>, Error> {
    let converted = match row.kind {
        definitions::KIND => definitions::to_v1(value)?,
        _ => None,
    };
    let parsed = codec::json_to_proto(row.ty, converted.as_deref().unwrap_or(value))?;
    let type_meta = TypeMeta {
        api_version: &parsed.api_version,
        kind: &parsed.kind,
    };
    let is_custom = row.ty.form == Shape::Open && parsed.kind == row.kind;
    if !is_custom && !reads_as(row, &type_meta) {
        return Err(unknown(&parsed.api_version, &parsed.kind));
    }
    let object = (row.decode)(&parsed.proto)?;
    match is_custom {
        true => Ok(convert(object, row)?),
        false => Ok(object),
    }
}

fn is_json(value: &[u8]) -> bool {
    value.first() == Some(&b'{')
}

/// Whether what names itself so has the shape of the row's version.
fn reads_as(row: &Resource, meta: &TypeMeta<'_>) -> bool {
    let (group, version) = split(meta.api_version);
    let is_alike = || {
        SAME_SHAPE.iter().any(|(of_group, kind, versions)| {
            *of_group == group && *kind == row.kind && row.version == "v1" && versions.contains(&version)
        })
    };
    meta.kind == row.kind && group == row.group && (version == row.version || is_alike())
}

fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

fn unknown(api_version: &str, kind: &str) -> Error {
    Error::UnknownKind {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: &str, plural: &str) -> &'static Resource {
        catalogue::resource(group, "v1", plural).expect("a row of the catalogue")
    }

    /// Stores a document of the row's version; returns what stands in the store and what is read back, as JSON.
    fn round_trip(row: &'static Resource, document: &str) -> (Vec<u8>, String) {
        let parsed = codec::json_to_proto(row.ty, document.as_bytes()).expect("a document");
        assert_eq!(parsed.strict_errors, Vec::<String>::new());
        let stored = encode(row, &parsed.proto).expect("a stored form");
        let object = decode(row, &stored).expect("a stored object");
        let mut raw = Vec::new();
        object.encode(&mut raw);
        let mut json = Vec::new();
        codec::proto_to_json(None, row.ty, &raw, &mut json).expect("JSON");
        (stored, String::from_utf8(json).expect("text"))
    }

    #[test]
    fn most_kinds_are_protobuf_of_their_storage_version() {
        for (group, plural, expected) in [
            ("", "configmaps", "k8s\0\n\x0f\n\x02v1\x12\tConfigMap"),
            (
                "admissionregistration.k8s.io",
                "mutatingadmissionpolicies",
                "k8s\0\n?\n$admissionregistration.k8s.io/v1beta1\x12\x17MutatingAdmissionPolicy",
            ),
        ] {
            let document = r#"{"metadata":{"name":"a","creationTimestamp":"2026-01-01T00:00:00Z"}}"#;
            let (stored, back) = round_trip(row(group, plural), document);
            let head = String::from_utf8_lossy(&stored[..expected.len()]).into_owned();
            assert_eq!(head, expected, "{plural}");
            assert!(back.contains(r#""name":"a""#), "{back}");
            let read = raw(row(group, plural), &stored).expect("an envelope");
            assert!(read.is_some(), "read without being decoded");
        }
    }

    #[test]
    fn aggregated_services_are_json() {
        let spec = r#"{"spec":{"group":"x.io","groupPriorityMinimum":5,"version":"v1","versionPriority":1},"status":{}}"#;
        let (stored, back) = round_trip(row("apiregistration.k8s.io", "apiservices"), spec);
        let stored = String::from_utf8(stored).expect("text");
        assert!(
            stored.starts_with(r#"{"kind":"APIService","apiVersion":"apiregistration.k8s.io/v1","#),
            "{stored}"
        );
        assert!(stored.ends_with("}\n"), "{stored}");
        assert!(back.contains(r#""groupPriorityMinimum":5"#), "{back}");
    }

    #[test]
    fn definitions_are_json_of_a_version_that_is_gone() {
        let document = r#"{"metadata":{"name":"things.x.io"},"spec":{"group":"x.io","names":{"plural":"things","kind":"Thing"},"scope":"Namespaced","versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}},"additionalPrinterColumns":[{"name":"A","type":"string","jsonPath":".a"}]}],"conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"url":"https://x"}}}},"status":{"conditions":null,"acceptedNames":{"plural":"","kind":""},"storedVersions":null}}"#;
        let definitions = row("apiextensions.k8s.io", "customresourcedefinitions");
        let (stored, back) = round_trip(definitions, document);
        let stored: serde_json::Value = serde_json::from_slice(&stored).expect("JSON");
        assert_eq!(stored["apiVersion"], "apiextensions.k8s.io/v1beta1");
        let (sent, back): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(document).expect("JSON"),
            serde_json::from_str(&back).expect("JSON"),
        );
        assert_eq!(back["spec"], sent["spec"]);
    }

    #[test]
    fn what_is_unknown_is_told() {
        let configmaps = row("", "configmaps");
        for value in [
            &b"k8s\0\n\x08\n\x02v9\x12\x02Xy"[..],
            br#"{"kind":"Secret","apiVersion":"v1"}"#,
        ] {
            let refused = decode(configmaps, value).map(drop);
            assert!(matches!(refused, Err(Error::UnknownKind { .. })), "{refused:?}");
        }
        assert!(decode(configmaps, b"").is_err());
        assert!(decode(configmaps, b"{").is_err());
    }
}
