//! Pods.

pub mod defaults;
mod label_keys;
pub mod validation;

use api::core::v1::{Binding, Pod, PodCondition};
use api::meta::v1::ObjectMeta;
use apimachinery::field::{ErrorList, Path};
use apimachinery::quote::quote;
use apimachinery::time::Time;
use apiserver::strategy::{Context, FieldPaths};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::{MetadataChecks, Rules};
use crate::{table, warnings};

/// Pods. The generation counts what the kubelet acts upon: changes of the spec, and the deletion.
pub struct Pods;

impl Rules for Pods {
    type Object = Pod;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const RETURNS_DELETED: bool = true;
    const LEFT_ALONE_BY_STATUS: FieldPaths = &[
        &["metadata", "deletionTimestamp"],
        &["metadata", "ownerReferences"],
        &["spec"],
    ];
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
    const UNSELECTED: &'static [&'static str] = &[
        "spec.volumes",
        "spec.containers",
        "spec.initContainers",
        "spec.ephemeralContainers",
        "spec.affinity",
        "spec.tolerations",
        "status.conditions",
        "status.containerStatuses",
        "status.initContainerStatuses",
        "status.ephemeralContainerStatuses",
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
        label_keys::merge(pod);
        if let Some(period) = &mut pod.spec.termination_grace_period_seconds
            && *period < 0
        {
            *period = 1;
        }
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

    fn prepare_subresource_update(cx: &Context<'_>, pod: &mut Pod, old: &Pod) {
        match cx.subresource {
            "resize" => validation::resize::keep_resizes(pod, old),
            "ephemeralcontainers" => {
                let ephemeral = std::mem::take(&mut pod.spec.ephemeral_containers);
                pod.spec = old.spec.clone();
                pod.spec.ephemeral_containers = ephemeral;
            }
            _ => {}
        }
        keep_metadata(&mut pod.metadata, &old.metadata);
        pod.status = old.status.clone();
        pod.metadata.generation = old.metadata.generation + i64::from(pod.spec != old.spec);
    }

    fn prepare_update(_cx: &Context<'_>, pod: &mut Pod, _old: &Pod) {
        defaults::twin_service_account(&mut pod.spec);
    }

    fn prepare_status_update(_cx: &Context<'_>, pod: &mut Pod, old: &Pod) {
        // The status subresource neither deletes nor changes owners.
        pod.metadata.deletion_timestamp = old.metadata.deletion_timestamp;
        keep_observed_generations(pod, old);
        pod.metadata
            .owner_references
            .clone_from(&old.metadata.owner_references);
        if pod.status.qos_class.is_empty() {
            pod.status.qos_class.clone_from(&old.status.qos_class);
        }
    }

    fn validate_create(_cx: &Context<'_>, pod: &Pod) -> ErrorList {
        validation::create(pod)
    }

    fn validate_update(_cx: &Context<'_>, pod: &Pod, old: &Pod) -> ErrorList {
        validation::update::validate(pod, old)
    }

    fn validate_status_update(pod: &Pod, old: &Pod) -> ErrorList {
        validation::status::validate(pod, old)
    }

    fn validate_subresource_update(cx: &Context<'_>, pod: &Pod, old: &Pod) -> ErrorList {
        match cx.subresource {
            "resize" => validation::resize::validate(pod, old),
            "ephemeralcontainers" => validation::update::validate_ephemeral(pod, old),
            _ => validation::update::validate(pod, old),
        }
    }

    fn warnings(pod: &Pod, old: Option<&Pod>) -> Vec<String> {
        // Programs change pods, and often.
        old.map_or_else(|| warnings::pod::pod(pod), |_| Vec::new())
    }

    fn status_warnings(pod: &Pod) -> Vec<String> {
        let path = Path::new("status");
        let addresses = |field: &'static str, index: usize| path.child(field).index(index).child("ip");
        let own = pod.status.pod_ips.iter().enumerate();
        let own = own.filter_map(|(index, at)| warnings::address(&at.ip, &addresses("podIPs", index)));
        let host = pod.status.host_ips.iter().enumerate();
        let host = host.filter_map(|(index, at)| warnings::address(&at.ip, &addresses("hostIPs", index)));
        own.chain(host).collect()
    }

    fn bind(pod: &mut Pod, binding: &Binding, now: Timestamp) -> Result<(), String> {
        let name = &pod.metadata.name;
        if pod.metadata.deletion_timestamp.is_some() {
            return Err(format!(
                "pod {name} is being deleted, cannot be assigned to a host"
            ));
        }
        if !pod.spec.node_name.is_empty() {
            return Err(format!(
                "pod {name} is already assigned to node {}",
                quote(&pod.spec.node_name)
            ));
        }
        if !pod.spec.scheduling_gates.is_empty() {
            return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
        }
        pod.spec.node_name.clone_from(&binding.target.name);
        pod.status.nominated_node_name.clear();
        let (annotations, labels) = (
            binding.metadata.annotations.clone(),
            binding.metadata.labels.clone(),
        );
        pod.metadata.annotations.extend(annotations);
        pod.metadata.labels.extend(labels);
        mark_scheduled(pod, Time(now).truncated());
        Ok(())
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

/// Of metadata, only managed fields change through these subresources.
fn keep_metadata(metadata: &mut ObjectMeta, old: &ObjectMeta) {
    let managed_fields = std::mem::take(&mut metadata.managed_fields);
    let resource_version = std::mem::take(&mut metadata.resource_version);
    *metadata = ObjectMeta {
        managed_fields,
        resource_version,
        ..old.clone()
    };
}

/// Clients from before observed generations leave them out: they stay.
fn keep_observed_generations(pod: &mut Pod, old: &Pod) {
    if pod.status.observed_generation == 0 {
        pod.status.observed_generation = old.status.observed_generation;
    }
    for condition in pod
        .status
        .conditions
        .iter_mut()
        .filter(|condition| condition.observed_generation == 0)
    {
        let before = old
            .status
            .conditions
            .iter()
            .find(|before| before.type_ == condition.type_);
        condition.observed_generation = before.map_or(0, |before| before.observed_generation);
    }
}

fn mark_scheduled(pod: &mut Pod, now: Time) {
    let conditions = &mut pod.status.conditions;
    let scheduled = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(now),
        ..PodCondition::default()
    };
    match conditions
        .iter_mut()
        .find(|condition| condition.type_ == "PodScheduled")
    {
        None => conditions.push(scheduled),
        Some(condition) => {
            let since = condition
                .last_transition_time
                .filter(|_| condition.status == "True");
            *condition = PodCondition {
                last_transition_time: since.or(Some(now)),
                ..scheduled
            };
        }
    }
}
