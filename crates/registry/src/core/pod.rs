//! Pods.

pub mod defaults;

use api::core::v1::{Pod, PodCondition};
use apimachinery::time::Time;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Pods. The generation counts what the kubelet acts upon: changes of the spec, and the deletion.
pub struct Pods;

impl Rules for Pods {
    type Object = Pod;
    const RETURNS_DELETED: bool = true;
    const FIELDS: &'static [&'static str] = &[
        "spec.hostNetwork",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "status.nominatedNodeName",
        "status.phase",
        "status.podIP",
        "status.podIPs",
    ];

    crate::spec!();
    crate::generation!(spec);

    fn default(pod: &mut Pod) {
        defaults::pod(pod);
    }

    fn keep_status(pod: &mut Pod, old: Option<&Pod>) {
        pod.status = old.map(|old| old.status.clone()).unwrap_or_default();
    }

    fn prepare_create(cx: &Context<'_>, pod: &mut Pod) {
        defaults::twin_service_account(&mut pod.spec);
        pod.status.phase = "Pending".to_owned();
        pod.status.qos_class = api::qos::class(pod).as_str().to_owned();
        if !pod.spec.scheduling_gates.is_empty() {
            pod.status.conditions.push(PodCondition {
                type_: "PodScheduled".to_owned(),
                status: "False".to_owned(),
                reason: "SchedulingGated".to_owned(),
                message: "Scheduling is blocked due to non-empty scheduling gates".to_owned(),
                last_transition_time: Some(Time(cx.now).truncated()),
                ..PodCondition::default()
            });
        }
    }

    fn prepare_update(_cx: &Context<'_>, pod: &mut Pod, _old: &Pod) {
        defaults::twin_service_account(&mut pod.spec);
    }

    fn prepare_status_update(_cx: &Context<'_>, pod: &mut Pod, old: &Pod) {
        // The status subresource neither deletes nor changes owners.
        pod.metadata.deletion_timestamp = old.metadata.deletion_timestamp;
        pod.metadata
            .owner_references
            .clone_from(&old.metadata.owner_references);
        if pod.status.qos_class.is_empty() {
            pod.status.qos_class.clone_from(&old.status.qos_class);
        }
    }

    fn grace_period(pod: &mut Pod, requested: Option<i64>) -> Option<i64> {
        let mut period = requested
            .or(pod.spec.termination_grace_period_seconds)
            .unwrap_or(0);
        let unscheduled = pod.spec.node_name.is_empty();
        let over = matches!(pod.status.phase.as_str(), "Failed" | "Succeeded");
        if unscheduled || over {
            period = 0;
        }
        Some(if period < 0 { 1 } else { period })
    }

    fn field(pod: &Pod, field: &str) -> Option<String> {
        Some(match field {
            "spec.hostNetwork" => pod.spec.host_network.to_string(),
            "spec.nodeName" => pod.spec.node_name.clone(),
            "spec.restartPolicy" => pod.spec.restart_policy.clone(),
            "spec.schedulerName" => pod.spec.scheduler_name.clone(),
            "spec.serviceAccountName" => pod.spec.service_account_name.clone(),
            "status.nominatedNodeName" => pod.status.nominated_node_name.clone(),
            "status.phase" => pod.status.phase.clone(),
            "status.podIP" | "status.podIPs" => pod.status.pod_ip.clone(),
            _ => return None,
        })
    }

    fn row(pod: &Pod, now: Timestamp) -> Vec<Value> {
        table::pod::row(pod, now)
    }
}
