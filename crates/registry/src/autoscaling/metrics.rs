//! What is wrong with the metrics of an autoscaler.

use api::autoscaling::v2::{HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;
use apimachinery::validation::{is_dns1123_label, is_valid_path_segment_name};

use super::validation::{Version, reference};
use crate::metadata::messages;
use crate::resources;

const TYPES: [&str; 5] = ["ContainerResource", "External", "Object", "Pods", "Resource"];
const EITHER_FOR_RESOURCE: &str = "must set either a target raw value or a target utilization";

pub(super) fn validate(spec: &HorizontalPodAutoscalerSpec, path: &Path) -> ErrorList {
    let each = spec.metrics.iter().enumerate();
    let mut errors: ErrorList = each
        .flat_map(|(index, metric)| validate_metric(metric, &path.index(index)))
        .collect();
    let beyond_pods = |metric: &MetricSpec| matches!(metric.type_.as_str(), "Object" | "External");
    if spec.min_replicas == Some(0) && !spec.metrics.iter().any(beyond_pods) {
        let detail =
            "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(Error::forbidden(path, detail));
    }
    errors
}

fn validate_metric(metric: &MetricSpec, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let kind = metric.type_.as_str();
    if kind.is_empty() {
        errors.push(Error::required(
            &path.child("type"),
            "must specify a metric source type",
        ));
    }
    let unknown = || Error::not_supported(&path.child("type"), kind, &TYPES);
    if !TYPES.contains(&kind) {
        errors.push(unknown());
    }
    let (present, first) = sources(metric, path);
    errors.extend(first);
    let expected = match kind {
        "Object" => "object",
        "Pods" => "pods",
        "Resource" => "resource",
        "External" => "external",
        "ContainerResource" => "containerResource",
        _ => "",
    };
    if expected.is_empty() {
        errors.push(unknown());
    } else if !present.contains(&expected) {
        let detail = "must populate information for the given metric source";
        errors.push(Error::required(&path.child(expected), detail));
    }
    if present.len() > 1 {
        for other in present.into_iter().filter(|source| *source != expected) {
            let detail = "must populate the given metric source only";
            errors.push(Error::forbidden(&path.child(other), detail));
        }
    }
    errors
}

/// The sources that are given, and what is wrong with the first.
fn sources(metric: &MetricSpec, path: &Path) -> (Vec<&'static str>, ErrorList) {
    let mut present = Vec::new();
    let mut errors = ErrorList::new();
    let mut note = |field: &'static str, check: &dyn Fn(&Path) -> ErrorList| {
        if present.is_empty() {
            errors = check(&path.child(field));
        }
        present.push(field);
    };
    if let Some(source) = &metric.object {
        note("object", &|path| {
            let described = &source.described_object;
            let mut errors = reference(described, Version::Any, &path.child("describedObject"));
            errors.extend(identifier(&source.metric, path));
            let missing = "must set either a target value or averageValue";
            errors.extend(target_value(&source.target, missing, path));
            errors
        });
    }
    if let Some(source) = &metric.external {
        note("external", &|path| {
            let mut errors = identifier(&source.metric, path);
            let missing = "must set either a target value for metric or a per-pod target";
            errors.extend(target_value(&source.target, missing, path));
            if source.target.value.is_some() && source.target.average_value.is_some() {
                let detail = "may not set both a target value for metric and a per-pod target";
                errors.push(Error::forbidden(&path.child("target").child("value"), detail));
            }
            errors
        });
    }
    if let Some(source) = &metric.pods {
        note("pods", &|path| {
            let mut errors = identifier(&source.metric, path);
            errors.extend(target(&source.target, path));
            if source.target.average_value.is_none() {
                let at = path.child("target").child("averageValue");
                errors.push(Error::required(
                    &at,
                    "must specify a positive target averageValue",
                ));
            }
            errors
        });
    }
    if let Some(source) = &metric.resource {
        note("resource", &|path| {
            let mut errors = ErrorList::new();
            errors.extend(named(&source.name, path));
            errors.extend(utilization(&source.target, path));
            errors
        });
    }
    if let Some(source) = &metric.container_resource {
        note("containerResource", &|path| {
            let mut errors = ErrorList::new();
            match named(&source.name, path) {
                Some(missing) => errors.push(missing),
                None => errors.extend(resources::validate_container_name(
                    &source.name,
                    &path.child("name"),
                )),
            }
            let at = path.child("container");
            if source.container.is_empty() {
                errors.push(Error::required(&at, "must specify a container"));
            } else {
                errors.extend(messages(
                    &at,
                    &source.container,
                    is_dns1123_label(&source.container),
                ));
            }
            errors.extend(utilization(&source.target, path));
            errors
        });
    }
    (present, errors)
}

fn named(name: &str, path: &Path) -> Option<Error> {
    name.is_empty()
        .then(|| Error::required(&path.child("name"), "must specify a resource name"))
}

fn identifier(metric: &MetricIdentifier, path: &Path) -> ErrorList {
    let at = path.child("metric").child("name");
    if metric.name.is_empty() {
        return vec![Error::required(&at, "must specify a metric name")];
    }
    messages(&at, &metric.name, is_valid_path_segment_name(&metric.name)).collect()
}

fn target(target: &MetricTarget, path: &Path) -> ErrorList {
    let path = path.child("target");
    let mut errors = ErrorList::new();
    let at = path.child("type");
    if target.type_.is_empty() {
        errors.push(Error::required(&at, "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&target.type_.as_str()) {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(Error::invalid(&at, target.type_.as_str(), detail));
    }
    let mut positive = |quantity: &Option<Quantity>, field: &'static str| {
        if let Some(quantity) = quantity.as_ref().filter(|quantity| quantity.sign() != 1) {
            let detail = "must be positive";
            errors.push(Error::invalid(&path.child(field), quantity.to_string(), detail));
        }
    };
    positive(&target.value, "value");
    positive(&target.average_value, "averageValue");
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        let at = path.child("averageUtilization");
        errors.push(Error::invalid(&at, percent, "must be greater than 0"));
    }
    errors
}

/// A target that is a value, of all or on average.
fn target_value(of: &MetricTarget, missing: &str, path: &Path) -> ErrorList {
    let mut errors = target(of, path);
    if of.value.is_none() && of.average_value.is_none() {
        errors.push(Error::required(
            &path.child("target").child("averageValue"),
            missing,
        ));
    }
    errors
}

/// A target that is a share of what is requested, or an average value.
fn utilization(of: &MetricTarget, path: &Path) -> ErrorList {
    let mut errors = target(of, path);
    let path = path.child("target");
    match (of.average_utilization, &of.average_value) {
        (None, None) => {
            errors.push(Error::required(
                &path.child("averageUtilization"),
                EITHER_FOR_RESOURCE,
            ));
        }
        (Some(_), Some(_)) => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(Error::forbidden(&path.child("averageValue"), detail));
        }
        _ => {}
    }
    errors
}
