//! From a metric of the specification to a number of pods: reads it, asks [`replicas`](super::replicas) and says what
//! was seen.

use std::sync::Arc;

use api::autoscaling::v2::{
    ContainerResourceMetricStatus, ExternalMetricSource, ExternalMetricStatus, MetricSpec, MetricStatus,
    MetricTarget, MetricValueStatus, ObjectMetricSource, ObjectMetricStatus, PodsMetricSource,
    PodsMetricStatus, ResourceMetricStatus,
};
use api::core::v1::Pod;
use api::meta::v1::LabelSelector;
use api::selector::{from_label_selector, shown};
use apimachinery::gvk::GroupResource;
use apimachinery::quantity::{Format, Quantity};

use super::metrics::Metrics;
use super::replicas::{Proposal, Scaled};
use super::target::Scales;

/// A number of pods that a metric asks for.
pub struct Outcome {
    pub replicas: i32,
    /// The metric, for people.
    pub name: String,
    pub status: MetricStatus,
}

/// A metric that tells nothing.
pub struct Failure {
    /// The reason of event and condition.
    pub reason: &'static str,
    /// What went wrong.
    pub message: String,
    /// The same with the metric.
    pub whole: String,
    /// The user's mistake, not the cluster's.
    pub is_of_spec: bool,
}

/// What metrics are computed for.
pub struct Observed<'a> {
    pub namespace: &'a str,
    /// The selector of the pods, as text.
    pub selector: &'a str,
    pub scaled: Scaled<'a>,
    /// How many pods the target says that it has.
    pub running: i32,
    pub metrics: &'a Metrics,
    pub scales: &'a Scales,
}

type Found = Result<(Proposal, String, MetricStatus), String>;

impl Observed<'_> {
    pub fn pods(&self) -> &[Arc<Pod>] {
        self.scaled.pods
    }

    pub async fn evaluate(&self, spec: &MetricSpec) -> Result<Outcome, Failure> {
        let (reason, prefix, found) = match spec {
            MetricSpec {
                object: Some(source), ..
            } => (
                "FailedGetObjectMetric",
                "failed to get object metric value".to_owned(),
                self.object(source).await,
            ),
            MetricSpec {
                pods: Some(source), ..
            } => (
                "FailedGetPodsMetric",
                "failed to get pods metric value".to_owned(),
                self.of_pods(source).await,
            ),
            MetricSpec {
                resource: Some(source),
                ..
            } => (
                "FailedGetResourceMetric",
                format!("failed to get {} resource metric value", source.name),
                self.resource(&source.name, None, &source.target).await,
            ),
            MetricSpec {
                container_resource: Some(source),
                ..
            } => (
                "FailedGetContainerResourceMetric",
                format!("failed to get {} container metric value", source.container),
                self.resource(&source.name, Some(&source.container), &source.target)
                    .await,
            ),
            MetricSpec {
                external: Some(source),
                ..
            } => (
                "FailedGetExternalMetric",
                format!("failed to get {} external metric value", source.metric.name),
                self.external(source).await,
            ),
            _ => return Err(unknown_type(&spec.type_)),
        };
        match found {
            Ok((proposal, name, status)) => Ok(Outcome {
                replicas: proposal.replicas,
                name,
                status: MetricStatus {
                    type_: spec.type_.clone(),
                    ..status
                },
            }),
            Err(message) => Err(Failure {
                reason,
                whole: format!("{prefix}: {message}"),
                message,
                is_of_spec: false,
            }),
        }
    }

    async fn resource(&self, resource: &str, container: Option<&str>, target: &MetricTarget) -> Found {
        let samples = || async {
            let samples = self
                .metrics
                .resource(self.namespace, self.selector, resource, container)
                .await;
            samples.map_err(|error| format!("unable to get metrics for resource {resource}: {error}"))
        };
        let format = if resource == "memory" {
            Format::BinarySi
        } else {
            Format::DecimalSi
        };
        let (proposal, name) = if let Some(average) = &target.average_value {
            let failed = |error: String| format!("failed to get {resource} usage: {error}");
            let proposal =
                self.scaled
                    .by_average(samples().await.map_err(failed)?, resource, average.milli_value());
            let proposal = proposal.map_err(|error| failed(error.to_string()))?;
            (proposal, format!("{resource} resource"))
        } else if let Some(percent) = target.average_utilization {
            let failed = |error: String| format!("failed to get {resource} utilization: {error}");
            let samples = samples().await.map_err(failed)?;
            let proposal = self.scaled.by_utilization(samples, resource, container, percent);
            let proposal = proposal.map_err(|error| failed(error.to_string()))?;
            let of = if container.is_some() { "container " } else { "" };
            let name = format!("{resource} {of}resource utilization (percentage of request)");
            (proposal, name)
        } else {
            return Err("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set".to_owned());
        };
        let current = MetricValueStatus {
            average_value: Some(Quantity::from_milli(proposal.usage, format)),
            average_utilization: proposal.utilization,
            ..MetricValueStatus::default()
        };
        let mut status = MetricStatus::default();
        match container {
            Some(container) => {
                status.container_resource = Some(Box::new(ContainerResourceMetricStatus {
                    name: resource.to_owned(),
                    container: container.to_owned(),
                    current,
                }));
            }
            None => {
                status.resource = Some(Box::new(ResourceMetricStatus {
                    name: resource.to_owned(),
                    current,
                }));
            }
        }
        Ok((proposal, name, status))
    }

    async fn of_pods(&self, source: &PodsMetricSource) -> Found {
        let metric = &source.metric.name;
        let selector = selector_text(source.metric.selector.as_deref())?;
        let samples = self
            .metrics
            .pods(self.namespace, self.selector, metric, &selector)
            .await
            .map_err(|error| format!("unable to get metric {metric}: {error}"))?;
        let target = source.target.average_value.as_ref();
        let target = target.map_or(0, Quantity::milli_value);
        let proposal = self.scaled.by_average(samples, "", target);
        let proposal = proposal.map_err(|error| error.to_string())?;
        let status = MetricStatus {
            pods: Some(Box::new(PodsMetricStatus {
                metric: source.metric.clone(),
                current: average(proposal.usage),
            })),
            ..MetricStatus::default()
        };
        Ok((proposal, format!("pods metric {metric}"), status))
    }

    async fn object(&self, source: &ObjectMetricSource) -> Found {
        let (metric, object) = (&source.metric.name, &source.described_object);
        let selector = selector_text(source.metric.selector.as_deref())?;
        let read = || async {
            let usage = self.read_object(source, &selector).await;
            usage.map_err(|error| {
                format!(
                    "unable to get metric {metric}: {} on {} {}/{error}",
                    object.kind, self.namespace, object.name
                )
            })
        };
        let (proposal, name, current) = match (&source.target.value, &source.target.average_value) {
            (Some(target), _) if source.target.type_ == "Value" => {
                let proposal = self.scaled.by_value(read().await?, target.milli_value());
                let proposal = proposal.map_err(unready)?;
                let name = format!("{} metric {metric}", object.kind);
                (proposal, name, value(proposal.usage))
            }
            (_, Some(target)) if source.target.type_ == "AverageValue" => {
                let usage = read().await;
                let usage =
                    usage.map_err(|error| format!("failed to get {metric} object metric: {error}"))?;
                let proposal = self.scaled.by_share(usage, target.milli_value(), self.running);
                let name = external_name(metric, source.metric.selector.as_deref());
                (proposal, name, average(proposal.usage))
            }
            _ => {
                return Err("invalid object metric source: neither a value target nor an average value target was set".to_owned());
            }
        };
        let status = MetricStatus {
            object: Some(Box::new(ObjectMetricStatus {
                described_object: object.clone(),
                metric: source.metric.clone(),
                current,
            })),
            ..MetricStatus::default()
        };
        Ok((proposal, name, status))
    }

    async fn read_object(&self, source: &ObjectMetricSource, selector: &str) -> Result<i64, String> {
        let object = &source.described_object;
        let resource = self.scales.resource(&object.api_version, &object.kind).await;
        let gvr = resource.map_err(|error| error.to_string())?;
        let resource = GroupResource {
            group: gvr.group,
            resource: gvr.resource,
        };
        let metric = &source.metric.name;
        let usage = self
            .metrics
            .object(self.namespace, &resource, &object.name, metric, selector);
        usage.await.map_err(|error| error.to_string())
    }

    async fn external(&self, source: &ExternalMetricSource) -> Found {
        let metric = &source.metric.name;
        let selector = source.metric.selector.as_deref();
        let text = selector_text(selector)?;
        let read = || async {
            let values = self.metrics.external(self.namespace, metric, &text).await;
            let values = values.map_err(|error| {
                format!(
                    "unable to get external metric {}/{metric}/{}: {error}",
                    self.namespace,
                    shown(selector)
                )
            });
            Ok::<i64, String>(values?.into_iter().fold(0, i64::saturating_add))
        };
        let (proposal, current) = if let Some(target) = &source.target.average_value {
            let usage = read().await;
            let usage = usage.map_err(|error| format!("failed to get {metric} external metric: {error}"))?;
            let proposal = self.scaled.by_share(usage, target.milli_value(), self.running);
            (proposal, average(proposal.usage))
        } else if let Some(target) = &source.target.value {
            let failed = |error: String| format!("failed to get external metric {metric}: {error}");
            let usage = read().await.map_err(failed)?;
            let proposal = self.scaled.by_value(usage, target.milli_value());
            let proposal = proposal.map_err(|error| failed(unready(error)))?;
            (proposal, value(proposal.usage))
        } else {
            return Err(
                "invalid external metric source: neither a value target nor an average value target was set"
                    .to_owned(),
            );
        };
        let status = MetricStatus {
            external: Some(Box::new(ExternalMetricStatus {
                metric: source.metric.clone(),
                current,
            })),
            ..MetricStatus::default()
        };
        Ok((proposal, external_name(metric, selector), status))
    }
}

fn unknown_type(type_: &str) -> Failure {
    let message = format!("unknown metric source type {type_:?}");
    Failure {
        reason: "InvalidMetricSourceType",
        whole: message.clone(),
        message,
        is_of_spec: true,
    }
}

fn unready(error: super::replicas::Error) -> String {
    format!("unable to calculate ready pods: {error}")
}

fn external_name(metric: &str, selector: Option<&LabelSelector>) -> String {
    format!("external metric {metric}({})", shown(selector))
}

fn selector_text(selector: Option<&LabelSelector>) -> Result<String, String> {
    let Some(selector) = selector else {
        return Ok(String::new());
    };
    let selector = from_label_selector(selector).map_err(|error| error.to_string())?;
    Ok(selector.to_string())
}

fn average(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        average_value: Some(Quantity::from_milli(milli, Format::DecimalSi)),
        ..MetricValueStatus::default()
    }
}

fn value(milli: i64) -> MetricValueStatus {
    MetricValueStatus {
        value: Some(Quantity::from_milli(milli, Format::DecimalSi)),
        ..MetricValueStatus::default()
    }
}
