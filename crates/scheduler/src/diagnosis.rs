//! Why a pod fits nowhere, in upstream's words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::framework::{Rejection, Remedy};
use crate::profile::PluginName;

/// What ruled out each node.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    pub node_count: usize,
    /// One plugin rejected the pod before any node was looked at.
    pub pre_filter: Option<Rejection>,
    /// By node name.
    pub nodes: BTreeMap<String, Rejection>,
    /// Reason for the nodes that were not asked because plugins named others.
    pub absent: Option<Rejection>,
    /// The plugins that rejected the pod: an event that helps one of them brings it back.
    pub plugins: BTreeSet<PluginName>,
    /// What preemption found.
    pub preemption: Option<String>,
}

impl Diagnosis {
    /// The nodes that might fit if pods on them were gone.
    pub fn preemption_candidates(&self) -> BTreeSet<&str> {
        let resolvable = self
            .nodes
            .iter()
            .filter(|(_, rejection)| rejection.remedy == Remedy::Preemption);
        resolvable.map(|(name, _)| name.as_str()).collect()
    }

    /// `2 Insufficient cpu, 1 node(s) were unschedulable`.
    fn histogram(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in self.nodes.values().flat_map(|rejection| &rejection.reasons) {
            *counts.entry(reason).or_default() += 1;
        }
        let absent = self.node_count.saturating_sub(self.nodes.len());
        if absent > 0 {
            for reason in self.absent.iter().flat_map(|rejection| &rejection.reasons) {
                *counts.entry(reason).or_default() += absent;
            }
        }
        let mut lines: Vec<_> = counts
            .into_iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        lines.sort();
        lines.join(", ")
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0/{} nodes are available:", self.node_count)?;
        match &self.pre_filter {
            Some(rejection) => write!(f, " {}.", rejection.reasons.join(", "))?,
            None => {
                let histogram = self.histogram();
                if !histogram.is_empty() {
                    write!(f, " {histogram}.")?;
                }
            }
        }
        match &self.preemption {
            Some(message) if !message.is_empty() => write!(f, " {message}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_over_nodes() {
        let mut diagnosis = Diagnosis {
            node_count: 3,
            ..Diagnosis::default()
        };
        let both = Rejection {
            reasons: vec!["Insufficient cpu".into(), "Too many pods".into()],
            remedy: Remedy::None,
        };
        diagnosis
            .nodes
            .insert("a".into(), Rejection::resolvable("Insufficient cpu"));
        diagnosis.nodes.insert("b".into(), both);
        diagnosis.absent = Some(Rejection::unresolvable(
            "node(s) didn't satisfy plugin(s) [NodeAffinity]",
        ));
        diagnosis.preemption = Some("preemption: not eligible".into());
        assert_eq!(
            diagnosis.to_string(),
            "0/3 nodes are available: 1 Too many pods, 1 node(s) didn't satisfy plugin(s) [NodeAffinity], \
             2 Insufficient cpu. preemption: not eligible"
        );
        assert_eq!(diagnosis.preemption_candidates(), BTreeSet::from(["a"]));
    }
}
