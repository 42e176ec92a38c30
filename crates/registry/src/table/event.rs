//! Events.

use api::core::v1::Event;
use apimachinery::time::{MicroTime, Time};
use jiff::Timestamp;
use serde_json::Value;

use super::since;

pub fn row(event: &Event, now: Timestamp) -> Vec<Value> {
    let first = match event.first_timestamp {
        Some(time) => since(Some(time), now),
        None => since_micro(event.event_time, now),
    };
    let mut last = match event.last_timestamp {
        Some(time) => since(Some(time), now),
        None => first.clone(),
    };
    let mut count = event.count;
    if let Some(series) = &event.series {
        last = since_micro(series.last_observed_time, now);
        count = series.count;
    } else if count == 0 {
        count = 1;
    }
    let about = &event.involved_object;
    let kind = about.kind.to_lowercase();
    let target = if about.name.is_empty() {
        kind
    } else {
        format!("{kind}/{}", about.name)
    };
    crate::cells![
        last,
        event.type_.as_str(),
        event.reason.as_str(),
        target,
        about.field_path.as_str(),
        source(event),
        event.message.trim(),
        first,
        count,
        event.metadata.name.as_str(),
    ]
}

fn since_micro(time: Option<MicroTime>, now: Timestamp) -> String {
    since(time.map(|time| Time(time.timestamp())), now)
}

fn source(event: &Event) -> String {
    let or = |first: &str, second: &str| {
        if first.is_empty() {
            second.to_owned()
        } else {
            first.to_owned()
        }
    };
    let component = or(&event.source.component, &event.reporting_component);
    let instance = or(&event.source.host, &event.reporting_instance);
    if instance.is_empty() {
        component
    } else {
        format!("{component}, {instance}")
    }
}
