//! NodeResourcesBalancedAllocation: prefers nodes whose resources are used evenly once the pod is there.

use crate::cache::Cluster;
use crate::framework::{MAX_SCORE, NodeScore, Plugin};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

use super::strategy::{ResourceWeight, default_resources};

pub struct BalancedAllocation {
    pub resources: Vec<ResourceWeight>,
}

impl Default for BalancedAllocation {
    fn default() -> Self {
        Self {
            resources: default_resources(),
        }
    }
}

struct Scorer<'a> {
    resources: &'a [ResourceWeight],
    pod: &'a PodInfo,
}

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn score<'a>(
        &'a self,
        pod: &'a PodInfo,
        _cluster: &'a Cluster,
        _feasible: &[&'a NodeInfo],
    ) -> Option<Box<dyn NodeScore + 'a>> {
        // A best-effort pod changes no balance.
        let asks = self
            .resources
            .iter()
            .any(|resource| pod.requests.get(&resource.name) != 0);
        if asks {
            Some(Box::new(Scorer {
                resources: &self.resources,
                pod,
            }))
        } else {
            None
        }
    }
}

/// One minus the standard deviation of the used fractions, in 0..=[`MAX_SCORE`].
fn evenness(fractions: &[f64]) -> i64 {
    let deviation = match fractions {
        [] | [_] => 0.0,
        [a, b] => ((a - b) / 2.0).abs(),
        _ => {
            let n = fractions.len() as f64;
            let mean = fractions.iter().sum::<f64>() / n;
            (fractions.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / n).sqrt()
        }
    };
    ((1.0 - deviation) * MAX_SCORE as f64) as i64
}

impl NodeScore for Scorer<'_> {
    /// Half the scale is the evenness itself, half how much the pod improves it.
    fn score(&self, node: &NodeInfo) -> i64 {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for resource in self.resources {
            let name = resource.name.as_str();
            let capacity = node.allocatable.get(name);
            let asked = self.pod.requests.get(name);
            if capacity == 0 || (asked == 0 && crate::resources::is_extended(name)) {
                continue;
            }
            let used = node.requested.get(name);
            let fraction = |amount: i64| (amount as f64 / capacity as f64).min(1.0);
            with.push(fraction(used + asked));
            without.push(fraction(used));
        }
        MAX_SCORE / 2 + (MAX_SCORE / 2 + evenness(&with) - evenness(&without)) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenness_falls_with_the_spread_of_fractions() {
        assert_eq!(evenness(&[0.5, 0.5]), 100);
        assert_eq!(evenness(&[1.0, 0.0]), 50);
        assert_eq!(evenness(&[0.6, 0.6, 0.6]), 100);
        assert_eq!(evenness(&[]), 100);
    }
}
