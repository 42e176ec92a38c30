//! Tells why a pod has no node, and makes room for it where that was decided.

use api::core::v1::Pod;
use client::{Api, DeleteParams, Patch, PatchParams};
use controller_runtime::event_recorder::{EventType, reference};
use serde_json::{Map, Value, json};
use tracing::{info, warn};

use super::Actor;
use crate::machine::Report;
use crate::pod_info::PodInfo;

/// Longest message of an event, in bytes.
const MAX_MESSAGE: usize = 1024;

impl Actor {
    pub(super) async fn report(&self, report: Report) {
        let pod = &report.pod;
        info!(pod = %pod.key(), reason = %report.message, "no node");
        self.event(pod, &report.message);
        for other in &report.displaced {
            self.patch_status(other, json!({ "nominatedNodeName": null }))
                .await;
        }
        if !report.victims.is_empty() {
            self.shared.metrics.preemption_attempts.inc();
            self.shared
                .metrics
                .preemption_victims
                .observe(report.victims.len() as f64);
            for victim in &report.victims {
                self.evict(pod, victim, report.nominate.as_deref().unwrap_or_default())
                    .await;
            }
        }
        let mut status = Map::new();
        if let Some(node) = &report.nominate {
            let name = if node.is_empty() { Value::Null } else { json!(node) };
            status.insert("nominatedNodeName".to_owned(), name);
        }
        if let Some(condition) = unscheduled(pod, "Unschedulable", &report.message) {
            status.insert("conditions".to_owned(), json!([condition]));
        }
        if !status.is_empty() {
            self.patch_status(pod, Value::Object(status)).await;
        }
    }

    /// A cycle or bind ended in an error.
    pub(super) async fn failed(&self, pod: &PodInfo, message: &str) {
        self.event(pod, message);
        if let Some(condition) = unscheduled(pod, "SchedulerError", message) {
            self.patch_status(pod, json!({ "conditions": [condition] })).await;
        }
    }

    fn event(&self, pod: &PodInfo, message: &str) {
        let object = reference(&*pod.pod);
        self.recorder.event_for(
            object,
            EventType::Warning,
            "FailedScheduling",
            "Scheduling",
            truncated(message),
        );
    }

    async fn evict(&self, preemptor: &PodInfo, victim: &PodInfo, node: &str) {
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": format!(
                "{}: preempting to accommodate a higher priority pod",
                preemptor.pod.spec.scheduler_name
            ),
            "lastTransitionTime": apimachinery::time::Time(jiff::Timestamp::now()).to_string(),
        });
        self.patch_status(victim, json!({ "conditions": [condition] }))
            .await;
        let deleted = self
            .pods(victim)
            .delete(&victim.pod.metadata.name, &DeleteParams::uid(victim.uid()))
            .await;
        match deleted {
            Ok(()) => {
                info!(victim = %victim.key(), preemptor = %preemptor.key(), node, "preempted");
                let message = format!("Preempted by pod {} on node {node}", preemptor.uid());
                self.recorder.event_for(
                    reference(&*victim.pod),
                    EventType::Normal,
                    "Preempted",
                    "Preempting",
                    message,
                );
            }
            // Gone already, or a new pod of the name: either way it is no longer in the way.
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => warn!(victim = %victim.key(), %error, "cannot preempt"),
        }
    }

    async fn patch_status(&self, pod: &PodInfo, status: Value) {
        // The uid keeps the patch from a new pod of the same name.
        let document = json!({ "metadata": { "uid": pod.uid() }, "status": status });
        let patch = Patch::Strategic(document);
        let patched = self
            .pods(pod)
            .patch_status(&pod.pod.metadata.name, &patch, &PatchParams::default())
            .await;
        match patched {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_conflict() => {}
            Err(error) => warn!(pod = %pod.key(), %error, "cannot update the pod's status"),
        }
    }

    fn pods(&self, pod: &PodInfo) -> Api<Pod> {
        self.client.api::<Pod>().namespace(pod.namespace())
    }
}

/// The PodScheduled condition; `None` where the pod says so already.
fn unscheduled(pod: &PodInfo, reason: &str, message: &str) -> Option<Value> {
    let old = pod
        .pod
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled");
    if old.is_some_and(|old| old.status == "False" && old.reason == reason && old.message == message) {
        return None;
    }
    let since = old
        .filter(|old| old.status == "False")
        .and_then(|old| old.last_transition_time);
    let since = since.unwrap_or_else(|| jiff::Timestamp::now().into());
    Some(json!({
        "type": "PodScheduled",
        "status": "False",
        "reason": reason,
        "message": message,
        "observedGeneration": pod.pod.metadata.generation,
        "lastTransitionTime": since.to_string(),
        "lastProbeTime": null,
    }))
}

/// At most [`MAX_MESSAGE`] bytes, with an ellipsis where it was cut.
fn truncated(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let mut end = MAX_MESSAGE - " ...".len();
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::pod;

    #[test]
    fn a_condition_that_stands_is_not_written_again() {
        let first = unscheduled(&pod("p").info(), "Unschedulable", "full").expect("new");
        assert_eq!(first["status"], "False");
        let bearing = pod("p").edit(|p| {
            p.status.conditions.push(api::core::v1::PodCondition {
                type_: "PodScheduled".into(),
                status: "False".into(),
                reason: "Unschedulable".into(),
                message: "full".into(),
                ..Default::default()
            });
        });
        let bearing = bearing.info();
        assert_eq!(unscheduled(&bearing, "Unschedulable", "full"), None);
        assert!(unscheduled(&bearing, "Unschedulable", "fuller").is_some());
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let cut = truncated(&"é".repeat(600));
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with(" ..."));
        assert_eq!(truncated("short"), "short");
    }
}
