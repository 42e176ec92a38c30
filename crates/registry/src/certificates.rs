//! Certificate signing requests: who asks is written down by the server, approval and certificate each have their
//! own subresource.

use std::collections::BTreeSet;

use api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition as Condition};
use apimachinery::field::{Error, ErrorList, Path, Value as Shown};
use apimachinery::quote::quote;
use apimachinery::time::Time;
use apimachinery::validation::{is_dns1123_label, is_dns1123_subdomain};
use apiserver::strategy::{Context, FieldPaths};
use base64::Engine as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{MetadataChecks, Rules};
use crate::table;

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
const MIN_SECONDS: i32 = 600;
const MAX_SIGNER_NAME: usize = 571;

/// CertificateSigningRequests.
pub struct SigningRequests;

impl Rules for SigningRequests {
    type Object = CertificateSigningRequest;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const STATUS_METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const FIELDS: &'static [&'static str] = &["spec.signerName"];
    const LEFT_ALONE: FieldPaths = &[&["spec"]];
    const LEFT_ALONE_BY_STATUS: FieldPaths = &[&["spec"], &["status", "conditions"]];
    const LEFT_ALONE_BY_SUBRESOURCES: FieldPaths = &[&["spec"], &["status", "certificate"]];

    crate::spec!();
    crate::status!();

    /// Any name will do.
    fn check_name(_name: &str, _prefix: bool) -> Vec<String> {
        Vec::new()
    }

    fn prepare_create(cx: &Context<'_>, request: &mut CertificateSigningRequest) {
        let spec = &mut request.spec;
        spec.username.clone_from(&cx.user.name);
        spec.uid.clone_from(&cx.user.uid);
        spec.groups.clone_from(&cx.user.groups);
        spec.extra = cx
            .user
            .extra
            .iter()
            .map(|(key, values)| (key.clone(), values.clone()))
            .collect();
    }

    fn prepare_update(
        _cx: &Context<'_>,
        request: &mut CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) {
        request.spec = old.spec.clone();
    }

    fn prepare_status_update(
        cx: &Context<'_>,
        request: &mut CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) {
        // Who signs does not approve: conditions of approval that only differ in content stay as they were.
        for type_ in ["Approved", "Denied"] {
            let before: Vec<Condition> = of_type(old, type_).cloned().collect();
            if of_type(request, type_).count() == before.len() {
                let own = request
                    .status
                    .conditions
                    .iter_mut()
                    .filter(|condition| condition.type_ == type_);
                own.zip(before).for_each(|(own, before)| *own = before);
            }
        }
        date_conditions(request, old, Time(cx.now).truncated());
    }

    /// `approval` changes conditions and nothing else.
    fn prepare_subresource_update(
        cx: &Context<'_>,
        request: &mut CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) {
        date_conditions(request, old, Time(cx.now).truncated());
        let conditions = std::mem::take(&mut request.status.conditions);
        request.spec = old.spec.clone();
        request.status = old.status.clone();
        request.status.conditions = conditions;
    }

    fn validate(request: &CertificateSigningRequest) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = validate_spec(request, &path);
        errors.extend(validate_conditions(request));
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        request: &CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) -> ErrorList {
        validate_change(request, old, Through::Object)
    }

    fn validate_status_update(
        request: &CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) -> ErrorList {
        validate_change(request, old, Through::Status)
    }

    fn validate_subresource_update(
        _cx: &Context<'_>,
        request: &CertificateSigningRequest,
        old: &CertificateSigningRequest,
    ) -> ErrorList {
        validate_change(request, old, Through::Approval)
    }

    fn field(request: &CertificateSigningRequest, field: &str) -> Option<String> {
        (field == "spec.signerName").then(|| request.spec.signer_name.clone())
    }

    fn row(request: &CertificateSigningRequest, now: Timestamp) -> Vec<Value> {
        table::cluster::certificate_signing_request(request, now)
    }
}

fn of_type<'a>(
    request: &'a CertificateSigningRequest,
    type_: &'a str,
) -> impl Iterator<Item = &'a Condition> {
    request
        .status
        .conditions
        .iter()
        .filter(move |condition| condition.type_ == type_)
}

fn date_conditions(request: &mut CertificateSigningRequest, old: &CertificateSigningRequest, now: Time) {
    for condition in &mut request.status.conditions {
        condition.last_update_time.get_or_insert(now);
        if condition.last_transition_time.is_none() {
            let same =
                |before: &&Condition| before.type_ == condition.type_ && before.status == condition.status;
            let before = old
                .status
                .conditions
                .iter()
                .find(same)
                .and_then(|before| before.last_transition_time);
            condition.last_transition_time = before.or(Some(now));
        }
    }
}

fn validate_spec(request: &CertificateSigningRequest, path: &Path) -> ErrorList {
    let spec = &request.spec;
    let mut errors = ErrorList::new();
    if let Err(error) = pki::request::Request::from_pem(&spec.request) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(&spec.request);
        let shown = match spec.request.is_empty() {
            true => "null".to_owned(),
            false => quote(&encoded),
        };
        let detail = match error {
            pki::Error::NoPem(_) => "PEM block type must be CERTIFICATE REQUEST".to_owned(),
            other => other.to_string(),
        };
        errors.push(Error::invalid(&path.child("request"), Shown::Json(shown), detail));
    }
    let usages = path.child("usages");
    if spec.usages.is_empty() {
        errors.push(Error::required(&usages, ""));
    }
    for (index, usage) in spec
        .usages
        .iter()
        .enumerate()
        .filter(|(_, usage)| !USAGES.contains(&usage.as_str()))
    {
        errors.push(Error::not_supported(&usages.index(index), usage, &USAGES));
    }
    let mut seen = BTreeSet::new();
    for (index, usage) in spec
        .usages
        .iter()
        .enumerate()
        .filter(|(_, usage)| !seen.insert(*usage))
    {
        errors.push(Error::duplicate(&usages.index(index), usage));
    }
    let signer = path.child("signerName");
    if spec.signer_name == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(Error::invalid(&signer, &spec.signer_name, detail));
    } else {
        errors.extend(validate_signer(&spec.signer_name, &signer));
    }
    if let Some(seconds) = spec.expiration_seconds.filter(|seconds| *seconds < MIN_SECONDS) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(Error::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    errors
}

/// A domain and a path, as in `example.com/my-signer`.
fn validate_signer(name: &str, path: &Path) -> ErrorList {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        return vec![Error::invalid(path, name, detail)];
    };
    let mut errors = ErrorList::new();
    for message in is_dns1123_subdomain(domain) {
        errors.push(Error::invalid(
            path,
            domain,
            format!("validating label {}: {message}", quote(domain)),
        ));
    }
    if !domain.contains('.') {
        errors.push(Error::invalid(
            path,
            name,
            "should be a domain with at least two segments separated by dots",
        ));
    }
    if rest.is_empty() {
        errors.push(Error::invalid(path, name, detail));
    }
    for part in rest.split('.') {
        for message in is_dns1123_label(part) {
            errors.push(Error::invalid(
                path,
                rest,
                format!("validating label {}: {message}", quote(part)),
            ));
        }
    }
    if name.len() > MAX_SIGNER_NAME {
        errors.push(Error::too_long(path, MAX_SIGNER_NAME));
    }
    errors
}

fn validate_conditions(request: &CertificateSigningRequest) -> ErrorList {
    let path = Path::new("status").child("conditions");
    let conditions = &request.status.conditions;
    let mut errors = ErrorList::new();
    for (index, condition) in conditions.iter().enumerate() {
        let (path, list) = (path.index(index), &path);
        let type_ = condition.type_.as_str();
        if type_.is_empty() {
            errors.push(Error::required(&path.child("type"), ""));
        }
        let only_true = matches!(type_, "Approved" | "Denied" | "Failed");
        let statuses: &[&str] = if only_true {
            &["True"]
        } else {
            &["False", "True", "Unknown"]
        };
        match condition.status.as_str() {
            "" => errors.push(Error::required(&path.child("status"), "")),
            status if !statuses.contains(&status) => {
                errors.push(Error::not_supported(&path.child("status"), status, statuses));
            }
            _ => {}
        }
        let before = &conditions[..index];
        let other = match type_ {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && before.iter().any(|before| before.type_ == other) {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(Error::invalid(list, type_, detail));
        }
        if before.iter().any(|before| before.type_ == type_) {
            errors.push(Error::duplicate(&path.child("type"), type_));
        }
    }
    errors
}

/// What is wrong with an issued certificate, if there is one.
fn wrong_certificate(text: &[u8]) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let blocks = pki::pem::parse(text).unwrap_or_default();
    if blocks.is_empty() {
        return Some("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    blocks.iter().find_map(|block| {
        if block.label != pki::pem::CERTIFICATE {
            let label = quote(&block.label);
            return Some(format!("only CERTIFICATE PEM blocks are allowed, found {label}"));
        }
        let wrong = pki::Certificate::from_der(&block.der).err()?;
        Some(wrong.to_string())
    })
}

/// Through which part of the API a request is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Through {
    Object,
    Status,
    Approval,
}

fn validate_change(
    request: &CertificateSigningRequest,
    old: &CertificateSigningRequest,
    through: Through,
) -> ErrorList {
    let mut errors = SigningRequests::validate(request);
    let path = Path::new("status");
    // What is stored already may be anything.
    if wrong_certificate(&old.status.certificate).is_none()
        && let Some(detail) = wrong_certificate(&request.status.certificate)
    {
        errors.push(Error::invalid(
            &path.child("certificate"),
            "<certificate data>",
            detail,
        ));
    }
    let conditions = path.child("conditions");
    let count = |request: &CertificateSigningRequest, type_: &str| of_type(request, type_).count();
    for type_ in ["Approved", "Denied", "Failed"] {
        if count(request, type_) < count(old, type_) {
            let detail = format!("updates may not remove a condition of type {}", quote(type_));
            errors.push(Error::forbidden(&conditions, detail));
        }
    }
    if through != Through::Approval {
        for type_ in ["Approved", "Denied"] {
            let (new, before) = (count(request, type_), count(old, type_));
            let what = if new > before {
                "add"
            } else if new == before && !of_type(request, type_).eq(of_type(old, type_)) {
                "modify"
            } else {
                continue;
            };
            let detail = format!("updates may not {what} a condition of type {}", quote(type_));
            errors.push(Error::forbidden(&conditions, detail));
        }
    }
    if request.status.certificate != old.status.certificate {
        let path = path.child("certificate");
        if through != Through::Status {
            errors.push(Error::forbidden(&path, "updates may not set certificate content"));
        } else if !old.status.certificate.is_empty() {
            errors.push(Error::forbidden(
                &path,
                "updates may not modify existing certificate content",
            ));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signers_are_qualified() {
        let path = Path::new("s");
        for (name, valid) in [
            ("kubernetes.io/kube-apiserver-client", true),
            ("example.com/a.b", true),
            ("example/a", false),
            ("example.com", false),
            ("example.com/A", false),
            ("", false),
        ] {
            assert_eq!(validate_signer(name, &path).is_empty(), valid, "{name}");
        }
    }

    fn with(types: &[&str]) -> CertificateSigningRequest {
        let condition = |type_: &&str| Condition {
            type_: (*type_).to_owned(),
            status: "True".to_owned(),
            ..Condition::default()
        };
        let mut request = CertificateSigningRequest::default();
        request.status.conditions = types.iter().map(condition).collect();
        request
    }

    #[test]
    fn only_approval_approves() {
        let forbidden = |through| {
            let errors = validate_change(&with(&["Approved"]), &with(&[]), through);
            errors
                .iter()
                .filter(|error| error.field == "status.conditions")
                .count()
        };
        assert_eq!(forbidden(Through::Object), 1);
        assert_eq!(forbidden(Through::Status), 1);
        assert_eq!(forbidden(Through::Approval), 0);
        assert_eq!(validate_conditions(&with(&["Approved", "Denied"])).len(), 1);
    }
}
