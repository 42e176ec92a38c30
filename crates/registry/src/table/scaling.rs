//! Horizontal pod autoscalers.

use api::autoscaling::{v1, v2};
use apimachinery::quantity::Quantity;
use jiff::Timestamp;
use serde_json::Value;

use super::{NONE, UNKNOWN, UNSET, age};

const SHOWN_METRICS: usize = 2;

pub fn autoscaler_v1(object: &v1::HorizontalPodAutoscaler, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    let target = spec.target_cpu_utilization_percentage;
    let metrics = match target {
        None => NONE.to_owned(),
        Some(target) => {
            let current = percent(object.status.current_cpu_utilization_percentage, UNKNOWN);
            format!("cpu: {current}/{target}%")
        }
    };
    crate::cells![
        object.metadata.name.as_str(),
        format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name),
        metrics,
        spec.min_replicas
            .map_or(UNSET.to_owned(), |minimum| minimum.to_string()),
        spec.max_replicas,
        object.status.current_replicas,
        age(&object.metadata, now),
    ]
}

pub fn autoscaler_v2(object: &v2::HorizontalPodAutoscaler, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    crate::cells![
        object.metadata.name.as_str(),
        format!("{}/{}", spec.scale_target_ref.kind, spec.scale_target_ref.name),
        metrics(&spec.metrics, &object.status.current_metrics),
        spec.min_replicas
            .map_or(UNSET.to_owned(), |minimum| minimum.to_string()),
        spec.max_replicas,
        object.status.current_replicas,
        age(&object.metadata, now),
    ]
}

fn metrics(specs: &[v2::MetricSpec], statuses: &[v2::MetricStatus]) -> String {
    if specs.is_empty() {
        return NONE.to_owned();
    }
    let shown = specs
        .iter()
        .take(SHOWN_METRICS)
        .enumerate()
        .map(|(index, spec)| metric(spec, statuses.get(index)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match specs.len().saturating_sub(SHOWN_METRICS) {
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

fn metric(spec: &v2::MetricSpec, status: Option<&v2::MetricStatus>) -> String {
    if let Some(external) = &spec.external {
        let current = status
            .and_then(|status| status.external.as_ref())
            .map(|external| &external.current);
        averaged(&external.target, current)
    } else if let Some(pods) = &spec.pods {
        let current = status
            .and_then(|status| status.pods.as_ref())
            .map(|pods| &pods.current);
        format!(
            "{}/{}",
            average(current),
            quantity(pods.target.average_value.as_ref())
        )
    } else if let Some(object) = &spec.object {
        let current = status
            .and_then(|status| status.object.as_ref())
            .map(|object| &object.current);
        averaged(&object.target, current)
    } else if let Some(resource) = &spec.resource {
        let current = status
            .and_then(|status| status.resource.as_ref())
            .map(|resource| &resource.current);
        utilization(&resource.name, &resource.target, current)
    } else if let Some(resource) = &spec.container_resource {
        let current = status
            .and_then(|status| status.container_resource.as_ref())
            .map(|resource| &resource.current);
        utilization(&resource.name, &resource.target, current)
    } else {
        "<unknown type>".to_owned()
    }
}

fn averaged(target: &v2::MetricTarget, current: Option<&v2::MetricValueStatus>) -> String {
    match &target.average_value {
        Some(wanted) => format!("{}/{wanted} (avg)", average(current)),
        None => {
            let current = current.map_or(UNKNOWN.to_owned(), |current| quantity(current.value.as_ref()));
            format!("{current}/{}", quantity(target.value.as_ref()))
        }
    }
}

fn utilization(name: &str, target: &v2::MetricTarget, current: Option<&v2::MetricValueStatus>) -> String {
    match &target.average_value {
        Some(wanted) => format!("{name}: {}/{wanted}", average(current)),
        None => {
            let current = percent(current.and_then(|current| current.average_utilization), UNKNOWN);
            format!(
                "{name}: {current}/{}",
                percent(target.average_utilization, "<auto>")
            )
        }
    }
}

fn average(current: Option<&v2::MetricValueStatus>) -> String {
    let value = current.and_then(|current| current.average_value.as_ref());
    value.map_or(UNKNOWN.to_owned(), ToString::to_string)
}

fn quantity(value: Option<&Quantity>) -> String {
    value.map_or("<nil>".to_owned(), ToString::to_string)
}

fn percent(value: Option<i32>, absent: &str) -> String {
    value.map_or(absent.to_owned(), |value| format!("{value}%"))
}
