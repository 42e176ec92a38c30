//! Which pods a scale-down deletes first: those that do least. Pure.
//!
//! Upstream: pkg/controller/controller_utils.go (ActivePodsWithRanks)

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::Pod;
use api::pod_conditions::{is_ready, ready_since};
use apimachinery::time::Time;

/// A user's hint which pods may go first, as a number; 0 when absent or malformed.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The `count` pods to delete. `related` are the active pods of the same owner's owner, including these: a node that
/// has several of them gives one up first.
pub fn pods_to_delete(pods: &[Arc<Pod>], related: &[Arc<Pod>], count: usize, now: Time) -> Vec<Arc<Pod>> {
    if count >= pods.len() {
        return pods.to_vec();
    }
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related {
        *on_node.entry(pod.spec.node_name.as_str()).or_default() += 1;
    }
    let mut ranked: Vec<(usize, &Arc<Pod>)> = pods
        .iter()
        .map(|pod| {
            (
                on_node
                    .get(pod.spec.node_name.as_str())
                    .copied()
                    .unwrap_or_default(),
                pod,
            )
        })
        .collect();
    ranked.sort_by(|a, b| compare(*a, *b, now));
    ranked
        .into_iter()
        .take(count)
        .map(|(_, pod)| pod.clone())
        .collect()
}

fn compare((rank_a, a): (usize, &Arc<Pod>), (rank_b, b): (usize, &Arc<Pod>), now: Time) -> Ordering {
    let assigned = |pod: &Pod| !pod.spec.node_name.is_empty();
    assigned(a)
        .cmp(&assigned(b))
        .then_with(|| phase_order(a).cmp(&phase_order(b)))
        .then_with(|| is_ready(a).cmp(&is_ready(b)))
        .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
        .then_with(|| rank_b.cmp(&rank_a))
        .then_with(|| compare_ready_time(a, b, now))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| compare_age(a.metadata.creation_timestamp, b.metadata.creation_timestamp, now))
        .then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
}

fn phase_order(pod: &Pod) -> u8 {
    match pod.status.phase.as_str() {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    pod.metadata
        .annotations
        .get(DELETION_COST)
        .and_then(|cost| cost.parse().ok())
        .unwrap_or_default()
}

/// Those ready for a shorter time first.
fn compare_ready_time(a: &Pod, b: &Pod, now: Time) -> Ordering {
    if is_ready(a) && is_ready(b) {
        compare_age(ready_since(a), ready_since(b), now)
    } else {
        Ordering::Equal
    }
}

/// Younger first, by orders of magnitude: pods of about the same age are chosen from at random (by UID), so that a
/// scale-down doesn't always undo the last scale-up.
fn compare_age(a: Option<Time>, b: Option<Time>, now: Time) -> Ordering {
    magnitude(a, now).cmp(&magnitude(b, now))
}

/// An age in powers of two of nanoseconds; -1 for a time that is absent or to come.
fn magnitude(since: Option<Time>, now: Time) -> i32 {
    let Some(since) = since else { return -1 };
    let age = now.timestamp().as_nanosecond() - since.timestamp().as_nanosecond();
    u128::try_from(age)
        .ok()
        .and_then(u128::checked_ilog2)
        .map_or(-1, |log| log as i32)
}

fn restarts(pod: &Pod) -> i32 {
    pod.status
        .container_statuses
        .iter()
        .map(|status| status.restart_count)
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use api::core::v1::{ContainerStatus, PodCondition};

    use super::*;

    fn pod(name: &str, edit: impl FnOnce(&mut Pod)) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.into();
        pod.metadata.uid = name.into();
        pod.metadata.creation_timestamp = Time::from_unix(1000, 0);
        pod.spec.node_name = format!("node-of-{name}");
        pod.status.phase = "Running".into();
        pod.status.conditions.push(PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            last_transition_time: Time::from_unix(1000, 0),
            ..PodCondition::default()
        });
        edit(&mut pod);
        Arc::new(pod)
    }

    fn first(pods: &[Arc<Pod>]) -> String {
        let now = Time::from_unix(100_000, 0).expect("valid");
        pods_to_delete(pods, pods, 1, now)[0].metadata.name.clone()
    }

    #[test]
    fn each_rule_decides_when_those_before_are_equal() {
        let plain = pod("a", |_| {});
        let check = |edit: fn(&mut Pod)| assert_eq!(first(&[plain.clone(), pod("z", edit)]), "z");
        check(|pod| pod.spec.node_name.clear());
        check(|pod| pod.status.phase = "Pending".into());
        check(|pod| pod.status.phase = "Unknown".into());
        check(|pod| pod.status.conditions.clear());
        check(|pod| drop(pod.metadata.annotations.insert(DELETION_COST.into(), "-1".into())));
        check(|pod| pod.status.conditions[0].last_transition_time = Time::from_unix(99_000, 0));
        check(|pod| {
            pod.status.container_statuses.push(ContainerStatus {
                restart_count: 3,
                ..ContainerStatus::default()
            });
        });
        check(|pod| pod.metadata.creation_timestamp = Time::from_unix(99_000, 0));
        // Nothing tells them apart: the UID does.
        assert_eq!(first(&[pod("b", |_| {}), plain]), "a");
    }

    #[test]
    fn crowded_nodes_give_up_a_pod_first() {
        let on = |name, node: &'static str| pod(name, |pod| pod.spec.node_name = node.into());
        assert_eq!(first(&[on("a", "n1"), on("b", "n2"), on("c", "n2")]), "b");
    }

    #[test]
    fn pods_of_similar_age_are_not_ordered_by_it() {
        let at = |name, second| {
            pod(name, |pod| {
                pod.metadata.creation_timestamp = Time::from_unix(second, 0)
            })
        };
        assert_eq!(first(&[at("b", 2000), at("a", 1900)]), "a");
    }
}
