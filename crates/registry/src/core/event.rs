//! Events, under both names that they are served by: their rules are those of the core group.

mod strict;

use std::time::Duration;

use api::Resource;
use api::core::v1::Event;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_qualified_name};
use apiserver::strategy::{Context, GarbageCollection};
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::{self, messages};
use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// The group whose clients are held to more.
const GROUP: &str = "events.k8s.io";
const KEPT: Duration = Duration::from_secs(60 * 60);
const MAX_INSTANCE: usize = 128;
const MAX_ACTION: usize = 128;
const MAX_REASON: usize = 128;
const MAX_NOTE: usize = 1024;

/// Events. They go after an hour.
pub struct Events;

impl Rules for Events {
    type Object = Event;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Nothing;
    const METADATA_LAST: bool = true;
    const CREATE_ON_UPDATE: bool = true;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::Unsupported;
    const TIME_TO_LIVE: Option<Duration> = Some(KEPT);
    const FIELDS: &'static [&'static str] = &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ];
    const LABELS: &'static [(&'static str, &'static str, &'static str)] = &[
        ("events.k8s.io", "regarding.kind", "involvedObject.kind"),
        ("events.k8s.io", "regarding.namespace", "involvedObject.namespace"),
        ("events.k8s.io", "regarding.name", "involvedObject.name"),
        ("events.k8s.io", "regarding.uid", "involvedObject.uid"),
        (
            "events.k8s.io",
            "regarding.apiVersion",
            "involvedObject.apiVersion",
        ),
        (
            "events.k8s.io",
            "regarding.resourceVersion",
            "involvedObject.resourceVersion",
        ),
        ("events.k8s.io", "regarding.fieldPath", "involvedObject.fieldPath"),
        ("events.k8s.io", "reason", "reason"),
        ("events.k8s.io", "reportingController", "reportingComponent"),
        ("events.k8s.io", "type", "type"),
    ];

    fn validate_create(cx: &Context<'_>, event: &Event) -> ErrorList {
        let mut errors = validate_loosely(event, cx.group);
        if cx.group == GROUP {
            let metadata = metadata::validate(&event.metadata, Event::NAMESPACED, Self::check_name);
            errors.extend(metadata);
            errors.extend(metadata::validate_plain_finalizers(&event.metadata));
            errors.extend(strict::validate(event));
        }
        errors
    }

    fn validate_update(cx: &Context<'_>, event: &Event, old: &Event) -> ErrorList {
        let mut errors = validate_loosely(event, cx.group);
        if cx.group == GROUP {
            errors.extend(metadata::validate_update(&event.metadata, &old.metadata));
            errors.extend(strict::validate_change(event, old));
        }
        errors
    }

    fn field(event: &Event, field: &str) -> Option<String> {
        let about = &event.involved_object;
        let component = &event.reporting_component;
        Some(match field {
            "involvedObject.kind" => about.kind.clone(),
            "involvedObject.namespace" => about.namespace.clone(),
            "involvedObject.name" => about.name.clone(),
            "involvedObject.uid" => about.uid.clone(),
            "involvedObject.apiVersion" => about.api_version.clone(),
            "involvedObject.resourceVersion" => about.resource_version.clone(),
            "involvedObject.fieldPath" => about.field_path.clone(),
            "reason" => event.reason.clone(),
            "reportingComponent" => component.clone(),
            "source" if event.source.component.is_empty() => component.clone(),
            "source" => event.source.component.clone(),
            "type" => event.type_.clone(),
            _ => return None,
        })
    }

    fn row(event: &Event, now: Timestamp) -> Vec<Value> {
        table::event::row(event, now)
    }
}

/// What clients of either group are held to.
fn validate_loosely(event: &Event, group: &str) -> ErrorList {
    let mut errors = match event.event_time {
        None => validate_old(event),
        Some(_) => validate_new(event, group),
    };
    let namespace = &event.metadata.namespace;
    errors.extend(messages(
        &Path::new("namespace"),
        namespace,
        is_dns1123_subdomain(namespace),
    ));
    errors
}

fn other_namespace(event: &Event) -> Error {
    let path = Path::new("involvedObject").child("namespace");
    Error::invalid(
        &path,
        &event.involved_object.namespace,
        "does not match event.namespace",
    )
}

/// Events as they were before they had a time of their own.
fn validate_old(event: &Event) -> ErrorList {
    let (own, about) = (
        event.metadata.namespace.as_str(),
        event.involved_object.namespace.as_str(),
    );
    // Events about objects without a namespace stand in the default one.
    let matches = if about.is_empty() {
        matches!(own, "" | "default")
    } else {
        own == about
    };
    if matches {
        ErrorList::new()
    } else {
        vec![other_namespace(event)]
    }
}

fn validate_new(event: &Event, group: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    let own = event.metadata.namespace.as_str();
    if event.involved_object.namespace.is_empty() && !matches!(own, "default" | "kube-system") {
        errors.push(other_namespace(event));
    }
    let component = Path::new(if group == GROUP {
        "reportingController"
    } else {
        "reportingComponent"
    });
    if event.reporting_component.is_empty() {
        errors.push(Error::required(&component, ""));
    }
    errors.extend(messages(
        &component,
        &event.reporting_component,
        is_qualified_name(&event.reporting_component),
    ));
    let texts = [
        ("reportingInstance", &event.reporting_instance, MAX_INSTANCE),
        ("action", &event.action, MAX_ACTION),
        ("reason", &event.reason, MAX_REASON),
    ];
    for (field, text, most) in texts {
        let path = Path::new(field);
        if text.is_empty() {
            errors.push(Error::required(&path, ""));
        }
        errors.extend(validate_length(text, most, &path));
    }
    errors.extend(validate_length(&event.message, MAX_NOTE, &Path::new("message")));
    errors
}

fn validate_length(text: &str, most: usize, path: &Path) -> Option<Error> {
    (text.len() > most).then(|| Error::invalid(path, "", format!("can have at most {most} characters")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[track_caller]
    fn check(json: &str, expected: &[&str]) {
        let event = Event::from_json(json.as_bytes()).unwrap();
        let errors: Vec<String> = validate_loosely(&event, "")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn namespaces_agree() {
        check(
            r#"{"metadata":{"namespace":"a"},"involvedObject":{"namespace":"a"}}"#,
            &[],
        );
        check(r#"{"metadata":{"namespace":"default"},"involvedObject":{}}"#, &[]);
        check(
            r#"{"metadata":{"namespace":"a"},"involvedObject":{"namespace":"b"}}"#,
            &["involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"],
        );
    }

    #[test]
    fn new_events_say_who_reports() {
        check(
            r#"{"metadata":{"namespace":"a"},"involvedObject":{"namespace":"a"},"eventTime":"2026-01-01T00:00:00.000000Z","reportingComponent":"x","reportingInstance":"i","reason":"R"}"#,
            &["action: Required value"],
        );
    }

    #[test]
    fn fields_are_called_as_in_the_group_asked_for() {
        let strategy = crate::rules::strategy::<Events>();
        for (group, label, field) in [
            ("", "involvedObject.name", Some("involvedObject.name")),
            ("", "regarding.name", None),
            ("", "reportingComponent", Some("reportingComponent")),
            ("events.k8s.io", "regarding.name", Some("involvedObject.name")),
            ("events.k8s.io", "reportingController", Some("reportingComponent")),
            ("events.k8s.io", "involvedObject.name", None),
            ("events.k8s.io", "source", None),
        ] {
            assert_eq!(strategy.field_of_label(group, label), field, "{group}: {label}");
        }
    }
}
