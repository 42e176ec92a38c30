//! AdmissionReviews: what a webhook is asked, and what it answers. Pure.

use std::collections::BTreeMap;

use api::Message;
use api::admission::v1::{AdmissionResponse, AdmissionReview};
use api::codec;
use apimachinery::gvk::{GroupVersionKind, GroupVersionResource};
use apimachinery::quote::quote;
use apimachinery::status::{Cause, Details, Reason, Status};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Attributes;
use crate::matching::ServedAs;

const GROUP: &str = "admission.k8s.io";
const KIND: &str = "AdmissionReview";

/// The version of the reviews that a webhook is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V1beta1,
}

impl Version {
    /// The first of those that a webhook takes which is known here.
    pub fn choose(taken: &[String]) -> Option<Self> {
        taken.iter().find_map(|version| match version.as_str() {
            "v1" => Some(Self::V1),
            "v1beta1" => Some(Self::V1beta1),
            _ => None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
        }
    }
}

/// The two states of an object as the JSON of one kind; `None`: there is no such state.
#[derive(Clone, Debug, Default)]
pub struct Documents {
    pub object: Option<Vec<u8>>,
    pub old: Option<Vec<u8>>,
}

/// A question to a webhook.
pub struct Question<'a> {
    pub uid: &'a str,
    pub version: Version,
    pub attributes: &'a Attributes<'a>,
    /// As the object's, where the request has none.
    pub name: &'a str,
    pub served_as: &'a ServedAs,
    pub documents: &'a Documents,
}

impl Question<'_> {
    /// The AdmissionReview.
    ///
    /// # Errors
    /// Options or an object that are no JSON.
    pub fn document(&self) -> Result<Vec<u8>, serde_json::Error> {
        let Attributes { user, .. } = self.attributes;
        let mut user_info = json!({ "username": user.name });
        let groups = (!user.groups.is_empty()).then(|| json!(user.groups));
        let extra = (!user.extra.is_empty()).then(|| json!(user.extra));
        let uid = (!user.uid.is_empty()).then(|| json!(user.uid));
        for (field, value) in [("uid", uid), ("groups", groups), ("extra", extra)] {
            if let Some(value) = value {
                user_info[field] = value;
            }
        }
        let attributes = self.attributes;
        let mut request = json!({
            "uid": self.uid,
            "kind": kind(&self.served_as.kind),
            "resource": resource(&self.served_as.resource),
            "requestKind": kind(&attributes.kind),
            "requestResource": resource(&attributes.resource),
            "operation": attributes.operation.as_str(),
            "userInfo": user_info,
            "dryRun": attributes.dry_run,
        });
        let namespace = attributes.review_namespace(self.name);
        for (field, text) in [
            ("subResource", attributes.subresource),
            ("requestSubResource", attributes.subresource),
            ("name", self.name),
            ("namespace", namespace),
        ] {
            if !text.is_empty() {
                request[field] = text.into();
            }
        }
        let mut members: BTreeMap<&str, Box<RawValue>> = BTreeMap::new();
        if let Value::Object(request) = &request {
            for (field, value) in request {
                members.insert(field, serde_json::value::to_raw_value(value)?);
            }
        }
        let options = Some(attributes.options).filter(|options| !options.is_empty());
        members.insert("object", raw(self.documents.object.as_deref())?);
        members.insert("oldObject", raw(self.documents.old.as_deref())?);
        members.insert("options", raw(options)?);
        let api_version = format!("{GROUP}/{}", self.version.as_str());
        let review: BTreeMap<&str, Box<RawValue>> = [
            ("apiVersion", serde_json::value::to_raw_value(&api_version)?),
            ("kind", serde_json::value::to_raw_value(KIND)?),
            ("request", serde_json::value::to_raw_value(&members)?),
        ]
        .into();
        serde_json::to_vec(&review)
    }
}

fn raw(document: Option<&[u8]>) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::from_slice(document.unwrap_or(b"null"))
}

fn kind(kind: &GroupVersionKind) -> Value {
    json!({ "group": kind.group, "version": kind.version, "kind": kind.kind })
}

fn resource(resource: &GroupVersionResource) -> Value {
    json!({ "group": resource.group, "version": resource.version, "resource": resource.resource })
}

/// What a webhook answered.
#[derive(Debug, PartialEq)]
pub struct Answer {
    pub allowed: bool,
    /// Why not.
    pub status: Option<Status>,
    /// A JSON patch; empty if nothing is to change.
    pub patch: Vec<u8>,
    pub patch_type: String,
    pub annotations: BTreeMap<String, String>,
    pub warnings: Vec<String>,
}

/// Why a document answers nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It can't be read at all.
    #[error("{0}")]
    Unreadable(String),
    #[error("{0}")]
    Invalid(String),
}

/// Which phase the answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Mutating,
    Validating,
}

/// Reads the answer to a question of that uid.
///
/// # Errors
/// The document is no AdmissionReview, or one that a server must not act on.
pub fn read(document: &[u8], uid: &str, version: Version, sort: Sort) -> Result<Answer, Error> {
    let parsed = codec::json_to_proto(&api::types::admission_v1::ADMISSION_REVIEW, document)
        .map_err(|error| Error::Unreadable(error.to_string()))?;
    check_kind(&parsed.api_version, &parsed.kind, version)?;
    let review =
        AdmissionReview::decode(&parsed.proto).map_err(|error| Error::Unreadable(error.to_string()))?;
    let invalid = |why: String| Err(Error::Invalid(why));
    let Some(response) = review.response else {
        return invalid("webhook response was absent".to_owned());
    };
    let response = *response;
    // The older version has no such rules.
    if version == Version::V1 {
        if response.uid != uid {
            let (wanted, got) = (quote(uid), quote(&response.uid));
            return invalid(format!("expected response.uid={wanted}, got {got}"));
        }
        let (group, stated) = parsed
            .api_version
            .split_once('/')
            .unwrap_or(("", &parsed.api_version));
        if (group, stated, parsed.kind.as_str()) != (GROUP, version.as_str(), KIND) {
            return invalid(format!(
                "expected webhook response of {GROUP}/{}, Kind={KIND}, got {group}/{stated}, Kind={}",
                version.as_str(),
                parsed.kind
            ));
        }
        check_patch(&response, sort)?;
    }
    let patch_type = match (version, &response.patch_type) {
        (Version::V1, stated) => stated.clone().unwrap_or_default(),
        (Version::V1beta1, _) => "JSONPatch".to_owned(),
    };
    Ok(Answer {
        allowed: response.allowed,
        status: response.status.map(|status| stated(*status)),
        patch: match sort {
            Sort::Mutating => response.patch,
            Sort::Validating => Vec::new(),
        },
        patch_type,
        annotations: response.audit_annotations,
        warnings: response.warnings,
    })
}

/// An answer that says what it is must be a review of the version that was sent.
fn check_kind(api_version: &str, kind: &str, version: Version) -> Result<(), Error> {
    if api_version.is_empty() || kind.is_empty() {
        return Ok(());
    }
    let wanted = version.as_str();
    match (api_version.strip_prefix("admission.k8s.io/"), kind) {
        (Some(stated), KIND) if stated == wanted => Ok(()),
        (Some(stated @ ("v1" | "v1beta1")), KIND) => Err(Error::Unreadable(format!(
            "converting ({stated}.{KIND}) to ({wanted}.{KIND}): unknown conversion"
        ))),
        _ => Err(Error::Unreadable(format!(
            "no kind {} is registered for version {} in scheme \"pkg/util/webhook/client.go:71\"",
            quote(kind),
            quote(api_version)
        ))),
    }
}

/// Patches come with their type, and from mutating webhooks only.
fn check_patch(response: &AdmissionResponse, sort: Sort) -> Result<(), Error> {
    let why = match (sort, !response.patch.is_empty(), &response.patch_type) {
        (Sort::Mutating, true, None) => "webhook returned response.patch but not response.patchType",
        (Sort::Mutating, false, Some(_)) => "webhook returned response.patchType but not response.patch",
        (Sort::Mutating, true, Some(stated)) if stated.is_empty() => {
            "webhook returned invalid response.patchType of \"\""
        }
        (Sort::Validating, true, _) => "validating webhook may not return response.patch",
        (Sort::Validating, false, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(Error::Invalid(why.to_owned()))
}

/// A webhook's Status, with what it leaves out left out.
fn stated(status: api::meta::v1::Status) -> Status {
    let details = status.details.map(|details| Details {
        name: details.name,
        group: details.group,
        kind: details.kind,
        uid: details.uid,
        causes: details
            .causes
            .into_iter()
            .map(|cause| Cause {
                reason: cause.reason,
                message: cause.message,
                field: cause.field,
            })
            .collect(),
        retry_after_seconds: details.retry_after_seconds,
    });
    Status {
        code: u16::try_from(status.code).unwrap_or_default(),
        reason: Reason::from(status.reason.as_str()),
        message: status.message,
        details,
        continue_token: None,
    }
}

/// What a client hears of a refusal.
pub fn refusal(hook: &str, status: Option<Status>) -> Status {
    let denied = format!("admission webhook {} denied the request", quote(hook));
    let mut status = status.unwrap_or_default();
    status.code = status.code.max(400);
    status.message = match (status.message.as_str(), status.reason.as_str()) {
        ("", "") => format!("{denied} without explanation"),
        ("", reason) => format!("{denied}: {reason}"),
        (message, _) => format!("{denied}: {message}"),
    };
    status
}
