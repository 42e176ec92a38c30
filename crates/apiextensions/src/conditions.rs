//! Conditions of definitions.

use api::apiextensions::v1::{CustomResourceDefinition, CustomResourceDefinitionCondition as Condition};
use apimachinery::time::Time;
use jiff::Timestamp;

pub const NAMES_ACCEPTED: &str = "NamesAccepted";
pub const ESTABLISHED: &str = "Established";
pub const TERMINATING: &str = "Terminating";
pub const NON_STRUCTURAL_SCHEMA: &str = "NonStructuralSchema";
pub const APPROVAL_POLICY_CONFORMANT: &str = "KubernetesAPIApprovalPolicyConformant";

/// A condition that is yet to get its time.
pub fn condition(kind: &str, holds: bool, reason: &str, message: &str) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..Condition::default()
    }
}

/// Whether a definition is in a condition.
pub fn holds(definition: &CustomResourceDefinition, kind: &str) -> bool {
    find(definition, kind).is_some_and(|condition| condition.status == "True")
}

pub fn find<'a>(definition: &'a CustomResourceDefinition, kind: &str) -> Option<&'a Condition> {
    let conditions = &definition.status.conditions;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// Whether both say the same, whenever they came to hold.
pub fn is_same(one: &Condition, other: &Condition) -> bool {
    let parts = |condition: &Condition| {
        let Condition {
            status,
            reason,
            message,
            ..
        } = condition.clone();
        (status, reason, message)
    };
    parts(one) == parts(other)
}

/// Puts a condition in the place of the former one of its kind.
pub fn set(definition: &mut CustomResourceDefinition, new: Condition, now: Timestamp) {
    let now = Some(Time(now).truncated());
    let conditions = &mut definition.status.conditions;
    match conditions.iter_mut().find(|known| known.type_ == new.type_) {
        None => conditions.push(Condition {
            last_transition_time: now,
            ..new
        }),
        Some(known) => {
            if known.status != new.status || known.last_transition_time.is_none() {
                known.last_transition_time = now;
            }
            known.status = new.status;
            known.reason = new.reason;
            known.message = new.message;
        }
    }
}
