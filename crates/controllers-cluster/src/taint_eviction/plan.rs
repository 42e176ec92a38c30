//! When a pod must leave its node. Pure.

use std::time::Duration;

use api::core::v1::{Node, Taint, Toleration};
use api::taints::tolerates;
use jiff::Timestamp;

use crate::nodes::taints::NO_EXECUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Stay,
    Later(Duration),
    Now,
}

/// A node's taints that evict.
pub fn no_execute(node: &Node) -> impl Iterator<Item = &Taint> {
    node.spec.taints.iter().filter(|taint| taint.effect == NO_EXECUTE)
}

/// The fate of a pod with these tolerations, which run since `started` (or from `now`).
pub fn fate(node: &Node, tolerations: &[Toleration], started: Option<Timestamp>, now: Timestamp) -> Fate {
    let mut shortest: Option<i64> = None;
    for taint in no_execute(node) {
        let matching: Vec<&Toleration> = tolerations
            .iter()
            .filter(|toleration| tolerates(toleration, taint))
            .collect();
        if matching.is_empty() {
            return Fate::Now;
        }
        for seconds in matching
            .iter()
            .filter_map(|toleration| toleration.toleration_seconds)
        {
            shortest = Some(shortest.map_or(seconds, |shortest| shortest.min(seconds)));
        }
    }
    let Some(seconds) = shortest else {
        return Fate::Stay;
    };
    let elapsed = started.map_or(0, |started| now.as_second() - started.as_second());
    match u64::try_from(seconds - elapsed) {
        Ok(left) if left > 0 => Fate::Later(Duration::from_secs(left)),
        _ => Fate::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(taints: &[&str], tolerations: &[(&str, Option<i64>)], elapsed: i64, expected: Fate) {
        let mut node = Node::default();
        let taint = |key: &&str| Taint {
            key: (*key).into(),
            effect: NO_EXECUTE.into(),
            ..Taint::default()
        };
        node.spec.taints = taints.iter().map(taint).collect();
        node.spec.taints.push(Taint {
            key: "x".into(),
            effect: "NoSchedule".into(),
            ..Taint::default()
        });
        let toleration = |(key, seconds): &(&str, Option<i64>)| Toleration {
            key: (*key).into(),
            operator: "Exists".into(),
            effect: NO_EXECUTE.into(),
            toleration_seconds: *seconds,
            ..Toleration::default()
        };
        let tolerations: Vec<Toleration> = tolerations.iter().map(toleration).collect();
        let now = Timestamp::from_second(1000).expect("valid");
        let started = Timestamp::from_second(1000 - elapsed).expect("valid");
        assert_eq!(fate(&node, &tolerations, Some(started), now), expected);
    }

    #[test]
    fn fates() {
        let later = |seconds| Fate::Later(Duration::from_secs(seconds));
        check(&[], &[], 0, Fate::Stay);
        check(&["a"], &[], 0, Fate::Now);
        check(&["a"], &[("a", None)], 0, Fate::Stay);
        check(&["a"], &[("a", Some(300))], 0, later(300));
        check(&["a"], &[("a", Some(300))], 299, later(1));
        check(&["a"], &[("a", Some(300))], 300, Fate::Now);
        check(&["a"], &[("a", Some(0))], 0, Fate::Now);
        check(&["a", "b"], &[("a", Some(300)), ("b", Some(60))], 0, later(60));
        check(&["a", "b"], &[("a", None)], 0, Fate::Now);
        check(&["a", "b"], &[("", None)], 0, Fate::Stay);
    }
}
