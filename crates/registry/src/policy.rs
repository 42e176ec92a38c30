//! Disruption budgets.

use api::policy::v1::PodDisruptionBudget;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// PodDisruptionBudgets.
pub struct DisruptionBudgets;

impl Rules for DisruptionBudgets {
    type Object = PodDisruptionBudget;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &PodDisruptionBudget, now: Timestamp) -> Vec<Value> {
        table::policy::disruption_budget(object, now)
    }
}
