//! Definitions in Kubernetes' own groups state that its community approved them, or that it did not. Pure.
//!
//! Upstream: `apiextensions-apiserver/pkg/apihelpers`.

use api::apiextensions::v1::CustomResourceDefinition;

/// The annotation that says so.
pub const ANNOTATION: &str = "api-approved.kubernetes.io";

const PROTECTED: [&str; 2] = ["k8s.io", "kubernetes.io"];
const SEE: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What the annotation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    Missing,
    /// "unapproved", for whatever reason.
    Bypassed,
    /// It is the URL of the approval.
    Approved,
    Invalid,
}

/// How a definition stands; `None`: its group is not one of Kubernetes' own.
pub fn of(definition: &CustomResourceDefinition) -> Option<Approval> {
    let group = definition.spec.group.as_str();
    let is_below = |domain: &&str| group == *domain || group.ends_with(&format!(".{domain}"));
    PROTECTED.iter().find(|domain| is_below(domain))?;
    let text = stated(definition);
    let after_scheme = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty());
    let host = after_scheme.and_then(|(_, rest)| rest.split('/').next());
    Some(match text {
        "" => Approval::Missing,
        _ if text.starts_with("unapproved") => Approval::Bypassed,
        _ if host.is_some_and(|host| !host.is_empty()) => Approval::Approved,
        _ => Approval::Invalid,
    })
}

/// The annotation's text; empty without it.
pub fn stated(definition: &CustomResourceDefinition) -> &str {
    let annotations = &definition.metadata.annotations;
    annotations.get(ANNOTATION).map_or("", String::as_str)
}

impl Approval {
    /// What that means, of a definition that states `text`.
    pub fn explain(self, text: &str) -> String {
        let required = format!("protected groups must have approval annotation \"{ANNOTATION}\"");
        match self {
            Approval::Missing => format!("{required}, {SEE}"),
            Approval::Bypassed => format!("not approved: {}", apimachinery::quote::quote(text)),
            Approval::Approved => format!("approved in {text}"),
            Approval::Invalid => {
                format!("{required} with either a URL or a reason starting with \"unapproved\", {SEE}")
            }
        }
    }
}
