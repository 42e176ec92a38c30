//! What the node is short of, as the rest of the kubelet sees it: node conditions, and pods that are not taken.

use super::REASON;
use crate::{admission::Rejection, pod};
use api::{
    core::v1::{Pod, Taint},
    qos::Class,
};
use std::sync::{Mutex, PoisonError};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Memory,
    Disk,
    Pid,
}

impl Condition {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pid => "PIDPressure",
        }
    }
}

/// The conditions that hold; told by the manager.
#[derive(Debug, Default)]
pub struct Pressure(Mutex<Vec<Condition>>);

impl Pressure {
    pub fn set(&self, conditions: Vec<Condition>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = conditions;
    }

    pub fn conditions(&self) -> Vec<Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a node in these conditions takes a pod. Pure.
pub fn admit(spec: &Pod, conditions: &[Condition]) -> Result<(), Rejection> {
    if conditions.is_empty() || pod::is_critical(spec) {
        return Ok(());
    }
    if conditions == [Condition::Memory] {
        let taint = Taint {
            key: "node.kubernetes.io/memory-pressure".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        };
        if api::qos::class(spec) != Class::BestEffort
            || api::taints::tolerated(&spec.spec.tolerations, &taint)
        {
            return Ok(());
        }
    }
    let names: Vec<_> = conditions.iter().map(|condition| condition.as_str()).collect();
    Err(Rejection {
        reason: REASON.into(),
        message: format!("The node had condition: [{}]. ", names.join(" ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    fn admitted(spec: &str, conditions: &[Condition]) -> bool {
        let pod = Pod::from_json(format!(r#"{{"spec":{spec}}}"#).as_bytes()).unwrap();
        admit(&pod, conditions).is_ok()
    }

    #[test]
    fn memory_turns_best_effort_pods_away_and_the_rest_everyone() {
        let burstable = r#"{"containers":[{"name":"a","resources":{"requests":{"cpu":"1m"}}}]}"#;
        let tolerant =
            r#"{"tolerations":[{"key":"node.kubernetes.io/memory-pressure","operator":"Exists"}]}"#;
        let critical = r#"{"priority":2000000000}"#;
        let memory = [Condition::Memory];
        assert!(admitted("{}", &[]));
        assert!(!admitted("{}", &memory));
        assert!(admitted(burstable, &memory) && admitted(tolerant, &memory) && admitted(critical, &memory));
        for conditions in [&[Condition::Disk][..], &[Condition::Memory, Condition::Pid]] {
            assert!(!admitted(burstable, conditions) && !admitted(tolerant, conditions));
            assert!(admitted(critical, conditions));
        }
        let refused = admit(&Pod::default(), &[Condition::Memory, Condition::Disk]).unwrap_err();
        assert_eq!(
            refused.message,
            "The node had condition: [MemoryPressure DiskPressure]. "
        );
    }
}
