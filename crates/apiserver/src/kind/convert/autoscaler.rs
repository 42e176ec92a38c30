//! HorizontalPodAutoscaler v1 and v2. v1 has one metric, CPU utilization; the rest of a v2 object goes into annotations.

mod annotations;

use api::autoscaling::{v1, v2};

const CPU: &str = "cpu";
const RESOURCE: &str = "Resource";
const UTILIZATION: &str = "Utilization";

/// From one metric to the list of them.
pub fn to_v2(hpa: v1::HorizontalPodAutoscaler) -> v2::HorizontalPodAutoscaler {
    let target = hpa.spec.scale_target_ref;
    let mut whole = v2::HorizontalPodAutoscaler {
        metadata: hpa.metadata,
        spec: v2::HorizontalPodAutoscalerSpec {
            scale_target_ref: v2::CrossVersionObjectReference {
                kind: target.kind,
                name: target.name,
                api_version: target.api_version,
            },
            min_replicas: hpa.spec.min_replicas,
            max_replicas: hpa.spec.max_replicas,
            metrics: hpa
                .spec
                .target_cpu_utilization_percentage
                .map(cpu_metric)
                .into_iter()
                .collect(),
            behavior: None,
        },
        status: v2::HorizontalPodAutoscalerStatus {
            observed_generation: hpa.status.observed_generation,
            last_scale_time: hpa.status.last_scale_time,
            current_replicas: hpa.status.current_replicas,
            desired_replicas: hpa.status.desired_replicas,
            current_metrics: hpa
                .status
                .current_cpu_utilization_percentage
                .map(cpu_status)
                .into_iter()
                .collect(),
            conditions: Vec::new(),
        },
    };
    annotations::take(&mut whole);
    whole
}

fn is_cpu_utilization(metric: &v2::MetricSpec) -> bool {
    let resource = metric.resource.as_deref().filter(|_| metric.type_ == RESOURCE);
    resource.is_some_and(|own| own.name == CPU && own.target.average_utilization.is_some())
}

/// From the list of metrics to the one of CPU.
pub fn to_v1(mut hpa: v2::HorizontalPodAutoscaler) -> v1::HorizontalPodAutoscaler {
    annotations::put(&mut hpa, is_cpu_utilization);
    let target = hpa.spec.scale_target_ref;
    let wanted = hpa
        .spec
        .metrics
        .iter()
        .filter(|metric| metric.type_ == RESOURCE)
        .filter_map(|metric| metric.resource.as_ref());
    let current = hpa
        .status
        .current_metrics
        .iter()
        .filter(|metric| metric.type_ == RESOURCE)
        .filter_map(|metric| metric.resource.as_ref());
    v1::HorizontalPodAutoscaler {
        spec: v1::HorizontalPodAutoscalerSpec {
            scale_target_ref: v1::CrossVersionObjectReference {
                kind: target.kind,
                name: target.name,
                api_version: target.api_version,
            },
            min_replicas: hpa.spec.min_replicas,
            max_replicas: hpa.spec.max_replicas,
            target_cpu_utilization_percentage: wanted
                .filter(|metric| metric.name == CPU)
                .find_map(|metric| metric.target.average_utilization),
        },
        status: v1::HorizontalPodAutoscalerStatus {
            observed_generation: hpa.status.observed_generation,
            last_scale_time: hpa.status.last_scale_time,
            current_replicas: hpa.status.current_replicas,
            desired_replicas: hpa.status.desired_replicas,
            current_cpu_utilization_percentage: current
                .filter(|metric| metric.name == CPU)
                .find_map(|metric| metric.current.average_utilization),
        },
        metadata: hpa.metadata,
    }
}

fn cpu_metric(percent: i32) -> v2::MetricSpec {
    let target = v2::MetricTarget {
        type_: UTILIZATION.to_owned(),
        average_utilization: Some(percent),
        ..Default::default()
    };
    v2::MetricSpec {
        type_: RESOURCE.to_owned(),
        resource: Some(Box::new(v2::ResourceMetricSource {
            name: CPU.to_owned(),
            target,
        })),
        ..Default::default()
    }
}

fn cpu_status(percent: i32) -> v2::MetricStatus {
    let current = v2::MetricValueStatus {
        average_utilization: Some(percent),
        ..Default::default()
    };
    v2::MetricStatus {
        type_: RESOURCE.to_owned(),
        resource: Some(Box::new(v2::ResourceMetricStatus {
            name: CPU.to_owned(),
            current,
        })),
        ..Default::default()
    }
}
