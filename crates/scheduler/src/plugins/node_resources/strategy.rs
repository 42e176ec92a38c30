//! How NodeResourcesFit weighs what a node would have left.

use crate::framework::{MAX_SCORE, NodeScore};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// A resource and how much it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceWeight {
    pub name: String,
    pub weight: i64,
}

/// The scoring strategy of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategy {
    pub kind: Kind,
    pub resources: Vec<ResourceWeight>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Spread: the emptier, the better.
    LeastAllocated,
    /// Pack: the fuller, the better.
    MostAllocated,
    /// A line through these (utilization in percent, score 0..=10) points.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

/// CPU and memory alike: upstream's default.
pub fn default_resources() -> Vec<ResourceWeight> {
    ["cpu", "memory"]
        .map(|name| ResourceWeight {
            name: name.to_owned(),
            weight: 1,
        })
        .into()
}

impl Default for Strategy {
    fn default() -> Self {
        Self {
            kind: Kind::LeastAllocated,
            resources: default_resources(),
        }
    }
}

struct Scorer<'a> {
    strategy: &'a Strategy,
    pod: &'a PodInfo,
}

impl Strategy {
    pub(super) fn scorer<'a>(&'a self, pod: &'a PodInfo) -> Box<dyn NodeScore + 'a> {
        Box::new(Scorer { strategy: self, pod })
    }
}

/// What would be requested of `resource` on the node with the pod there, and the node's capacity; `None` where the
/// node has none of it, or where the pod does not ask for that extended resource.
pub(super) fn requested_and_capacity(pod: &PodInfo, node: &NodeInfo, resource: &str) -> Option<(i64, i64)> {
    let capacity = node.allocatable.get(resource);
    let default_counted = matches!(resource, "cpu" | "memory");
    let (pod_asks, node_has) = if default_counted {
        (
            pod.scoring_requests.get(resource),
            node.scoring_requested.get(resource),
        )
    } else {
        (pod.requests.get(resource), node.requested.get(resource))
    };
    let irrelevant = pod_asks == 0 && crate::resources::is_extended(resource);
    (capacity != 0 && !irrelevant).then(|| (node_has.saturating_add(pod_asks), capacity))
}

impl Kind {
    fn score(&self, requested: i64, capacity: i64) -> i64 {
        match self {
            Self::LeastAllocated if requested > capacity => 0,
            Self::LeastAllocated => percent(capacity - requested, capacity),
            Self::MostAllocated => percent(requested.min(capacity), capacity),
            Self::RequestedToCapacityRatio(shape) => {
                let utilization = if requested > capacity {
                    100
                } else {
                    percent(requested, capacity)
                };
                interpolate(shape, utilization) * MAX_SCORE / 10
            }
        }
    }
}

/// `part` of `whole` in 0..=100, without overflow for sizes in bytes.
fn percent(part: i64, whole: i64) -> i64 {
    (i128::from(part) * i128::from(MAX_SCORE) / i128::from(whole)) as i64
}

/// The value at `x` of the line through `points`, level before the first and after the last.
fn interpolate(points: &[(i64, i64)], x: i64) -> i64 {
    let Some(after) = points.iter().position(|(at, _)| x <= *at) else {
        return points.last().map_or(0, |p| p.1);
    };
    let (x1, y1) = points[after];
    match after.checked_sub(1).map(|before| points[before]) {
        None => y1,
        Some((x0, y0)) => y0 + (y1 - y0) * (x - x0) / (x1 - x0),
    }
}

impl NodeScore for Scorer<'_> {
    fn score(&self, node: &NodeInfo) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for resource in &self.strategy.resources {
            if let Some((requested, capacity)) = requested_and_capacity(self.pod, node, &resource.name) {
                let score = self.strategy.kind.score(requested, capacity);
                // An unused resource of a ratio does not count, or every node would look empty.
                if score > 0 || !matches!(self.strategy.kind, Kind::RequestedToCapacityRatio(_)) {
                    sum += score * resource.weight;
                    weights += resource.weight;
                }
            }
        }
        if weights == 0 { 0 } else { sum / weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_score_as_upstream() {
        assert_eq!(Kind::LeastAllocated.score(1000, 4000), 75);
        assert_eq!(Kind::LeastAllocated.score(5000, 4000), 0);
        assert_eq!(Kind::MostAllocated.score(1000, 4000), 25);
        let ratio = Kind::RequestedToCapacityRatio(vec![(0, 0), (50, 8), (100, 10)]);
        assert_eq!(
            [0, 25, 50, 75, 100].map(|used| ratio.score(used, 100)),
            [0, 40, 80, 90, 100]
        );
        assert_eq!(Kind::LeastAllocated.score(0, i64::MAX), 100);
    }
}
