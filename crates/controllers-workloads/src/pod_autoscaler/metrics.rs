//! Reads metrics from the servers that have them: `metrics.k8s.io`, `custom.metrics.k8s.io` and
//! `external.metrics.k8s.io`.
//!
//! Upstream: pkg/controller/podautoscaler/metrics, staging/src/k8s.io/metrics

use std::collections::BTreeMap;
use std::time::Duration;

use apimachinery::duration::Duration as GoDuration;
use apimachinery::gvk::{GroupResource, GroupVersionResource};
use apimachinery::quantity::Quantity;
use apimachinery::time::Time;
use client::params::Query;
use client::request::{JSON, Request};
use client::{Client, ResourcePath, Scope};
use jiff::Timestamp;
use serde::Deserialize;

use super::replicas::{Sample, Samples};

/// The window of samples that don't state one.
const DEFAULT_WINDOW: Duration = Duration::from_secs(60);
const CUSTOM_GROUP: &str = "custom.metrics.k8s.io";
/// Versions of the custom metrics API that are understood.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unable to fetch metrics from {api} metrics API: {message}")]
    Fetch { api: &'static str, message: String },
    #[error("no metrics returned from {0} metrics API")]
    Empty(&'static str),
}

/// A client of the metrics APIs.
pub struct Metrics {
    client: Client,
}

impl Metrics {
    pub fn new(client: Client) -> Self {
        Metrics { client }
    }

    /// What pods use of a resource: as a whole, or one container of each.
    pub async fn resource(
        &self,
        namespace: &str,
        pods: &str,
        resource: &str,
        container: Option<&str>,
    ) -> Result<Samples, Error> {
        const API: &str = "resource";
        let path = path("metrics.k8s.io", "v1beta1", "pods", namespace).collection();
        let list: List<PodMetrics> = self.get(API, path, &[("labelSelector", pods)]).await?;
        if list.items.is_empty() {
            return Err(Error::Empty(API));
        }
        let items = list.items.into_iter();
        Ok(items
            .filter_map(|item| item.sample(resource, container))
            .collect())
    }

    /// A metric of each pod.
    pub async fn pods(
        &self,
        namespace: &str,
        pods: &str,
        metric: &str,
        selector: &str,
    ) -> Result<Samples, Error> {
        let version = self.custom_version().await?;
        let path = path(CUSTOM_GROUP, version, "pods/*", namespace).object(metric);
        let parameters = [("labelSelector", pods), ("metricLabelSelector", selector)];
        let values = self.values(path, &parameters).await?;
        let sample = |value: MetricValue| {
            let window = value.window_seconds.or(value.window);
            let window = window.map_or(DEFAULT_WINDOW, Duration::from_secs);
            let sample = Sample {
                at: timestamp(&value.timestamp)?,
                window,
                value: milli(&value.value)?,
            };
            Some((value.described_object.name, sample))
        };
        Ok(values.into_iter().filter_map(sample).collect())
    }

    /// A metric of one object, in thousandths. A namespace's is its own, whatever its name is said to be.
    pub async fn object(
        &self,
        namespace: &str,
        resource: &GroupResource,
        name: &str,
        metric: &str,
        selector: &str,
    ) -> Result<i64, Error> {
        let version = self.custom_version().await?;
        let is_namespace = resource.group.is_empty() && resource.resource == "namespaces";
        let path = if is_namespace {
            path(CUSTOM_GROUP, version, "metrics", namespace).object(metric)
        } else {
            path(CUSTOM_GROUP, version, &resource.to_string(), namespace).beneath(name, metric)
        };
        let values = self.values(path, &[("metricLabelSelector", selector)]).await?;
        let value = values.first().and_then(|value| milli(&value.value));
        value.ok_or(Error::Empty("custom"))
    }

    /// All values of a metric of something outside of the cluster, in thousandths.
    pub async fn external(&self, namespace: &str, metric: &str, selector: &str) -> Result<Vec<i64>, Error> {
        const API: &str = "external";
        // The metric stands where a resource does.
        let gvr = GroupVersionResource {
            group: "external.metrics.k8s.io".to_owned(),
            version: "v1beta1".to_owned(),
            resource: "namespaces".to_owned(),
        };
        let path = ResourcePath::new(gvr, Scope::All).beneath(namespace, metric);
        let list: List<ExternalValue> = self.get(API, path, &[("labelSelector", selector)]).await?;
        if list.items.is_empty() {
            return Err(Error::Empty(API));
        }
        Ok(list.items.iter().filter_map(|item| milli(&item.value)).collect())
    }

    async fn values(&self, path: String, parameters: &[(&str, &str)]) -> Result<Vec<MetricValue>, Error> {
        let list: List<MetricValue> = self.get("custom", path, parameters).await?;
        if list.items.is_empty() {
            return Err(Error::Empty("custom"));
        }
        Ok(list.items)
    }

    /// The version that the server prefers of those that are understood.
    async fn custom_version(&self) -> Result<&'static str, Error> {
        let group: Group = self.get("custom", format!("/apis/{CUSTOM_GROUP}"), &[]).await?;
        let served = group.versions.iter().map(|version| version.version.as_str());
        let mut known =
            served.filter_map(|version| CUSTOM_VERSIONS.into_iter().find(|known| *known == version));
        known.next().ok_or_else(|| Error::Fetch {
            api: "custom",
            message: format!("no version of {CUSTOM_GROUP} that is served is supported"),
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        api: &'static str,
        path: String,
        parameters: &[(&str, &str)],
    ) -> Result<T, Error> {
        let mut query = Query::default();
        for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
            query.add(name, Some(value));
        }
        let failed = |message: String| Error::Fetch { api, message };
        let request = Request::get(path).query(query).accept(JSON);
        let response = self.client.send(request).await;
        let response = response.map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&response.body).map_err(|error| failed(error.to_string()))
    }
}

fn path(group: &str, version: &str, resource: &str, namespace: &str) -> ResourcePath {
    let gvr = GroupVersionResource {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: resource.to_owned(),
    };
    ResourcePath::new(gvr, Scope::Namespace(namespace.to_owned()))
}

fn milli(text: &str) -> Option<i64> {
    Quantity::parse(text).ok().map(|quantity| quantity.milli_value())
}

fn timestamp(text: &str) -> Option<Timestamp> {
    Time::parse(text).ok().map(Time::timestamp)
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct PodMetrics {
    metadata: Named,
    timestamp: String,
    window: String,
    #[serde(default)]
    containers: Vec<ContainerMetrics>,
}

#[derive(Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, String>,
}

impl PodMetrics {
    /// None when a container of the pod has no such usage: half a sum would mislead.
    fn sample(self, resource: &str, container: Option<&str>) -> Option<(String, Sample)> {
        let chosen = self.containers.iter();
        let chosen = chosen.filter(|of| container.is_none_or(|name| name == of.name));
        let usages: Option<Vec<i64>> = chosen
            .map(|container| milli(container.usage.get(resource)?))
            .collect();
        let usages = usages.filter(|usages| !usages.is_empty())?;
        let window = GoDuration::parse(&self.window).ok()?;
        let sample = Sample {
            at: timestamp(&self.timestamp)?,
            window: window.to_std(),
            value: usages.into_iter().fold(0, i64::saturating_add),
        };
        Some((self.metadata.name, sample))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricValue {
    described_object: Named,
    timestamp: String,
    /// In v1beta2.
    window_seconds: Option<u64>,
    /// In v1beta1.
    window: Option<u64>,
    value: String,
}

#[derive(Deserialize)]
struct ExternalValue {
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_pods() {
        let json = r#"{"metadata":{"name":"p"},"timestamp":"2026-01-01T00:00:00Z","window":"30s","containers":[
            {"name":"a","usage":{"cpu":"250m","memory":"1Ki"}},{"name":"b","usage":{"cpu":"1"}}]}"#;
        let check = |resource: &str, container: Option<&str>, expected: Option<i64>| {
            let pod: PodMetrics = serde_json::from_str(json).expect("well-formed");
            let sample = pod.sample(resource, container).map(|(_, sample)| sample.value);
            assert_eq!(sample, expected, "{resource} {container:?}");
        };
        check("cpu", None, Some(1250));
        check("cpu", Some("a"), Some(250));
        check("memory", Some("a"), Some(1_024_000));
        // One container doesn't tell.
        check("memory", None, None);
        check("cpu", Some("c"), None);
    }
}
