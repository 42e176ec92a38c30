//! What was found while a namespace was emptied, and the conditions that tell of it. Pure.
//!
//! Upstream: pkg/controller/namespace/deletion/status_condition_utils.go

use std::collections::BTreeMap;

use api::core::v1::{NamespaceCondition, NamespaceStatus};
use apimachinery::gvk::GroupVersionResource;
use apimachinery::time::Time;

/// Types in the order in which upstream writes them, each with reason and message when all is well.
const ALL_WELL: [(&str, &str, &str); 5] = [
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    (
        "NamespaceContentRemaining",
        "ContentRemoved",
        "All content successfully removed",
    ),
    (
        "NamespaceFinalizersRemaining",
        "ContentHasNoFinalizers",
        "All content-preserving finalizers finished",
    ),
];

/// What is left of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remaining {
    pub count: usize,
    /// How many objects wait for each finalizer.
    pub finalizers: BTreeMap<String, usize>,
    /// Seconds until they may be gone.
    pub estimate: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    discovery: Option<String>,
    content: Vec<String>,
    remaining: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
    estimate: u64,
}

impl Findings {
    pub fn discovery_failed(&mut self, message: String) {
        self.discovery = Some(message);
    }

    pub fn content_failed(&mut self, message: String) {
        self.content.push(message);
    }

    pub fn remaining(&mut self, gvr: &GroupVersionResource, remaining: Remaining) {
        self.remaining
            .insert(format!("{}.{}", gvr.resource, gvr.group), remaining.count);
        for (finalizer, count) in remaining.finalizers {
            *self.finalizers.entry(finalizer).or_default() += count;
        }
        self.estimate = self.estimate.max(remaining.estimate);
    }

    pub fn has_remaining(&self) -> bool {
        !self.remaining.is_empty()
    }

    /// Seconds until it is worth looking again, when anything is left.
    pub fn estimate(&self) -> Option<u64> {
        self.has_remaining().then_some(self.estimate)
    }

    /// Something failed: the namespace must stay though it may look empty.
    pub fn first_error(&self) -> Option<&str> {
        self.discovery
            .as_deref()
            .or(self.content.first().map(String::as_str))
    }

    /// Reason and message of a condition type, when it isn't all well.
    fn trouble(&self, type_: &str) -> Option<(&'static str, String)> {
        match type_ {
            "NamespaceDeletionDiscoveryFailure" => self
                .discovery
                .as_ref()
                .map(|message| ("DiscoveryFailed", message.clone())),
            "NamespaceDeletionContentFailure" if !self.content.is_empty() => {
                let mut messages = self.content.clone();
                messages.sort();
                let count = messages.len();
                let all = messages.join(", ");
                let message = format!("Failed to delete all resource types, {count} remaining: {all}");
                Some(("ContentDeletionFailed", message))
            }
            "NamespaceContentRemaining" if !self.remaining.is_empty() => {
                let parts: Vec<String> = self
                    .remaining
                    .iter()
                    .map(|(resource, count)| format!("{resource} has {count} resource instances"))
                    .collect();
                let message = format!("Some resources are remaining: {}", parts.join(", "));
                Some(("SomeResourcesRemain", message))
            }
            "NamespaceFinalizersRemaining" if !self.finalizers.is_empty() => {
                let parts: Vec<String> = self
                    .finalizers
                    .iter()
                    .map(|(finalizer, count)| format!("{finalizer} in {count} resource instances"))
                    .collect();
                let all = parts.join(", ");
                let message = format!("Some content in the namespace has finalizers remaining: {all}");
                Some(("SomeFinalizersRemain", message))
            }
            _ => None,
        }
    }
}

/// Writes the findings into a status. Gives whether it changed.
pub fn apply(status: &mut NamespaceStatus, findings: &Findings, now: Time) -> bool {
    let mut changed = false;
    for (type_, well_reason, well_message) in ALL_WELL {
        let (state, reason, message) = match findings.trouble(type_) {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", well_reason, well_message.to_owned()),
        };
        let found = status
            .conditions
            .iter_mut()
            .find(|condition| condition.type_ == type_);
        match found {
            Some(old) if old.status == state && old.reason == reason && old.message == message => continue,
            Some(old) => {
                if old.status != state {
                    old.last_transition_time = Some(now.truncated());
                }
                old.status = state.into();
                old.reason = reason.into();
                old.message = message;
            }
            None => status.conditions.push(NamespaceCondition {
                type_: type_.into(),
                status: state.into(),
                last_transition_time: Some(now.truncated()),
                reason: reason.into(),
                message,
            }),
        }
        changed = true;
    }
    changed
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn conditions_tell_what_is_left_and_settle() {
        let now = Time::from_unix(100, 0).expect("valid");
        let mut findings = Findings::default();
        let gvr = GroupVersionResource::new("", "v1", "pods");
        findings.remaining(
            &gvr,
            Remaining {
                count: 2,
                finalizers: [("x/y".to_owned(), 1)].into(),
                estimate: 30,
            },
        );
        let mut status = NamespaceStatus::default();
        assert!(apply(&mut status, &findings, now));
        assert!(!apply(&mut status, &findings, now));
        let render = |status: &NamespaceStatus| -> String {
            let line =
                |c: &NamespaceCondition| format!("{} {} {}: {}\n", c.type_, c.status, c.reason, c.message);
            status
                .conditions
                .iter()
                .filter(|c| c.status == "True")
                .map(line)
                .collect()
        };
        expect![[r#"
            NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: pods. has 2 resource instances
            NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: x/y in 1 resource instances
        "#]].assert_eq(&render(&status));
        assert_eq!(findings.estimate(), Some(30));
        assert!(apply(&mut status, &Findings::default(), now));
        assert_eq!(render(&status), "");
    }
}
