//! Whether a node still speaks. Pure.
//!
//! A node speaks by a new heartbeat in its `Ready` condition or a renewal of its lease. When it did is a matter of
//! our own clock: theirs may differ.

use std::time::Duration;

use api::coordination::v1::Lease;
use api::core::v1::{Node, NodeCondition};
use apimachinery::time::{MicroTime, Time};

use crate::nodes::condition;

/// How long a node may be silent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    pub grace_period: Duration,
    /// For a node that never said anything.
    pub startup_grace_period: Duration,
}

/// Conditions that nobody can vouch for once the node is silent. `NetworkUnavailable` isn't the kubelet's.
const KUBELET_CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What we know of a node's life signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    heartbeat: Option<Option<Time>>,
    renewal: Option<MicroTime>,
    /// When, by our clock, the last sign came.
    pub last_sign: Duration,
}

/// The judgement of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub record: Record,
    /// The `Ready` status that the node had; `Unknown` if it never had one.
    pub was_ready: String,
    /// The conditions as they should be, when they must change.
    pub conditions: Option<Vec<NodeCondition>>,
}

impl Judgement {
    /// The `Ready` status that follows.
    pub fn is_ready(&self) -> String {
        match &self.conditions {
            Some(_) => "Unknown".into(),
            None => self.was_ready.clone(),
        }
    }
}

/// Judges at `elapsed` by our clock, which reads `now` on the wall.
pub fn judge(
    node: &Node,
    lease: Option<&Lease>,
    record: Option<&Record>,
    timing: &Timing,
    elapsed: Duration,
    now: Time,
) -> Judgement {
    let ready = condition(node, "Ready");
    let record = update(record, ready, lease, elapsed, age(node, now));
    let grace = if ready.is_some() {
        timing.grace_period
    } else {
        timing.startup_grace_period
    };
    let silent = elapsed.saturating_sub(record.last_sign) > grace;
    let already_unknown = ready.is_some_and(|ready| ready.status == "Unknown");
    let conditions = (silent && !already_unknown).then(|| unknown(node, now));
    let was_ready = ready.map_or_else(|| "Unknown".to_owned(), |ready| ready.status.clone());
    Judgement {
        record,
        was_ready,
        conditions,
    }
}

fn age(node: &Node, now: Time) -> Duration {
    let created = node
        .metadata
        .creation_timestamp
        .map_or(0, |created| created.timestamp().as_second());
    let seconds = now.timestamp().as_second().saturating_sub(created);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

fn update(
    record: Option<&Record>,
    ready: Option<&NodeCondition>,
    lease: Option<&Lease>,
    elapsed: Duration,
    age: Duration,
) -> Record {
    let heartbeat = ready.map(|ready| ready.last_heartbeat_time);
    let renewal = lease.and_then(|lease| lease.spec.renew_time);
    let Some(old) = record else {
        // Silent from the start: its creation was the last sign. Otherwise we meet it now, whenever it spoke.
        let last_sign = if ready.is_some() {
            elapsed
        } else {
            elapsed.saturating_sub(age)
        };
        return Record {
            heartbeat,
            renewal,
            last_sign,
        };
    };
    let spoke = (heartbeat.is_some() && heartbeat != old.heartbeat) || renewal > old.renewal;
    let last_sign = if spoke { elapsed } else { old.last_sign };
    Record {
        heartbeat,
        renewal: renewal.max(old.renewal),
        last_sign,
    }
}

/// The node's conditions with those of the kubelet unknown.
fn unknown(node: &Node, now: Time) -> Vec<NodeCondition> {
    let mut conditions = node.status.conditions.clone();
    for type_ in KUBELET_CONDITIONS {
        match conditions.iter_mut().find(|condition| condition.type_ == type_) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => {
                condition.status = "Unknown".into();
                condition.reason = "NodeStatusUnknown".into();
                condition.message = "Kubelet stopped posting node status.".into();
                condition.last_transition_time = Some(now.truncated());
            }
            None => conditions.push(NodeCondition {
                type_: type_.into(),
                status: "Unknown".into(),
                last_heartbeat_time: node.metadata.creation_timestamp,
                last_transition_time: Some(now.truncated()),
                reason: "NodeStatusNeverUpdated".into(),
                message: "Kubelet never posted node status.".into(),
            }),
        }
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing {
        grace_period: Duration::from_secs(50),
        startup_grace_period: Duration::from_secs(60),
    };
    /// The wall clock when ours reads 0.
    const EPOCH: i64 = 10_000;

    struct World {
        node: Node,
        lease: Option<Lease>,
        record: Option<Record>,
    }

    impl World {
        fn new(ready: Option<&str>) -> Self {
            let mut node = Node::default();
            node.metadata.creation_timestamp = Time::from_unix(EPOCH, 0);
            if let Some(ready) = ready {
                node.status.conditions.push(NodeCondition {
                    type_: "Ready".into(),
                    status: ready.into(),
                    ..NodeCondition::default()
                });
            }
            World {
                node,
                lease: None,
                record: None,
            }
        }

        fn heartbeat(&mut self, at: i64) {
            self.node.status.conditions[0].last_heartbeat_time = Time::from_unix(EPOCH + at, 0);
        }

        fn renew(&mut self, at: i64) {
            let mut lease = Lease::default();
            lease.spec.renew_time = MicroTime::from_unix(EPOCH + at, 0);
            self.lease = Some(lease);
        }

        fn at(&mut self, seconds: u64) -> String {
            let elapsed = Duration::from_secs(seconds);
            let now = Time::from_unix(EPOCH + i64::try_from(seconds).expect("small"), 0).expect("valid");
            let judgement = judge(
                &self.node,
                self.lease.as_ref(),
                self.record.as_ref(),
                &TIMING,
                elapsed,
                now,
            );
            self.record = Some(judgement.record.clone());
            format!("{} -> {}", judgement.was_ready, judgement.is_ready())
        }
    }

    #[test]
    fn silence_makes_a_node_unknown_and_either_sign_keeps_it() {
        let mut world = World::new(Some("True"));
        assert_eq!(world.at(0), "True -> True");
        assert_eq!(world.at(50), "True -> True");
        world.heartbeat(50);
        assert_eq!(world.at(51), "True -> True");
        assert_eq!(world.at(101), "True -> True");
        world.renew(101);
        assert_eq!(world.at(102), "True -> True");
        // A lease that is merely there isn't a sign.
        assert_eq!(world.at(153), "True -> Unknown");
    }

    #[test]
    fn a_node_that_never_spoke_has_longer() {
        let mut world = World::new(None);
        assert_eq!(world.at(10), "Unknown -> Unknown");
        assert!(
            judge(
                &world.node,
                None,
                world.record.as_ref(),
                &TIMING,
                Duration::from_secs(60),
                now(60)
            )
            .conditions
            .is_none()
        );
        let judgement = judge(
            &world.node,
            None,
            world.record.as_ref(),
            &TIMING,
            Duration::from_secs(61),
            now(61),
        );
        let reasons: Vec<String> = judgement
            .conditions
            .expect("silent")
            .into_iter()
            .map(|condition| condition.reason)
            .collect();
        assert_eq!(reasons, ["NodeStatusNeverUpdated"; 4]);
    }

    fn now(seconds: i64) -> Time {
        Time::from_unix(EPOCH + seconds, 0).expect("valid")
    }

    #[test]
    fn unknown_is_written_once() {
        let mut world = World::new(Some("Unknown"));
        assert_eq!(world.at(0), "Unknown -> Unknown");
        let judgement = judge(
            &world.node,
            None,
            world.record.as_ref(),
            &TIMING,
            Duration::from_secs(500),
            now(500),
        );
        assert_eq!(judgement.conditions, None);
    }
}
