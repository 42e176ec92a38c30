//! How many pods a metric asks for. Pure.
//!
//! Upstream: pkg/controller/podautoscaler/replica_calculator.go

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Pod;
use api::pod_conditions::{condition, is_ready};
use api::pod_requests::pod_requests;
use jiff::Timestamp;

/// A pod's value of a metric, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub at: Timestamp,
    /// The span that the value is an average of.
    pub window: Duration,
    pub value: i64,
}

/// Samples by pod.
pub type Samples = BTreeMap<String, Sample>;

/// How far from the target usage may be before anything is done, as a share of the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerances {
    pub down: f64,
    pub up: f64,
}

impl Tolerances {
    fn allow(&self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// How long a pod's processor usage tells of its start rather than of its work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Startup {
    pub cpu_initialization: Duration,
    pub readiness_delay: Duration,
}

/// What was asked for can't be computed.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("no pods returned by selector while calculating replica count")]
    NoPods,
    #[error("did not receive metrics for targeted pods (pods might be unready)")]
    NoSamples,
    #[error("no metrics returned matched known pods")]
    NoMatch,
    #[error("missing pod-level request for {resource} in Pod {pod}")]
    NoPodRequest { resource: String, pod: String },
    #[error("missing request for {resource} in container {container} of Pod {pod}")]
    NoRequest {
        resource: String,
        container: String,
        pod: String,
    },
    #[error("container {container} not found in Pod {pod}")]
    NoContainer { container: String, pod: String },
}

/// The pods to be scaled, as they are now.
pub struct Scaled<'a> {
    pub pods: &'a [Arc<Pod>],
    /// How many there are wanted at present.
    pub current: i32,
    pub tolerances: Tolerances,
    pub startup: Startup,
    pub now: Timestamp,
}

/// How many pods are wanted, and what is used now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    pub replicas: i32,
    /// In thousandths, of an average pod.
    pub usage: i64,
    /// In percent of what is requested.
    pub utilization: Option<i32>,
}

/// Usage in relation to the target.
struct Measured {
    ratio: f64,
    usage: i64,
    utilization: Option<i32>,
}

#[derive(Default)]
struct Groups {
    ready: usize,
    unready: BTreeSet<String>,
    missing: BTreeSet<String>,
    ignored: BTreeSet<String>,
}

impl Scaled<'_> {
    /// For a target in percent of requests: of the whole pods, or of one container each.
    pub fn by_utilization(
        &self,
        samples: Samples,
        resource: &str,
        container: Option<&str>,
        target: i32,
    ) -> Result<Proposal, Error> {
        let groups = self.group(&samples, resource)?;
        let samples = without_unready(samples, &groups)?;
        let requests = requests(self.pods, resource, container)?;
        let fallback = i64::from(target.max(100));
        let missing = |pod: &str| {
            requests
                .get(pod)
                .copied()
                .unwrap_or_default()
                .saturating_mul(fallback)
                / 100
        };
        let measure = |samples: &Samples| utilization(samples, &requests, target);
        self.propose(samples, &groups, &measure, &missing)
    }

    /// For a target in units of the metric, of an average pod. `resource` is empty for metrics of other kinds.
    pub fn by_average(&self, samples: Samples, resource: &str, target: i64) -> Result<Proposal, Error> {
        let groups = self.group(&samples, resource)?;
        let samples = without_unready(samples, &groups)?;
        let measure = |samples: &Samples| Ok(average(samples, target));
        self.propose(samples, &groups, &measure, &|_| target)
    }

    /// For a target of one value for all pods.
    pub fn by_value(&self, usage: i64, target: i64) -> Result<Proposal, Error> {
        let ratio = usage as f64 / target as f64;
        let proposal = |replicas| Proposal {
            replicas,
            usage,
            utilization: None,
        };
        if self.current == 0 {
            return Ok(proposal(ceil(ratio)));
        }
        if self.tolerances.allow(ratio) {
            return Ok(proposal(self.current));
        }
        if self.pods.is_empty() {
            return Err(Error::NoPods);
        }
        let is_serving = |pod: &&Arc<Pod>| pod.status.phase == "Running" && is_ready(pod);
        let ready = self.pods.iter().filter(is_serving).count();
        Ok(proposal(ceil(ratio * ready as f64)))
    }

    /// For a target of a share of one value for each pod; `running` pods have it now.
    pub fn by_share(&self, usage: i64, target: i64, running: i32) -> Proposal {
        let ratio = usage as f64 / (target as f64 * f64::from(running));
        let replicas = if self.tolerances.allow(ratio) {
            running
        } else {
            ceil(usage as f64 / target as f64)
        };
        let share = (usage as f64 / f64::from(running)).ceil();
        Proposal {
            replicas,
            usage: share as i64,
            utilization: None,
        }
    }

    fn propose(
        &self,
        mut samples: Samples,
        groups: &Groups,
        measure: &dyn Fn(&Samples) -> Result<Measured, Error>,
        missing: &dyn Fn(&str) -> i64,
    ) -> Result<Proposal, Error> {
        let first = measure(&samples)?;
        let proposal = |replicas| Proposal {
            replicas,
            usage: first.usage,
            utilization: first.utilization,
        };
        let fill_unready = !groups.unready.is_empty() && first.ratio > 1.0;
        if !fill_unready && groups.missing.is_empty() {
            return Ok(proposal(if self.tolerances.allow(first.ratio) {
                self.current
            } else {
                ceil(first.ratio * groups.ready as f64)
            }));
        }
        // What isn't known is taken for what speaks against the change.
        let mut fill = |pod: &String, value: i64| {
            let sample = Sample {
                at: self.now,
                window: Duration::ZERO,
                value,
            };
            samples.insert(pod.clone(), sample);
        };
        if first.ratio < 1.0 {
            groups.missing.iter().for_each(|pod| fill(pod, missing(pod)));
        } else if first.ratio > 1.0 {
            groups.missing.iter().for_each(|pod| fill(pod, 0));
        }
        if fill_unready {
            groups.unready.iter().for_each(|pod| fill(pod, 0));
        }
        let second = measure(&samples)?.ratio;
        let turned = (first.ratio < 1.0 && second > 1.0) || (first.ratio > 1.0 && second < 1.0);
        let replicas = ceil(second * samples.len() as f64);
        let contrary = (second < 1.0 && replicas > self.current) || (second > 1.0 && replicas < self.current);
        let stays = self.tolerances.allow(second) || turned || contrary;
        Ok(proposal(if stays { self.current } else { replicas }))
    }

    fn group(&self, samples: &Samples, resource: &str) -> Result<Groups, Error> {
        if self.pods.is_empty() {
            return Err(Error::NoPods);
        }
        let mut groups = Groups::default();
        for pod in self.pods {
            let name = pod.metadata.name.clone();
            if pod.metadata.deletion_timestamp.is_some() || pod.status.phase == "Failed" {
                groups.ignored.insert(name);
                continue;
            }
            match samples.get(&name) {
                _ if pod.status.phase == "Pending" => drop(groups.unready.insert(name)),
                None => drop(groups.missing.insert(name)),
                Some(sample) if resource == "cpu" && self.is_starting(pod, sample) => {
                    groups.unready.insert(name);
                }
                Some(_) => groups.ready += 1,
            }
        }
        Ok(groups)
    }

    /// Whether the processor usage is still that of a start.
    fn is_starting(&self, pod: &Pod, sample: &Sample) -> bool {
        let (Some(ready), Some(start)) = (condition(&pod.status, "Ready"), pod.status.start_time) else {
            return true;
        };
        let changed = ready
            .last_transition_time
            .map_or(Timestamp::MIN, |time| time.timestamp());
        let after = |time: Timestamp, span: Duration| time.saturating_add(span).unwrap_or(Timestamp::MAX);
        let is_false = ready.status == "False";
        if after(start.timestamp(), self.startup.cpu_initialization) > self.now {
            // The sample must be of a time when it was ready already.
            is_false || sample.at < after(changed, sample.window)
        } else {
            // Never ready so far, though past its start: its usage says nothing.
            is_false && after(start.timestamp(), self.startup.readiness_delay) > changed
        }
    }
}

fn ceil(value: f64) -> i32 {
    // Saturates, also for what is no number.
    value.ceil() as i32
}

fn without_unready(mut samples: Samples, groups: &Groups) -> Result<Samples, Error> {
    samples.retain(|pod, _| !groups.ignored.contains(pod) && !groups.unready.contains(pod));
    if samples.is_empty() {
        return Err(Error::NoSamples);
    }
    Ok(samples)
}

fn average(samples: &Samples, target: i64) -> Measured {
    let total = samples
        .values()
        .fold(0_i64, |sum, sample| sum.saturating_add(sample.value));
    let usage = total / i64::try_from(samples.len().max(1)).unwrap_or(i64::MAX);
    Measured {
        ratio: usage as f64 / target as f64,
        usage,
        utilization: None,
    }
}

fn utilization(samples: &Samples, requests: &BTreeMap<&str, i64>, target: i32) -> Result<Measured, Error> {
    let (mut used, mut requested, mut count) = (0_i64, 0_i64, 0_i64);
    for (pod, sample) in samples {
        if let Some(request) = requests.get(pod.as_str()) {
            used = used.saturating_add(sample.value);
            requested = requested.saturating_add(*request);
            count += 1;
        }
    }
    if requested == 0 || count == 0 {
        return Err(Error::NoMatch);
    }
    let percent = used.saturating_mul(100) / requested;
    let percent = i32::try_from(percent).unwrap_or(i32::MAX);
    Ok(Measured {
        ratio: f64::from(percent) / f64::from(target),
        usage: used / count,
        utilization: Some(percent),
    })
}

/// What each pod requests, in thousandths.
fn requests<'a>(
    pods: &'a [Arc<Pod>],
    resource: &str,
    container: Option<&str>,
) -> Result<BTreeMap<&'a str, i64>, Error> {
    let of = |pod: &'a Arc<Pod>| {
        let own = pod
            .spec
            .resources
            .as_ref()
            .is_some_and(|own| own.requests.keys().any(|name| is_pod_level(name)));
        let request = if own && container.is_none() {
            pod_level_request(pod, resource)
        } else {
            request_of_containers(pod, resource, container)
        };
        Ok((pod.metadata.name.as_str(), request?))
    };
    pods.iter().map(of).collect()
}

/// Resources that a pod may request as a whole (KEP-2837).
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn pod_level_request(pod: &Pod, resource: &str) -> Result<i64, Error> {
    let request = pod_requests(pod)
        .get(resource)
        .map(|request| request.milli_value());
    request.ok_or_else(|| Error::NoPodRequest {
        resource: resource.to_owned(),
        pod: pod.metadata.name.clone(),
    })
}

fn request_of_containers(pod: &Pod, resource: &str, container: Option<&str>) -> Result<i64, Error> {
    let is_sidecar = |c: &&api::core::v1::Container| c.restart_policy.as_deref() == Some("Always");
    let running = pod
        .spec
        .containers
        .iter()
        .chain(pod.spec.init_containers.iter().filter(is_sidecar));
    let mut sum = None;
    for c in running.filter(|c| container.is_none_or(|name| name == c.name)) {
        let request = c
            .resources
            .requests
            .get(resource)
            .ok_or_else(|| Error::NoRequest {
                resource: resource.to_owned(),
                container: c.name.clone(),
                pod: pod.metadata.name.clone(),
            })?;
        sum = Some(sum.unwrap_or(0_i64).saturating_add(request.milli_value()));
    }
    match (sum, container) {
        (None, Some(container)) => Err(Error::NoContainer {
            container: container.to_owned(),
            pod: pod.metadata.name.clone(),
        }),
        (sum, _) => Ok(sum.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests;
