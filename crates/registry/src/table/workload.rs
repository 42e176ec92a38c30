//! Kinds that make pods.

use api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use api::batch::v1::{CronJob, Job};
use api::core::v1::ReplicationController;
use apimachinery::gvk::GroupVersion;
use jiff::Timestamp;
use serde_json::Value;

use super::{NONE, age, containers, human_duration, labels, optional_bool, selector, since};

pub fn deployment(object: &Deployment, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object.spec.template.spec.containers);
    let chosen = match object
        .spec
        .selector
        .as_deref()
        .map(api::selector::from_label_selector)
    {
        None => String::new(),
        Some(Ok(selector)) => selector.to_string(),
        Some(Err(_)) => "<invalid>".to_owned(),
    };
    crate::cells![
        object.metadata.name.as_str(),
        format!(
            "{}/{}",
            object.status.ready_replicas,
            object.spec.replicas.unwrap_or(0)
        ),
        object.status.updated_replicas,
        object.status.available_replicas,
        age(&object.metadata, now),
        names,
        images,
        chosen,
    ]
}

pub fn replica_set(object: &ReplicaSet, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object.spec.template.spec.containers);
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.replicas.unwrap_or(0),
        object.status.replicas,
        object.status.ready_replicas,
        age(&object.metadata, now),
        names,
        images,
        selector(object.spec.selector.as_deref()),
    ]
}

pub fn replication_controller(object: &ReplicationController, now: Timestamp) -> Vec<Value> {
    let template = object.spec.template.as_deref();
    let (names, images) = containers(template.map_or(&[], |template| &template.spec.containers));
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.replicas.unwrap_or(0),
        object.status.replicas,
        object.status.ready_replicas,
        age(&object.metadata, now),
        names,
        images,
        labels(&object.spec.selector),
    ]
}

pub fn stateful_set(object: &StatefulSet, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object.spec.template.spec.containers);
    let ready = format!(
        "{}/{}",
        object.status.ready_replicas,
        object.spec.replicas.unwrap_or(0)
    );
    crate::cells![
        object.metadata.name.as_str(),
        ready,
        age(&object.metadata, now),
        names,
        images
    ]
}

pub fn daemon_set(object: &DaemonSet, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object.spec.template.spec.containers);
    let status = &object.status;
    crate::cells![
        object.metadata.name.as_str(),
        status.desired_number_scheduled,
        status.current_number_scheduled,
        status.number_ready,
        status.updated_number_scheduled,
        status.number_available,
        labels(&object.spec.template.spec.node_selector),
        age(&object.metadata, now),
        names,
        images,
        selector(object.spec.selector.as_deref()),
    ]
}

pub fn controller_revision(object: &ControllerRevision, now: Timestamp) -> Vec<Value> {
    let controller = object
        .metadata
        .owner_references
        .iter()
        .find(|owner| owner.controller == Some(true));
    let controller = controller.map_or(NONE.to_owned(), |owner| {
        let group = GroupVersion::parse(&owner.api_version).unwrap_or_default().group;
        let kind = if group.is_empty() {
            owner.kind.clone()
        } else {
            format!("{}.{group}", owner.kind)
        };
        format!("{}/{}", kind.to_lowercase(), owner.name)
    });
    crate::cells![
        object.metadata.name.as_str(),
        controller,
        object.revision,
        age(&object.metadata, now)
    ]
}

pub fn job(object: &Job, now: Timestamp) -> Vec<Value> {
    let (names, images) = containers(&object.spec.template.spec.containers);
    crate::cells![
        object.metadata.name.as_str(),
        job_status(object),
        completions(object),
        job_duration(object, now),
        age(&object.metadata, now),
        names,
        images,
        selector(object.spec.selector.as_deref()),
    ]
}

fn job_status(job: &Job) -> &'static str {
    let has = |type_: &str| {
        job.status
            .conditions
            .iter()
            .any(|condition| condition.type_ == type_ && condition.status == "True")
    };
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if job.metadata.deletion_timestamp.is_some() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(job: &Job) -> String {
    let succeeded = job.status.succeeded;
    match (job.spec.completions, job.spec.parallelism.unwrap_or(0)) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn job_duration(job: &Job, now: Timestamp) -> String {
    let Some(start) = job.status.start_time else {
        return String::new();
    };
    let end = job.status.completion_time.map_or(now, |end| end.timestamp());
    human_duration(end.as_second() - start.timestamp().as_second())
}

pub fn cron_job(object: &CronJob, now: Timestamp) -> Vec<Value> {
    let job = &object.spec.job_template.spec;
    let (names, images) = containers(&job.template.spec.containers);
    let last = object.status.last_schedule_time;
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.schedule.as_str(),
        object.spec.time_zone.as_deref().unwrap_or(NONE),
        optional_bool(object.spec.suspend),
        object.status.active.len(),
        if last.is_some() {
            since(last, now)
        } else {
            NONE.to_owned()
        },
        age(&object.metadata, now),
        names,
        images,
        selector(job.selector.as_deref()),
    ]
}
