//! What v1 has no fields for, kept in annotations: other metrics, behaviour, conditions, and the metrics that were
//! measured. Their JSON is that of upstream's v1 types, and for the behaviour that of its internal one.
//!
//! Upstream: `pkg/apis/autoscaling/v1/conversion.go`.

use std::collections::BTreeMap;

use api::Message;
use api::autoscaling::v2::{
    HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerCondition, MetricSpec, MetricStatus,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const TOLERANCES: [&str; 2] = [
    "autoscaling.alpha.kubernetes.io/scale-down-tolerance",
    "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
];

/// The members of one kind of metric: what v1 calls them, and where they are in v2.
type Members = (&'static str, &'static [(&'static str, &'static str)]);

const WANTED: [Members; 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("targetValue", "target.value"),
            ("selector", "metric.selector"),
            ("averageValue", "target.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("targetAverageValue", "target.averageValue"),
            ("selector", "metric.selector"),
        ],
    ),
    (
        "resource",
        &[
            ("name", "name"),
            ("targetAverageUtilization", "target.averageUtilization"),
            ("targetAverageValue", "target.averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "name"),
            ("targetAverageUtilization", "target.averageUtilization"),
            ("targetAverageValue", "target.averageValue"),
            ("container", "container"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("targetValue", "target.value"),
            ("targetAverageValue", "target.averageValue"),
        ],
    ),
];

const MEASURED: [Members; 5] = [
    (
        "object",
        &[
            ("target", "describedObject"),
            ("metricName", "metric.name"),
            ("currentValue", "current.value"),
            ("selector", "metric.selector"),
            ("averageValue", "current.averageValue"),
        ],
    ),
    (
        "pods",
        &[
            ("metricName", "metric.name"),
            ("currentAverageValue", "current.averageValue"),
            ("selector", "metric.selector"),
        ],
    ),
    (
        "resource",
        &[
            ("name", "name"),
            ("currentAverageUtilization", "current.averageUtilization"),
            ("currentAverageValue", "current.averageValue"),
        ],
    ),
    (
        "containerResource",
        &[
            ("name", "name"),
            ("currentAverageUtilization", "current.averageUtilization"),
            ("currentAverageValue", "current.averageValue"),
            ("container", "container"),
        ],
    ),
    (
        "external",
        &[
            ("metricName", "metric.name"),
            ("metricSelector", "metric.selector"),
            ("currentValue", "current.value"),
            ("currentAverageValue", "current.averageValue"),
        ],
    ),
];

/// Members that v1 always states.
const ALWAYS: [&str; 3] = ["targetValue", "currentValue", "currentAverageValue"];

/// Fills in what the annotations of an autoscaler that came as v1 say, and takes them away.
pub(super) fn take(hpa: &mut HorizontalPodAutoscaler) {
    let mut taken = BTreeMap::new();
    for name in [
        METRICS,
        CURRENT,
        BEHAVIOR,
        CONDITIONS,
        TOLERANCES[0],
        TOLERANCES[1],
    ] {
        if let Some(text) = hpa.metadata.annotations.remove(name) {
            taken.insert(name, text);
        }
    }
    let list = |name: &str| {
        taken
            .get(name)
            .and_then(|text| serde_json::from_str::<Vec<Value>>(text).ok())
    };
    if let Some(metrics) = list(METRICS) {
        let others = metrics.iter().map(wanted);
        if let Some(mut others) = others.collect::<Option<Vec<MetricSpec>>>() {
            others.append(&mut hpa.spec.metrics);
            hpa.spec.metrics = others;
        }
    }
    if let Some(metrics) = list(CURRENT) {
        let measured = metrics.iter().map(|metric| read(metric, &MEASURED));
        if let Some(measured) = measured.collect::<Option<Vec<MetricStatus>>>() {
            hpa.status.current_metrics = measured;
        }
    }
    let behavior = taken
        .get(BEHAVIOR)
        .and_then(|text| serde_json::from_str(text).ok());
    if let Some(behavior) = behavior.and_then(|value: Value| typed(&with_json_names(value)))
        && behavior != HorizontalPodAutoscalerBehavior::default()
    {
        hpa.spec.behavior = Some(Box::new(behavior));
    }
    if let Some(conditions) = list(CONDITIONS) {
        let conditions = conditions.iter().map(typed::<HorizontalPodAutoscalerCondition>);
        if let Some(conditions) = conditions.collect() {
            hpa.status.conditions = conditions;
        }
    }
}

/// States in annotations what an autoscaler that goes out as v1 has besides the `cpu` metric.
pub(super) fn put(hpa: &mut HorizontalPodAutoscaler, is_cpu: impl Fn(&MetricSpec) -> bool) {
    for name in [
        METRICS,
        CURRENT,
        BEHAVIOR,
        CONDITIONS,
        TOLERANCES[0],
        TOLERANCES[1],
    ] {
        hpa.metadata.annotations.remove(name);
    }
    let mut add = |name: &str, items: Vec<String>| {
        if !items.is_empty() {
            let text = format!("[{}]", items.join(","));
            hpa.metadata.annotations.insert(name.to_owned(), text);
        }
    };
    let others = hpa.spec.metrics.iter().filter(|metric| !is_cpu(metric));
    add(METRICS, others.map(|metric| written(metric, &WANTED)).collect());
    let measured = hpa.status.current_metrics.iter();
    add(
        CURRENT,
        measured.map(|metric| written(metric, &MEASURED)).collect(),
    );
    add(CONDITIONS, hpa.status.conditions.iter().map(condition).collect());
    if let Some(behavior) = &hpa.spec.behavior {
        let rules = |rules: &Option<Box<HPAScalingRules>>| rules.as_deref().map(scaling);
        let text = format!(
            "{{\"ScaleUp\":{},\"ScaleDown\":{}}}",
            rules(&behavior.scale_up).unwrap_or_else(|| "null".to_owned()),
            rules(&behavior.scale_down).unwrap_or_else(|| "null".to_owned())
        );
        hpa.metadata.annotations.insert(BEHAVIOR.to_owned(), text);
    }
}

fn typed<T: Message + Default>(value: &Value) -> Option<T> {
    T::from_json(value.to_string().as_bytes()).ok()
}

/// Members with their raw text, which keeps the order of what is within.
fn members(text: &str) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(text).unwrap_or_default()
}

fn at<'a>(text: &'a str, path: &str) -> Option<&'a str> {
    path.split('.').try_fold(text, |text, name| {
        let members: BTreeMap<String, &'a RawValue> = serde_json::from_str(text).ok()?;
        members.get(name).map(|value| value.get())
    })
}

/// A metric of v2 as v1's JSON.
fn written(metric: &impl Message, kinds: &[Members]) -> String {
    let json = metric.to_json();
    let text = String::from_utf8_lossy(&json);
    let own = members(&text);
    let mut out = format!(
        "{{\"type\":{}",
        own.get("type").map_or("\"\"", |value| value.get())
    );
    for (kind, pairs) in kinds {
        let Some(source) = own.get(*kind) else { continue };
        let members = pairs.iter().filter_map(|(name, path)| {
            let zero = ALWAYS.contains(name) && *kind != "external";
            let value = at(source.get(), path).or(zero.then_some("\"0\""))?;
            Some(format!("\"{name}\":{value}"))
        });
        let members: Vec<String> = members.collect();
        out.push_str(&format!(",\"{kind}\":{{{}}}", members.join(",")));
    }
    out.push('}');
    out
}

/// A metric of v1 as v2's; `None` if it can't be read.
fn read<T: Message + Default>(metric: &Value, kinds: &[Members]) -> Option<T> {
    typed(&moved(metric, kinds)?)
}

fn moved(metric: &Value, kinds: &[Members]) -> Option<Value> {
    let metric = metric.as_object()?;
    let mut out = Map::new();
    out.insert("type".to_owned(), metric.get("type").cloned().unwrap_or_default());
    for (kind, pairs) in kinds {
        let Some(source) = metric.get(*kind) else { continue };
        let mut own = json!({});
        for (name, path) in *pairs {
            if let Some(value) = source.get(*name) {
                let pointer = path.split('.').fold(&mut own, |value, step| &mut value[step]);
                *pointer = value.clone();
            }
        }
        out.insert((*kind).to_owned(), own);
    }
    Some(Value::Object(out))
}

/// A metric that is aimed at. v1 does not say in which way: that shows in what is set.
fn wanted(metric: &Value) -> Option<MetricSpec> {
    let mut metric = moved(metric, &WANTED)?;
    for (kind, _) in WANTED {
        let Some(target) = metric.get_mut(kind).and_then(|source| source.get_mut("target")) else {
            continue;
        };
        let has = |name: &str| target.get(name).is_some();
        let type_ = if has("averageUtilization") {
            "Utilization"
        } else if has("averageValue") && (kind == "object" || !has("value")) {
            "AverageValue"
        } else {
            "Value"
        };
        target["type"] = Value::from(type_);
    }
    typed(&metric)
}

fn condition(condition: &HorizontalPodAutoscalerCondition) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let time = condition
        .last_transition_time
        .map_or("null".to_owned(), |time| text(&time.to_string()));
    let mut out = format!(
        "{{\"type\":{},\"status\":{},\"lastTransitionTime\":{time}",
        text(&condition.type_),
        text(&condition.status)
    );
    for (name, value) in [("reason", &condition.reason), ("message", &condition.message)] {
        if !value.is_empty() {
            out.push_str(&format!(",\"{name}\":{}", text(value)));
        }
    }
    out.push('}');
    out
}

fn scaling(rules: &HPAScalingRules) -> String {
    let policies: Vec<String> = rules
        .policies
        .iter()
        .map(|policy| {
            format!(
                "{{\"Type\":{},\"Value\":{},\"PeriodSeconds\":{}}}",
                Value::from(policy.type_.as_str()),
                policy.value,
                policy.period_seconds
            )
        })
        .collect();
    let policies = if policies.is_empty() {
        "null".to_owned()
    } else {
        format!("[{}]", policies.join(","))
    };
    format!(
        "{{\"StabilizationWindowSeconds\":{},\"SelectPolicy\":{},\"Policies\":{policies},\"Tolerance\":{}}}",
        Value::from(rules.stabilization_window_seconds),
        Value::from(rules.select_policy.clone()),
        Value::from(rules.tolerance.as_ref().map(ToString::to_string))
    )
}

/// Go's field names as those of the API's JSON.
fn with_json_names(value: Value) -> Value {
    let lower = |name: String| {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_lowercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    match value {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (lower(name), with_json_names(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(with_json_names).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_v1_has_no_fields_for_comes_back() {
        let hpa = br#"{"spec":{"scaleTargetRef":{"kind":"D","name":"d"},"maxReplicas":3,"metrics":[
            {"type":"Object","object":{"describedObject":{"kind":"Service","name":"s","apiVersion":"v1"},"target":{"type":"Value","value":"5"},"metric":{"name":"y"}}},
            {"type":"Resource","resource":{"name":"memory","target":{"type":"Utilization","averageUtilization":50}}}],
            "behavior":{"scaleUp":{"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":15}]}}},
            "status":{"conditions":[{"type":"AbleToScale","status":"True","lastTransitionTime":null}]}}"#;
        let mut hpa = HorizontalPodAutoscaler::from_json(hpa).unwrap();
        let whole = hpa.clone();
        put(&mut hpa, |_| false);
        let annotation = |name: &str| hpa.metadata.annotations.get(name).map(String::as_str);
        assert_eq!(
            annotation(METRICS),
            Some(
                r#"[{"type":"Object","object":{"target":{"kind":"Service","name":"s","apiVersion":"v1"},"metricName":"y","targetValue":"5"}},{"type":"Resource","resource":{"name":"memory","targetAverageUtilization":50}}]"#
            )
        );
        assert_eq!(
            annotation(BEHAVIOR),
            Some(
                r#"{"ScaleUp":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":null}"#
            )
        );
        assert_eq!(
            annotation(CONDITIONS),
            Some(r#"[{"type":"AbleToScale","status":"True","lastTransitionTime":null}]"#)
        );
        hpa.spec.metrics.clear();
        hpa.spec.behavior = None;
        hpa.status.conditions.clear();
        take(&mut hpa);
        assert_eq!(hpa, whole);
    }
}
