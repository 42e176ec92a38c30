//! Conversion between the versions of a kind. Most kinds have one version; Events stand in two groups, and
//! HorizontalPodAutoscalers in two versions.

use api::catalogue::Resource;
use api::{Custom, Object, autoscaling, core, events};
use apimachinery::status::Status;

mod autoscaler;

/// Converts an object to the version of a row.
pub fn convert(mut object: Box<dyn Object>, to: &Resource) -> Result<Box<dyn Object>, Status> {
    // Versions of a custom kind differ in their name.
    if let Some(object) = Custom::of_mut(&mut *object) {
        to.api_version.clone_into(&mut object.api_version);
    }
    let from = object.gvk();
    if from.group == to.group && from.version == to.version {
        return Ok(object);
    }
    match (from.group.as_str(), from.version.as_str(), to.group, to.version) {
        ("", "v1", "events.k8s.io", "v1") => with(object, event_from_core),
        ("events.k8s.io", "v1", "", "v1") => with(object, event_to_core),
        ("autoscaling", "v1", "autoscaling", "v2") => {
            with(object, |hpa: autoscaling::v1::HorizontalPodAutoscaler| {
                autoscaler::to_v2(hpa)
            })
        }
        ("autoscaling", "v2", "autoscaling", "v1") => {
            with(object, |hpa: autoscaling::v2::HorizontalPodAutoscaler| {
                autoscaler::to_v1(hpa)
            })
        }
        _ => Err(unknown(&from.to_string(), to)),
    }
}

fn unknown(from: &str, to: &Resource) -> Status {
    Status::internal(format!(
        "converting ({from}) to ({}/{}, Kind={}): unknown conversion",
        to.group, to.version, to.kind
    ))
}

fn with<A: api::Resource, B: api::Resource>(
    object: Box<dyn Object>,
    convert: impl FnOnce(A) -> B,
) -> Result<Box<dyn Object>, Status> {
    match object.downcast::<A>() {
        Ok(object) => Ok(Box::new(convert(*object))),
        Err(object) => Err(Status::internal(format!(
            "{} is not of the type that it names",
            object.gvk()
        ))),
    }
}

fn event_from_core(event: core::v1::Event) -> events::v1::Event {
    events::v1::Event {
        metadata: event.metadata,
        event_time: event.event_time,
        series: event.series.map(|series| {
            Box::new(events::v1::EventSeries {
                count: series.count,
                last_observed_time: series.last_observed_time,
            })
        }),
        reporting_controller: event.reporting_component,
        reporting_instance: event.reporting_instance,
        action: event.action,
        reason: event.reason,
        regarding: event.involved_object,
        related: event.related,
        note: event.message,
        type_: event.type_,
        deprecated_source: event.source,
        deprecated_first_timestamp: event.first_timestamp,
        deprecated_last_timestamp: event.last_timestamp,
        deprecated_count: event.count,
    }
}

fn event_to_core(event: events::v1::Event) -> core::v1::Event {
    core::v1::Event {
        metadata: event.metadata,
        event_time: event.event_time,
        series: event.series.map(|series| {
            Box::new(core::v1::EventSeries {
                count: series.count,
                last_observed_time: series.last_observed_time,
            })
        }),
        reporting_component: event.reporting_controller,
        reporting_instance: event.reporting_instance,
        action: event.action,
        reason: event.reason,
        involved_object: event.regarding,
        related: event.related,
        message: event.note,
        type_: event.type_,
        source: event.deprecated_source,
        first_timestamp: event.deprecated_first_timestamp,
        last_timestamp: event.deprecated_last_timestamp,
        count: event.deprecated_count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_the_round_trip() {
        let event = core::v1::Event {
            message: "Pulled".to_owned(),
            reason: "Pulled".to_owned(),
            type_: "Normal".to_owned(),
            count: 3,
            ..core::v1::Event::default()
        };
        assert_eq!(event_to_core(event_from_core(event.clone())), event);
    }
}
