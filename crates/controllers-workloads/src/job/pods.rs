//! A job's pods: what they bear, when they ended, and how new ones are made. Pure.

use api::batch::v1::Job;
use api::core::v1::{Container, ContainerStatus, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use api::pod_conditions::condition;
use apimachinery::time::Time;
use controller_runtime::ownership::controller_ref;
use jiff::SignedDuration;

use super::policies::{self, Verdict};
use crate::pods::template::pod_from_template;

/// Keeps a pod until it is counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// The longest name before the server's suffix.
const MAX_GENERATED_PREFIX: usize = 58;

pub fn is_indexed(job: &Job) -> bool {
    job.spec.completion_mode.as_deref() == Some("Indexed")
}

pub fn is_suspended(job: &Job) -> bool {
    job.spec.suspend == Some(true)
}

/// Pods that are being deleted have not failed yet: they are replaced once they are gone.
pub fn replaces_only_failed(job: &Job) -> bool {
    job.spec.pod_replacement_policy.as_deref() == Some("Failed") || job.spec.pod_failure_policy.is_some()
}

pub fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().any(|name| name == FINALIZER)
}

pub fn has_succeeded(pod: &Pod) -> bool {
    pod.status.phase == "Succeeded"
}

/// A pod that is deleted before it ended may never come to say that it failed.
pub fn has_failed(job: &Job, pod: &Pod) -> bool {
    pod.status.phase == "Failed"
        || (!replaces_only_failed(job) && pod.metadata.deletion_timestamp.is_some() && !has_succeeded(pod))
}

/// The pod's completion index, if it is one of the job's.
pub fn index_of(job: &Job, pod: &Pod) -> Option<i32> {
    raw_index_of(pod).filter(|index| *index < job.spec.completions.unwrap_or(0))
}

/// The pod's completion index, whatever the job's completions.
pub fn raw_index_of(pod: &Pod) -> Option<i32> {
    number(pod, INDEX)
}

/// Failures of this pod's predecessors in its index that count.
pub fn counted_failures(pod: &Pod) -> i32 {
    number(pod, FAILURES).unwrap_or(0)
}

/// All failures of its predecessors.
pub fn all_failures(pod: &Pod) -> i32 {
    counted_failures(pod) + number(pod, IGNORED_FAILURES).unwrap_or(0)
}

fn number(pod: &Pod, annotation: &str) -> Option<i32> {
    let text = pod.metadata.annotations.get(annotation)?;
    text.parse::<i32>().ok().filter(|number| *number >= 0)
}

/// When a pod ended: by its containers, its condition, its deletion, or at least after its creation.
pub fn ended_at(pod: &Pod) -> Option<Time> {
    let by_condition = || {
        condition(&pod.status, "Ready")
            .filter(|ready| ready.status == "False")
            .and_then(|ready| ready.last_transition_time)
    };
    let by_deletion = || {
        let at = pod.metadata.deletion_timestamp?.timestamp();
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
        at.checked_sub(SignedDuration::from_secs(grace)).ok().map(Time)
    };
    by_containers(pod)
        .or_else(by_condition)
        .or_else(by_deletion)
        .or(pod.metadata.creation_timestamp)
}

/// The last of them; `None` if one runs still.
fn by_containers(pod: &Pod) -> Option<Time> {
    let is_sidecar = |status: &&ContainerStatus| {
        let inits = &pod.spec.init_containers;
        inits.iter().any(|container| {
            container.name == status.name && container.restart_policy.as_deref() == Some("Always")
        })
    };
    let sidecars = pod.status.init_container_statuses.iter().filter(is_sidecar);
    let all = pod.status.container_statuses.iter().chain(sidecars);
    let ends: Option<Vec<Time>> = all
        .map(|status| status.state.terminated.as_ref()?.finished_at)
        .collect();
    ends?.into_iter().max()
}

/// A pod to be made: for an index, in place of a predecessor if there was one.
pub fn new_pod(job: &Job, index: Option<i32>, predecessor: Option<&Pod>) -> Pod {
    let mut pod = pod_from_template(job, &job.spec.template, controller_ref(job));
    if !is_tracked(&pod) {
        pod.metadata.finalizers.push(FINALIZER.into());
    }
    if is_indexed(job) {
        let containers = pod
            .spec
            .init_containers
            .iter_mut()
            .chain(&mut pod.spec.containers);
        containers.for_each(add_index_variable);
    }
    let Some(index) = index else { return pod };
    pod.metadata.annotations.insert(INDEX.into(), index.to_string());
    pod.metadata.labels.insert(INDEX.into(), index.to_string());
    pod.metadata.generate_name = name_prefix(&job.metadata.name, index);
    pod.spec.hostname = format!("{}-{index}", job.metadata.name);
    if job.spec.backoff_limit_per_index.is_some() {
        add_failures(job, &mut pod, predecessor);
    }
    pod
}

fn add_failures(job: &Job, pod: &mut Pod, predecessor: Option<&Pod>) {
    let (mut counted, mut ignored) = (0, 0);
    if let Some(before) = predecessor {
        counted = counted_failures(before);
        ignored = all_failures(before) - counted;
        match policies::judge(job, before) {
            Verdict::Ignored => ignored += 1,
            _ => counted += 1,
        }
    }
    let annotations = &mut pod.metadata.annotations;
    annotations.insert(FAILURES.into(), counted.to_string());
    if ignored > 0 {
        annotations.insert(IGNORED_FAILURES.into(), ignored.to_string());
    }
}

fn add_index_variable(container: &mut Container) {
    if container
        .env
        .iter()
        .any(|variable| variable.name == INDEX_VARIABLE)
    {
        return;
    }
    container.env.push(EnvVar {
        name: INDEX_VARIABLE.into(),
        value: String::new(),
        value_from: Some(Box::new(EnvVarSource {
            field_ref: Some(Box::new(ObjectFieldSelector {
                field_path: format!("metadata.labels['{INDEX}']"),
                ..ObjectFieldSelector::default()
            })),
            ..EnvVarSource::default()
        })),
    });
}

/// `job-INDEX-`, with the job's name cut where needed.
fn name_prefix(job: &str, index: i32) -> String {
    let suffix = format!("-{index}-");
    let room = MAX_GENERATED_PREFIX - suffix.len();
    format!("{}{suffix}", job.get(..room).unwrap_or(job))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        let mut job = Job::default();
        job.metadata.name = "count".into();
        job.spec.completions = Some(5);
        job.spec.completion_mode = Some("Indexed".into());
        job.spec.template.spec.containers.push(Container::default());
        job
    }

    #[test]
    fn an_indexed_pod_knows_its_index() {
        let pod = new_pod(&job(), Some(3), None);
        assert_eq!(pod.metadata.generate_name, "count-3-");
        assert_eq!(pod.spec.hostname, "count-3");
        assert_eq!((index_of(&job(), &pod), is_tracked(&pod)), (Some(3), true));
        let variable = &pod.spec.containers[0].env[0];
        assert_eq!(variable.name, INDEX_VARIABLE);
        assert!(!pod.metadata.annotations.contains_key(FAILURES));
        let long = name_prefix(&"x".repeat(80), 12);
        assert_eq!((long.len(), long.ends_with("-12-")), (MAX_GENERATED_PREFIX, true));
    }

    #[test]
    fn failures_are_handed_on_within_an_index() {
        let mut job = job();
        job.spec.backoff_limit_per_index = Some(3);
        let first = new_pod(&job, Some(0), None);
        assert_eq!(counted_failures(&first), 0);
        let second = new_pod(&job, Some(0), Some(&first));
        let third = new_pod(&job, Some(0), Some(&second));
        assert_eq!(counted_failures(&third), 2);
    }

    #[test]
    fn an_end_is_found_where_it_is_told() {
        let at = |second| Time::from_unix(second, 0);
        let mut pod = Pod::default();
        pod.metadata.creation_timestamp = at(1);
        assert_eq!(ended_at(&pod), at(1));
        pod.metadata.deletion_timestamp = at(40);
        pod.metadata.deletion_grace_period_seconds = Some(30);
        assert_eq!(ended_at(&pod), at(10));
        let mut status = ContainerStatus::default();
        status.state.terminated = Some(Box::default());
        if let Some(terminated) = &mut status.state.terminated {
            terminated.finished_at = at(20);
        }
        pod.status.container_statuses.push(status);
        assert_eq!(ended_at(&pod), at(20));
    }
}
