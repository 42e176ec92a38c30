//! Cells of `kubectl get`, in the order of the catalogue's columns.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`.

pub mod cluster;
pub mod duration;
pub mod event;
pub mod network;
pub mod node;
pub mod pod;
pub mod policy;
pub mod scaling;
pub mod volume;
pub mod workload;

use std::collections::BTreeMap;

use api::core::v1::Container;
use api::meta::v1::{LabelSelector, ObjectMeta};
use apimachinery::time::Time;
use jiff::Timestamp;
use serde_json::Value;

pub use duration::human_duration;

/// A row of values that become JSON.
#[macro_export]
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$(serde_json::Value::from($cell)),*] };
}

pub const NONE: &str = "<none>";
pub const UNSET: &str = "<unset>";
pub const UNKNOWN: &str = "<unknown>";

/// How long ago, or `<unknown>`.
pub fn since(time: Option<Time>, now: Timestamp) -> String {
    match time {
        None => UNKNOWN.to_owned(),
        Some(time) => human_duration(now.as_second() - time.timestamp().as_second()),
    }
}

/// The age of an object.
pub fn age(metadata: &ObjectMeta, now: Timestamp) -> String {
    since(metadata.creation_timestamp, now)
}

/// The row of kinds that show nothing of their own.
pub fn name_and_age(metadata: &ObjectMeta, now: Timestamp) -> Vec<Value> {
    cells![metadata.name.as_str(), age(metadata, now)]
}

/// The row of kinds for which upstream has no printer.
pub fn name_and_creation(metadata: &ObjectMeta) -> Vec<Value> {
    let created = metadata.creation_timestamp.map(|time| time.to_string());
    cells![metadata.name.as_str(), created]
}

pub(crate) fn or_none(text: &str) -> &str {
    if text.is_empty() { NONE } else { text }
}

/// `a=b,c=d`
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> String {
    if labels.is_empty() {
        return NONE.to_owned();
    }
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// A selector as text.
pub(crate) fn selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return NONE.to_owned();
    };
    match api::selector::from_label_selector(selector) {
        Err(_) => "<error>".to_owned(),
        Ok(parsed) if parsed.is_everything() || parsed.is_nothing() => NONE.to_owned(),
        Ok(parsed) => parsed.to_string(),
    }
}

/// Names and images of containers, each joined by commas.
pub(crate) fn containers(containers: &[Container]) -> (String, String) {
    let join = |part: fn(&Container) -> &str| containers.iter().map(part).collect::<Vec<_>>().join(",");
    (
        join(|container| &container.name),
        join(|container| &container.image),
    )
}

/// The first `max` items, and how many more there are.
pub(crate) fn shortened(items: Vec<String>, max: usize) -> String {
    let more = items.len().saturating_sub(max);
    let shown = items.into_iter().take(max).collect::<Vec<_>>().join(",");
    if more > 0 {
        format!("{shown} + {more} more...")
    } else {
        shown
    }
}

/// `True`, `False` or `<unset>`.
pub(crate) fn optional_bool(value: Option<bool>) -> &'static str {
    match value {
        None => UNSET,
        Some(true) => "True",
        Some(false) => "False",
    }
}
