//! What a budget allows, by its pods and the scales of their controllers. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::{Pod, PodCondition};
use api::meta::v1::Condition;
use api::pod_conditions::{condition, is_ready, is_terminal};
use api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use apimachinery::int_or_string::{self, IntOrString, Rounding};
use apimachinery::time::Time;
use jiff::SignedDuration;

pub const ALLOWED: &str = "DisruptionAllowed";
/// A pod whose eviction was allowed is taken for gone that long, until it is seen going.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
/// Announced disruptions that did not come are taken back after that.
const STALE_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
/// Kubelets announce the end of a pod that may take its time.
const BY_KUBELET: &str = "TerminationByKubelet";

/// How many pods there ought to be, and how many of them must stay healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    pub pods: i32,
    pub healthy: i32,
}

/// Whether the budget's bounds ask for the scale of the pods' controllers.
pub fn needs_scale(budget: &PodDisruptionBudget) -> bool {
    budget.spec.max_unavailable.is_some() || matches!(budget.spec.min_available, Some(IntOrString::String(_)))
}

/// `scale`: of all controllers of the pods, in sum.
pub fn expected(
    budget: &PodDisruptionBudget,
    pods: usize,
    scale: i32,
) -> Result<Expected, int_or_string::Error> {
    let scaled = |bound: &IntOrString| -> Result<i32, int_or_string::Error> {
        let value = bound.scaled_value(scale.into(), Rounding::Up)?;
        Ok(i32::try_from(value).unwrap_or(i32::MAX))
    };
    Ok(match (&budget.spec.max_unavailable, &budget.spec.min_available) {
        (Some(most), _) => Expected {
            pods: scale,
            healthy: scale.saturating_sub(scaled(most)?).max(0),
        },
        (None, Some(IntOrString::Int(least))) => Expected {
            pods: i32::try_from(pods).unwrap_or(i32::MAX),
            healthy: *least,
        },
        (None, Some(least)) => Expected {
            pods: scale,
            healthy: scaled(least)?,
        },
        (None, None) => Expected::default(),
    })
}

/// Pods whose eviction was allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disrupted {
    /// Those that are to go still.
    pub pods: BTreeMap<String, Time>,
    /// Names of those that ought to have gone.
    pub remained: Vec<String>,
    pub look_again: Option<Duration>,
}

pub fn disrupted(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: Time) -> Disrupted {
    let mut disrupted = Disrupted::default();
    for pod in pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
    {
        let name = &pod.metadata.name;
        let Some(since) = budget.status.disrupted_pods.get(name) else {
            continue;
        };
        let left = DELETION_TIMEOUT - now.timestamp().duration_since(since.timestamp());
        match Duration::try_from(left) {
            Err(_) => disrupted.remained.push(name.clone()),
            Ok(left) => {
                let soonest = disrupted.look_again.map_or(left, |other| other.min(left));
                disrupted.look_again = Some(soonest);
                disrupted.pods.insert(name.clone(), *since);
            }
        }
    }
    disrupted
}

/// The status that follows. Without any expected pod nothing is allowed: a pod may just be coming.
pub fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    expected: Expected,
    disrupted: &Disrupted,
    now: Time,
) -> PodDisruptionBudgetStatus {
    let is_healthy = |pod: &&Arc<Pod>| {
        pod.metadata.deletion_timestamp.is_none()
            && !disrupted.pods.contains_key(&pod.metadata.name)
            && is_ready(pod)
    };
    let healthy = pods.iter().filter(is_healthy).count() as i32;
    let allowed = if expected.pods <= 0 {
        0
    } else {
        (healthy - expected.healthy).max(0)
    };
    let (state, reason) = if allowed > 0 {
        ("True", "SufficientPods")
    } else {
        ("False", "InsufficientPods")
    };
    let generation = budget.metadata.generation;
    PodDisruptionBudgetStatus {
        observed_generation: generation,
        disrupted_pods: disrupted.pods.clone(),
        disruptions_allowed: allowed,
        current_healthy: healthy,
        desired_healthy: expected.healthy,
        expected_pods: expected.pods,
        conditions: with_condition(budget, state, reason, "", generation, now),
    }
}

/// When nothing can be told, nothing is allowed.
pub fn failed(budget: &PodDisruptionBudget, why: &str, now: Time) -> PodDisruptionBudgetStatus {
    let generation = budget.status.observed_generation;
    PodDisruptionBudgetStatus {
        disruptions_allowed: 0,
        conditions: with_condition(budget, "False", "SyncFailed", why, generation, now),
        ..budget.status.clone()
    }
}

fn with_condition(
    budget: &PodDisruptionBudget,
    status: &str,
    reason: &str,
    message: &str,
    observed_generation: i64,
    now: Time,
) -> Vec<Condition> {
    let mut conditions = budget.status.conditions.clone();
    let before = conditions.iter().position(|condition| condition.type_ == ALLOWED);
    let same_since = before
        .and_then(|at| conditions.get(at))
        .filter(|condition| condition.status == status)
        .and_then(|condition| condition.last_transition_time);
    let wanted = Condition {
        type_: ALLOWED.into(),
        status: status.into(),
        observed_generation,
        last_transition_time: Some(same_since.unwrap_or(now)),
        reason: reason.into(),
        message: message.into(),
    };
    match before.and_then(|at| conditions.get_mut(at)) {
        Some(condition) => *condition = wanted,
        None => conditions.push(wanted),
    }
    conditions
}

/// How long an announced disruption is believed still; `None` if there is none that could be stale.
pub fn announced_for(pod: &Pod, now: Time) -> Option<Duration> {
    let target = condition(&pod.status, "DisruptionTarget")
        .filter(|target| target.status == "True" && target.reason != BY_KUBELET)?;
    if pod.metadata.deletion_timestamp.is_some() || is_terminal(pod) {
        return None;
    }
    let elapsed = target.last_transition_time.map_or(STALE_TIMEOUT, |since| {
        now.timestamp().duration_since(since.timestamp())
    });
    Some(Duration::try_from(STALE_TIMEOUT - elapsed).unwrap_or(Duration::ZERO))
}

/// The condition that takes an announcement back.
pub fn retracted(now: Time) -> PodCondition {
    PodCondition {
        type_: "DisruptionTarget".into(),
        status: "False".into(),
        last_transition_time: Some(now),
        ..PodCondition::default()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const NOW: i64 = 1000;

    fn at(second: i64) -> Time {
        Time::from_unix(second, 0).expect("a time")
    }

    fn bound(text: &str) -> Option<IntOrString> {
        Some(
            text.parse()
                .map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int),
        )
    }

    /// `min 2`, `max 50%`.
    fn budget(text: &str) -> PodDisruptionBudget {
        let mut budget = PodDisruptionBudget::default();
        match text.split_once(' ').expect("a bound") {
            ("min", least) => budget.spec.min_available = bound(least),
            (_, most) => budget.spec.max_unavailable = bound(most),
        }
        budget
    }

    fn pod(name: &str, ready: bool) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.name = name.into();
        pod.status.conditions.push(PodCondition {
            type_: "Ready".into(),
            status: if ready { "True" } else { "False" }.into(),
            ..PodCondition::default()
        });
        Arc::new(pod)
    }

    fn check(text: &str, healthy: usize, sick: usize, scale: i32, expected_text: Expect) {
        let budget = budget(text);
        let mut pods: Vec<Arc<Pod>> = (0..healthy)
            .map(|number| pod(&format!("h{number}"), true))
            .collect();
        pods.extend((0..sick).map(|number| pod(&format!("s{number}"), false)));
        let expected = expected(&budget, pods.len(), scale).expect("valid");
        let status = status(&budget, &pods, expected, &Disrupted::default(), at(NOW));
        expected_text.assert_eq(&format!(
            "{} of {} must be healthy, {} are, {} may go: {}",
            status.desired_healthy,
            status.expected_pods,
            status.current_healthy,
            status.disruptions_allowed,
            status.conditions[0].reason
        ));
    }

    #[test]
    fn bounds_are_counts_or_parts_of_the_scale() {
        check(
            "min 2",
            3,
            0,
            0,
            expect!["2 of 3 must be healthy, 3 are, 1 may go: SufficientPods"],
        );
        check(
            "min 2",
            2,
            1,
            0,
            expect!["2 of 3 must be healthy, 2 are, 0 may go: InsufficientPods"],
        );
        check(
            "min 50%",
            3,
            0,
            5,
            expect!["3 of 5 must be healthy, 3 are, 0 may go: InsufficientPods"],
        );
        check(
            "max 1",
            3,
            0,
            3,
            expect!["2 of 3 must be healthy, 3 are, 1 may go: SufficientPods"],
        );
        check(
            "max 34%",
            3,
            0,
            3,
            expect!["1 of 3 must be healthy, 3 are, 2 may go: SufficientPods"],
        );
        check(
            "max 10",
            3,
            0,
            3,
            expect!["0 of 3 must be healthy, 3 are, 3 may go: SufficientPods"],
        );
        check(
            "max 1",
            0,
            0,
            0,
            expect!["0 of 0 must be healthy, 0 are, 0 may go: InsufficientPods"],
        );
    }

    #[test]
    fn pods_that_are_to_go_are_not_healthy_until_they_are_late() {
        let mut budget = budget("min 1");
        let since = |second| at(second);
        budget.status.disrupted_pods = [
            ("h0".to_owned(), since(NOW - 60)),
            ("h1".to_owned(), since(NOW - 121)),
            ("gone".to_owned(), since(NOW)),
        ]
        .into();
        let pods = [pod("h0", true), pod("h1", true)];
        let disrupted = disrupted(&budget, &pods, at(NOW));
        assert_eq!(disrupted.look_again, Some(Duration::from_secs(60)));
        assert_eq!(disrupted.remained, ["h1"]);
        let expected = expected(&budget, 2, 0).expect("valid");
        let status = status(&budget, &pods, expected, &disrupted, at(NOW));
        assert_eq!((status.current_healthy, status.disruptions_allowed), (1, 0));
        assert_eq!(status.disrupted_pods.len(), 1);
    }

    #[test]
    fn conditions_keep_their_time_while_they_hold() {
        let mut budget = budget("min 1");
        budget.status = failed(&budget, "found no controllers", at(500));
        let later = failed(&budget, "other", at(NOW));
        assert_eq!(later.conditions[0].last_transition_time, Some(at(500)));
        let pods = [pod("a", true), pod("b", true)];
        let expected = expected(&budget, 2, 0).expect("valid");
        let status = status(&budget, &pods, expected, &Disrupted::default(), at(NOW));
        assert_eq!(status.conditions[0].last_transition_time, Some(at(NOW)));
    }

    #[test]
    fn announcements_that_do_not_come_true_are_taken_back() {
        let mut target = Pod::default();
        target.status.conditions.push(PodCondition {
            last_transition_time: Some(at(NOW - 30)),
            status: "True".into(),
            ..retracted(at(0))
        });
        assert_eq!(announced_for(&target, at(NOW)), Some(Duration::from_secs(90)));
        assert_eq!(announced_for(&target, at(NOW + 500)), Some(Duration::ZERO));
        target.status.conditions[0].reason = BY_KUBELET.into();
        assert_eq!(announced_for(&target, at(NOW)), None);
    }
}
