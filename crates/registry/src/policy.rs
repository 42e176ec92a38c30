//! Disruption budgets.

use api::policy::v1::PodDisruptionBudget;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::int_or_string::IntOrString;
use jiff::Timestamp;
use serde_json::Value;

use crate::internal::shown;
use crate::numbers::{all_nonnegative, at_most_100_percent, int_or_percent};
use crate::rules::{MetadataChecks, Rules};
use crate::{conditions, label_selector, table};

/// PodDisruptionBudgets.
pub struct DisruptionBudgets;

impl Rules for DisruptionBudgets {
    type Object = PodDisruptionBudget;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Nothing;
    const STATUS_METADATA_CHECKS: MetadataChecks = MetadataChecks::Nothing;
    const METADATA_LAST: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn validate(budget: &PodDisruptionBudget) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &budget.spec);
        let mut errors = ErrorList::new();
        if spec.min_available.is_some() && spec.max_unavailable.is_some() {
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.push(Error::invalid(&path, shown(spec), detail));
        }
        let mut bound = |value: &Option<IntOrString>, field: &'static str| {
            let Some(value) = value else { return };
            let path = path.child(field);
            errors.extend(int_or_percent(value, &path));
            errors.extend(at_most_100_percent(value, &path));
        };
        bound(&spec.min_available, "minAvailable");
        bound(&spec.max_unavailable, "maxUnavailable");
        if let Some(selector) = &spec.selector {
            errors.extend(label_selector::validate(selector, &path.child("selector")));
        }
        let policies = ["AlwaysAllow", "IfHealthyBudget"];
        let policy = spec.unhealthy_pod_eviction_policy.as_deref();
        if let Some(policy) = policy.filter(|policy| !policies.contains(policy)) {
            errors.push(Error::not_supported(
                &path.child("unhealthyPodEvictionPolicy"),
                policy,
                &policies,
            ));
        }
        errors
    }

    fn validate_status_update(budget: &PodDisruptionBudget, _old: &PodDisruptionBudget) -> ErrorList {
        let status = &budget.status;
        let mut errors = conditions::validate(&status.conditions, &Path::new("status").child("conditions"));
        errors.extend(all_nonnegative(
            [
                ("disruptionsAllowed", status.disruptions_allowed.into()),
                ("currentHealthy", status.current_healthy.into()),
                ("desiredHealthy", status.desired_healthy.into()),
                ("expectedPods", status.expected_pods.into()),
            ],
            &Path::new("status"),
        ));
        errors
    }

    fn row(budget: &PodDisruptionBudget, now: Timestamp) -> Vec<Value> {
        table::policy::disruption_budget(budget, now)
    }
}
