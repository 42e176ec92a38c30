//! Priority classes.

use api::scheduling::v1::PriorityClass;
use apimachinery::field::{Error, ErrorList, Path};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::validation::one_of;
use crate::rules::Rules;
use crate::table;

const SYSTEM_PREFIX: &str = "system-";
const HIGHEST_OF_USERS: i32 = 1_000_000_000;
/// The system's own classes: name and value.
const SYSTEM_CLASSES: [(&str, i32); 2] = [
    ("system-node-critical", 2_000_001_000),
    ("system-cluster-critical", 2_000_000_000),
];

/// PriorityClasses.
pub struct PriorityClasses;

impl Rules for PriorityClasses {
    type Object = PriorityClass;
    const GENERATION: bool = true;

    fn undeletable(name: &str) -> Option<&'static str> {
        let is_system = SYSTEM_CLASSES.iter().any(|(system, _)| *system == name);
        is_system.then_some("this is a system priority class and cannot be deleted")
    }

    fn default(class: &mut PriorityClass) {
        class
            .preemption_policy
            .get_or_insert_with(|| "PreemptLowerPriority".to_owned());
    }

    fn validate_create(_cx: &Context<'_>, class: &PriorityClass) -> ErrorList {
        let mut errors = ErrorList::new();
        if class.metadata.name.starts_with(SYSTEM_PREFIX) {
            errors.extend(validate_system(class));
        } else if class.value > HIGHEST_OF_USERS {
            let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}");
            errors.push(Error::forbidden(&Path::new("value"), detail));
        }
        if let Some(policy) = &class.preemption_policy {
            let policies = ["PreemptLowerPriority", "Never"];
            errors.extend(one_of(policy, &policies, &Path::new("preemptionPolicy")));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, class: &PriorityClass, old: &PriorityClass) -> ErrorList {
        let mut errors = ErrorList::new();
        if class.value != old.value {
            errors.push(Error::forbidden(
                &Path::new("value"),
                "may not be changed in an update.",
            ));
        }
        if class.preemption_policy != old.preemption_policy {
            errors.push(Error::immutable(
                &Path::new("preemptionPolicy"),
                class.preemption_policy.clone(),
            ));
        }
        errors
    }

    fn row(class: &PriorityClass, now: Timestamp) -> Vec<Value> {
        table::cluster::priority_class(class, now)
    }
}

/// Only the system's own classes bear its prefix.
fn validate_system(class: &PriorityClass) -> Option<Error> {
    let name = class.metadata.name.as_str();
    let known = SYSTEM_CLASSES.iter().find(|(own, _)| *own == name);
    let why = match known {
        None => format!("{name} is not a known system priority class"),
        Some((_, value)) if class.value != *value => format!("value of {name} PriorityClass must be {value}"),
        Some(_) if class.global_default => format!("globalDefault of {name} PriorityClass must be false"),
        Some(_) => return None,
    };
    let detail = format!(
        "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
    );
    Some(Error::forbidden(&Path::new("metadata").child("name"), detail))
}
