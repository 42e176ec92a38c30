//! What a disruption budget allows. Pure.

use api::policy::v1::PodDisruptionBudget;
use apimachinery::gvk::GroupResource;
use apimachinery::status::{CAUSE_DISRUPTION_BUDGET, Status};
use apimachinery::time::Time;

/// Evictions that the disruption controller has not confirmed yet.
const MAX_DISRUPTED_PODS: usize = 2000;

const REFUSAL: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Whether a pod that is not ready may go without counting.
pub fn lets_unhealthy_go(budget: &PodDisruptionBudget) -> bool {
    let (spec, status) = (&budget.spec, &budget.status);
    spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow")
        || (status.current_healthy >= status.desired_healthy && status.desired_healthy > 0)
}

/// Takes one disruption for a pod, or says why not.
pub fn take(budget: &mut PodDisruptionBudget, pod: &str, now: Time) -> Result<(), Status> {
    let name = &budget.metadata.name;
    let status = &mut budget.status;
    let forbidden = |why: &str| {
        Err(Status::forbidden(
            &GroupResource::new("policy", "poddisruptionbudget"),
            name,
            why,
        ))
    };
    if status.observed_generation < budget.metadata.generation {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Status::too_many_requests(REFUSAL, 10).with_cause(CAUSE_DISRUPTION_BUDGET, why, ""));
    }
    if status.disruptions_allowed < 0 {
        return forbidden("pdb disruptions allowed is negative");
    }
    if status.disrupted_pods.len() > MAX_DISRUPTED_PODS {
        return forbidden("DisruptedPods map too big - too many evictions not confirmed by PDB controller");
    }
    if status.disruptions_allowed == 0 {
        let why = refusal(budget);
        return Err(Status::too_many_requests(REFUSAL, 0).with_cause(CAUSE_DISRUPTION_BUDGET, why, ""));
    }
    status.disruptions_allowed -= 1;
    status.disrupted_pods.insert(pod.to_owned(), now.truncated());
    if status.disruptions_allowed == 0
        && let Some(condition) = status
            .conditions
            .iter_mut()
            .find(|condition| condition.type_ == "DisruptionAllowed")
        && condition.status == "True"
    {
        condition.status = "False".to_owned();
        condition.reason = "InsufficientPods".to_owned();
        condition.last_transition_time = Some(now.truncated());
    }
    Ok(())
}

fn refusal(budget: &PodDisruptionBudget) -> String {
    let (name, status) = (&budget.metadata.name, &budget.status);
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "DisruptionAllowed");
    let told = condition.filter(|condition| condition.status == "False" && !condition.message.is_empty());
    match told {
        Some(told) if told.reason == "SyncFailed" => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently because it failed sync: {}",
                told.message
            )
        }
        _ if status.current_healthy <= status.desired_healthy => {
            let (needs, has) = (status.desired_healthy, status.current_healthy);
            format!("The disruption budget {name} needs {needs} healthy pods and has {has} currently")
        }
        Some(told) => {
            format!(
                "The disruption budget {name} does not allow evicting pods currently ({}): {}",
                told.reason, told.message
            )
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(allowed: i32, healthy: i32, desired: i32) -> PodDisruptionBudget {
        let mut budget = PodDisruptionBudget::default();
        budget.metadata.name = "pdb".to_owned();
        budget.status.disruptions_allowed = allowed;
        budget.status.current_healthy = healthy;
        budget.status.desired_healthy = desired;
        budget
    }

    #[test]
    fn a_disruption_is_taken_once() {
        let mut budget = budget(1, 3, 2);
        let now = Time(jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(take(&mut budget, "a", now), Ok(()));
        assert!(budget.status.disrupted_pods.contains_key("a"));
        budget.status.current_healthy = 2;
        let refused = take(&mut budget, "b", now).expect_err("used up");
        assert_eq!((refused.code, refused.message.as_str()), (429, REFUSAL));
        let causes = refused.details.map(|details| details.causes).unwrap_or_default();
        assert_eq!(
            causes[0].message,
            "The disruption budget pdb needs 2 healthy pods and has 2 currently"
        );
    }

    #[test]
    fn a_stale_budget_is_waited_for() {
        let mut budget = budget(1, 3, 2);
        budget.metadata.generation = 2;
        let refused = take(&mut budget, "a", Time(jiff::Timestamp::UNIX_EPOCH)).expect_err("stale");
        assert_eq!(refused.retry_after_seconds(), Some(10));
    }

    #[test]
    fn unhealthy_pods_go_where_the_budget_holds() {
        assert!(lets_unhealthy_go(&budget(0, 2, 2)));
        assert!(!lets_unhealthy_go(&budget(0, 1, 2)));
    }
}
