//! Taints that conditions cause, and how they are swapped on a node.

use api::core::v1::{Node, Taint};
use apimachinery::time::Time;
use client::{Client, Error, Patch, PatchParams};
use serde_json::{Value, json};

use super::condition;

pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
pub const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
pub const NO_SCHEDULE: &str = "NoSchedule";
pub const NO_EXECUTE: &str = "NoExecute";

/// Which condition in which state puts which taint on a node.
const CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    (
        "NetworkUnavailable",
        "True",
        "node.kubernetes.io/network-unavailable",
    ),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// Attempts at writing taints while others write the node.
const ATTEMPTS: u32 = 5;

/// Keys with one effect: to be put on and to be taken off.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swap {
    pub effect: &'static str,
    pub add: Vec<&'static str>,
    pub remove: Vec<&'static str>,
}

impl Swap {
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }

    /// The node's taints afterwards; none when nothing changes.
    pub fn apply(&self, taints: &[Taint], now: Time) -> Option<Vec<Taint>> {
        let ours =
            |taint: &Taint, keys: &[&str]| taint.effect == self.effect && keys.contains(&taint.key.as_str());
        let mut result: Vec<Taint> = taints
            .iter()
            .filter(|taint| !ours(taint, &self.remove))
            .cloned()
            .collect();
        for &key in &self.add {
            if !result.iter().any(|taint| ours(taint, &[key])) {
                result.push(Taint {
                    key: key.into(),
                    effect: self.effect.into(),
                    // Evictions count from here.
                    time_added: (self.effect == NO_EXECUTE).then(|| now.truncated()),
                    ..Taint::default()
                });
            }
        }
        (result != taints).then_some(result)
    }
}

pub fn has(node: &Node, key: &str, effect: &str) -> bool {
    node.spec
        .taints
        .iter()
        .any(|taint| taint.key == key && taint.effect == effect)
}

/// The change that makes a node's `NoSchedule` taints say what its conditions say.
pub fn no_schedule(node: &Node) -> Swap {
    let in_state = |type_: &str, state: &str| condition(node, type_).is_some_and(|c| c.status == state);
    let mut wanted: Vec<&'static str> = CONDITIONS
        .iter()
        .filter(|(type_, state, _)| in_state(type_, state))
        .map(|(_, _, key)| *key)
        .collect();
    if node.spec.unschedulable {
        wanted.push(UNSCHEDULABLE);
    }
    let all = CONDITIONS.iter().map(|(_, _, key)| *key).chain([UNSCHEDULABLE]);
    let remove = all
        .filter(|key| !wanted.contains(key) && has(node, key, NO_SCHEDULE))
        .collect();
    wanted.retain(|key| !has(node, key, NO_SCHEDULE));
    Swap {
        effect: NO_SCHEDULE,
        add: wanted,
        remove,
    }
}

/// Writes a swap, on the node as it is now.
pub async fn write(client: &Client, name: &str, swap: &Swap, now: Time) -> Result<(), Error> {
    let nodes = client.api::<Node>();
    for attempt in 1.. {
        let node = match nodes.get(name).await {
            Ok(node) => node,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(taints) = swap.apply(&node.spec.taints, now) else {
            return Ok(());
        };
        let taints: Vec<Value> = taints
            .iter()
            .map(client::dynamic::to_value)
            .collect::<Result<_, _>>()?;
        let version = &node.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
        match nodes
            .patch(name, &Patch::Merge(patch), &PatchParams::default())
            .await
        {
            Err(error) if error.is_conflict() && attempt < ATTEMPTS => {}
            Err(error) if error.is_not_found() => return Ok(()),
            outcome => return outcome.map(drop),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use api::core::v1::NodeCondition;

    use super::*;

    fn node(conditions: &[(&str, &str)], taints: &[(&str, &str)]) -> Node {
        let mut node = Node::default();
        let condition = |(type_, status): &(&str, &str)| NodeCondition {
            type_: (*type_).into(),
            status: (*status).into(),
            ..NodeCondition::default()
        };
        node.status.conditions = conditions.iter().map(condition).collect();
        let taint = |(key, effect): &(&str, &str)| Taint {
            key: (*key).into(),
            effect: (*effect).into(),
            ..Taint::default()
        };
        node.spec.taints = taints.iter().map(taint).collect();
        node
    }

    #[test]
    fn taints_follow_conditions_and_leave_others_alone() {
        let swap = no_schedule(&node(&[("Ready", "Unknown"), ("DiskPressure", "True")], &[]));
        assert_eq!(swap.add, [UNREACHABLE, "node.kubernetes.io/disk-pressure"]);

        let tainted = node(
            &[("Ready", "True"), ("DiskPressure", "False")],
            &[
                (NOT_READY, NO_SCHEDULE),
                (NOT_READY, NO_EXECUTE),
                ("mine", NO_SCHEDULE),
            ],
        );
        let swap = no_schedule(&tainted);
        assert_eq!(
            (swap.add.len(), swap.remove.as_slice()),
            (0, [NOT_READY].as_slice())
        );
        let now = Time::from_unix(5, 0).expect("valid");
        let left = swap.apply(&tainted.spec.taints, now).expect("changes");
        let keys: Vec<(&str, &str)> = left
            .iter()
            .map(|taint| (taint.key.as_str(), taint.effect.as_str()))
            .collect();
        assert_eq!(keys, [(NOT_READY, NO_EXECUTE), ("mine", NO_SCHEDULE)]);
        assert_eq!(swap.apply(&left, now), None);
    }

    #[test]
    fn cordoned_nodes_are_tainted() {
        let mut cordoned = node(&[("Ready", "True")], &[]);
        cordoned.spec.unschedulable = true;
        assert_eq!(no_schedule(&cordoned).add, [UNSCHEDULABLE]);
    }
}
