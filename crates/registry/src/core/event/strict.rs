//! What clients of events.k8s.io are held to beyond those of the core group: no field of old, and no change but of the
//! series.

use api::core::v1::{Event, ObjectReference};
use apimachinery::field::{Error, ErrorList, Path, Value};

use crate::internal::shown;

const UNUSED: &str = "needs to be unset";

/// Errors of a new event.
pub(super) fn validate(event: &Event) -> ErrorList {
    let mut errors = validate_series(event);
    if event.event_time.is_none() {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    if !matches!(event.type_.as_str(), "Normal" | "Warning") {
        let detail = format!("has invalid value: {}", event.type_);
        errors.push(Error::invalid(&Path::new("type"), "", detail));
    }
    let source = &event.source;
    for (field, set) in [
        ("firstTimestamp", event.first_timestamp.is_some()),
        ("lastTimestamp", event.last_timestamp.is_some()),
        ("count", event.count != 0),
        ("source", !(source.component.is_empty() && source.host.is_empty())),
    ] {
        if set {
            errors.push(Error::invalid(&Path::new(field), "", UNUSED));
        }
    }
    errors
}

fn validate_series(event: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(series) = &event.series else {
        return errors;
    };
    if series.count < 2 {
        let path = Path::new("series.count");
        errors.push(Error::invalid(&path, "", "should be at least 2"));
    }
    if series.last_observed_time.is_none() {
        errors.push(Error::required(&Path::new("series.lastObservedTime"), ""));
    }
    errors
}

/// Errors of a change.
pub(super) fn validate_change(event: &Event, old: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    if event.series != old.series {
        errors.extend(validate_series(event));
    }
    let mut keep = |same: bool, field: &'static str, value: Value| {
        if !same {
            errors.push(Error::immutable(&Path::new(field), value));
        }
    };
    let reference = |own: Option<&ObjectReference>| own.map_or_else(|| None::<String>.into(), shown);
    let (about, was) = (&event.involved_object, &old.involved_object);
    let time = |time: Option<apimachinery::time::Time>| Value::from(time.map(|time| time.to_string()));
    keep(about == was, "involvedObject", shown(about));
    keep(event.reason == old.reason, "reason", event.reason.as_str().into());
    keep(
        event.message == old.message,
        "message",
        event.message.as_str().into(),
    );
    keep(event.source == old.source, "source", shown(&event.source));
    keep(
        event.first_timestamp == old.first_timestamp,
        "firstTimestamp",
        time(event.first_timestamp),
    );
    keep(
        event.last_timestamp == old.last_timestamp,
        "lastTimestamp",
        time(event.last_timestamp),
    );
    keep(event.count == old.count, "count", event.count.into());
    keep(event.reason == old.reason, "reason", event.reason.as_str().into());
    keep(event.type_ == old.type_, "type", event.type_.as_str().into());
    keep(
        event.event_time == old.event_time,
        "eventTime",
        Value::from(event.event_time.map(|time| time.to_string())),
    );
    keep(event.action == old.action, "action", event.action.as_str().into());
    keep(
        event.related == old.related,
        "related",
        reference(event.related.as_deref()),
    );
    keep(
        event.reporting_component == old.reporting_component,
        "reportingController",
        event.reporting_component.as_str().into(),
    );
    keep(
        event.reporting_instance == old.reporting_instance,
        "reportingInstance",
        event.reporting_instance.as_str().into(),
    );
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::rules::tests::parse;

    fn texts(errors: &ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn new_events_leave_old_fields_alone() {
        let event = |json: Json| parse::<Event>(&json);
        let fine = json!({"type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z"});
        assert_eq!(texts(&validate(&event(fine))), [""; 0]);
        let old = json!({"type": "x", "count": 1, "series": {"count": 1}});
        assert_eq!(
            texts(&validate(&event(old))),
            [
                "series.count: Invalid value: \"\": should be at least 2",
                "series.lastObservedTime: Required value",
                "eventTime: Required value",
                "type: Invalid value: \"\": has invalid value: x",
                "count: Invalid value: \"\": needs to be unset",
            ]
        );
    }

    #[test]
    fn only_the_series_changes() {
        let old: Event = parse(&json!({"reason": "R", "action": "A"}));
        let new: Event = parse(&json!({"reason": "R", "action": "B"}));
        assert_eq!(
            texts(&validate_change(&new, &old)),
            ["action: Invalid value: \"B\": field is immutable"]
        );
    }
}
