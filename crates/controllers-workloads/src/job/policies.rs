//! What a job's policies say of failed pods, and of what has succeeded so far. Pure.

use api::batch::v1::{Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy};
use api::core::v1::{ContainerStatus, Pod};

use super::indexes::Indexes;

/// What a failed pod means for its job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It counts towards the limits.
    Counts,
    /// As if it had not been.
    Ignored,
    /// Its index has failed.
    FailsIndex,
    /// The job has failed, for this reason.
    FailsJob(String),
}

/// The first rule that matches decides; without one the pod counts.
pub fn judge(job: &Job, pod: &Pod) -> Verdict {
    let rules = job
        .spec
        .pod_failure_policy
        .iter()
        .flat_map(|policy| &policy.rules);
    rules
        .enumerate()
        .find_map(|(index, rule)| apply(rule, index, pod))
        .unwrap_or(Verdict::Counts)
}

fn apply(rule: &PodFailurePolicyRule, index: usize, pod: &Pod) -> Option<Verdict> {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let action = rule.action.as_str();
    let why = match &rule.on_exit_codes {
        Some(codes) => {
            let (container, code) = exited(pod, codes)?;
            format!(
                "Container {container} for pod {namespace}/{name} failed with exit code {code} matching {action} rule at index {index}"
            )
        }
        None => {
            let matches = |type_: &str, status: &str| {
                rule.on_pod_conditions
                    .iter()
                    .any(|pattern| pattern.type_ == type_ && pattern.status == status)
            };
            let conditions = &pod.status.conditions;
            let condition = conditions
                .iter()
                .find(|condition| matches(&condition.type_, &condition.status))?;
            let type_ = &condition.type_;
            format!("Pod {namespace}/{name} has condition {type_} matching {action} rule at index {index}")
        }
    };
    match action {
        "Ignore" => Some(Verdict::Ignored),
        "Count" => Some(Verdict::Counts),
        "FailIndex" => Some(Verdict::FailsIndex),
        "FailJob" => Some(Verdict::FailsJob(why)),
        _ => None,
    }
}

/// The container that ended with one of the codes.
fn exited<'a>(pod: &'a Pod, codes: &PodFailurePolicyOnExitCodesRequirement) -> Option<(&'a str, i32)> {
    let statuses = pod
        .status
        .container_statuses
        .iter()
        .chain(&pod.status.init_container_statuses);
    let matching = |status: &'a ContainerStatus| {
        let code = status.state.terminated.as_ref()?.exit_code;
        let is_named = codes
            .container_name
            .as_ref()
            .is_none_or(|name| *name == status.name);
        let is_listed = codes.values.contains(&code);
        let fits = match codes.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        };
        (code != 0 && is_named && fits).then_some((status.name.as_str(), code))
    };
    statuses.into_iter().find_map(matching)
}

/// The message of the first rule that is met.
pub fn success(policy: Option<&SuccessPolicy>, completions: i32, succeeded: &Indexes) -> Option<String> {
    if succeeded.is_empty() {
        return None;
    }
    let rules = policy.into_iter().flat_map(|policy| &policy.rules);
    let met = rules.enumerate().find(|(_, rule)| match &rule.succeeded_indexes {
        Some(text) => {
            let required = Indexes::parse(text, completions);
            let reached = required.common(succeeded);
            !required.is_empty()
                && (reached == required.total() || rule.succeeded_count.is_some_and(|count| reached >= count))
        }
        None => rule
            .succeeded_count
            .is_some_and(|count| succeeded.total() >= count),
    });
    met.map(|(index, _)| format!("Matched rules at index {index}"))
}

#[cfg(test)]
mod tests {
    use api::batch::v1::{PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern, SuccessPolicyRule};
    use api::core::v1::{ContainerStateTerminated, PodCondition};

    use super::*;

    fn on_codes(action: &str, operator: &str, values: &[i32]) -> PodFailurePolicyRule {
        PodFailurePolicyRule {
            action: action.into(),
            on_exit_codes: Some(Box::new(PodFailurePolicyOnExitCodesRequirement {
                container_name: None,
                operator: operator.into(),
                values: values.to_vec(),
            })),
            on_pod_conditions: Vec::new(),
        }
    }

    fn exited_with(code: i32) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.namespace = "ns".into();
        pod.metadata.name = "p".into();
        let mut status = ContainerStatus {
            name: "main".into(),
            ..ContainerStatus::default()
        };
        status.state.terminated = Some(Box::new(ContainerStateTerminated {
            exit_code: code,
            ..ContainerStateTerminated::default()
        }));
        pod.status.container_statuses.push(status);
        pod
    }

    fn job(rules: Vec<PodFailurePolicyRule>) -> Job {
        let mut job = Job::default();
        job.spec.pod_failure_policy = Some(Box::new(PodFailurePolicy { rules }));
        job
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let mut on_disruption = on_codes("Ignore", "", &[]);
        on_disruption.on_exit_codes = None;
        on_disruption
            .on_pod_conditions
            .push(PodFailurePolicyOnPodConditionsPattern {
                type_: "DisruptionTarget".into(),
                status: "True".into(),
            });
        let job = job(vec![
            on_disruption,
            on_codes("FailJob", "In", &[42]),
            on_codes("FailIndex", "NotIn", &[1]),
        ]);
        let why = "Container main for pod ns/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(judge(&job, &exited_with(42)), Verdict::FailsJob(why.into()));
        assert_eq!(judge(&job, &exited_with(7)), Verdict::FailsIndex);
        assert_eq!(judge(&job, &exited_with(1)), Verdict::Counts);
        let mut evicted = exited_with(42);
        evicted.status.conditions.push(PodCondition {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
            ..PodCondition::default()
        });
        assert_eq!(judge(&job, &evicted), Verdict::Ignored);
        assert_eq!(judge(&Job::default(), &evicted), Verdict::Counts);
    }

    #[test]
    fn success_may_be_declared_early() {
        let rule = |indexes: Option<&str>, count| SuccessPolicyRule {
            succeeded_indexes: indexes.map(str::to_owned),
            succeeded_count: count,
        };
        let check = |rule: SuccessPolicyRule, succeeded: &str, met: bool| {
            let policy = SuccessPolicy { rules: vec![rule] };
            let found = success(Some(&policy), 10, &Indexes::parse(succeeded, 10));
            assert_eq!(found.is_some(), met, "{policy:?} {succeeded}");
        };
        check(rule(Some("0,2-4"), None), "0-4", true);
        check(rule(Some("0,2-4"), None), "0-3", false);
        check(rule(Some("0,2-4"), Some(2)), "3,4", true);
        check(rule(None, Some(3)), "1,2", false);
        check(rule(None, Some(3)), "1,2,9", true);
        check(rule(None, Some(1)), "", false);
    }
}
