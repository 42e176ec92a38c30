//! One pod against the cluster: which node, or why none. Pure.

use crate::cache::Cluster;
use crate::diagnosis::Diagnosis;
use crate::framework::{Change, Filtering, NodeFilter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::profile::{PluginName, Profile};

/// Fewer nodes than this are always all searched.
const MIN_NODES_TO_FIND: usize = 100;
/// Lower bound, in percent, of the adaptive share of nodes searched.
const MIN_PERCENTAGE: usize = 5;

/// Where a pod goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub node: String,
    pub evaluated: usize,
    pub feasible: usize,
}

/// Why a cycle chose no node.
#[derive(Clone, Debug)]
pub enum Failure {
    /// There is not one node.
    NoNodes,
    /// No node fits.
    Unfit(Box<Diagnosis>),
}

/// What a cycle reads besides the cluster.
pub struct Input<'a> {
    pub profile: &'a Profile,
    pub pod: &'a PodInfo,
    /// Pods that are to land on nodes where preemption makes room for them, by node.
    pub nominated: &'a Nominated,
    /// The node on which the last search ended, so that the next starts after it.
    pub start: usize,
    /// A number by which ties are broken.
    pub random: u64,
}

/// Pods by the node nominated for them.
pub type Nominated = std::collections::HashMap<String, Vec<std::sync::Arc<PodInfo>>>;

/// Result of a cycle, and where the next one starts to search.
pub struct Outcome {
    pub result: Result<Choice, Failure>,
    pub next_start: usize,
}

pub fn run(input: &Input<'_>, cluster: &Cluster) -> Outcome {
    if cluster.nodes.is_empty() {
        return Outcome {
            result: Err(Failure::NoNodes),
            next_start: 0,
        };
    }
    let mut diagnosis = Diagnosis {
        node_count: cluster.nodes.len(),
        ..Diagnosis::default()
    };
    let mut filters = match Filters::prepare(input.profile, input.pod, cluster) {
        Ok(filters) => filters,
        Err((plugin, rejection)) => {
            diagnosis.plugins.insert(plugin);
            diagnosis.pre_filter = Some(rejection);
            return Outcome {
                result: Err(Failure::Unfit(Box::new(diagnosis))),
                next_start: input.start,
            };
        }
    };
    if let Some((_, plugins)) = &filters.only {
        diagnosis.plugins.extend(plugins);
        let names = plugins.join(" ");
        diagnosis.absent = Some(Rejection::unresolvable(format!(
            "node(s) didn't satisfy plugin(s) [{names}]"
        )));
    }
    let (feasible, examined) = search(input, cluster, &mut filters, &mut diagnosis);
    let next_start = (input.start + examined) % cluster.nodes.len();
    let result = match feasible.as_slice() {
        [] => Err(Failure::Unfit(Box::new(diagnosis))),
        [only] => Ok(Choice {
            node: only.name().to_owned(),
            evaluated: 1 + diagnosis.nodes.len(),
            feasible: 1,
        }),
        several => {
            let best = best_of(input, cluster, several);
            let evaluated = several.len() + diagnosis.nodes.len();
            Ok(Choice {
                node: best.name().to_owned(),
                evaluated,
                feasible: several.len(),
            })
        }
    };
    Outcome { result, next_start }
}

/// The filters that have something to say of one pod.
pub struct Filters<'a> {
    asked: Vec<(PluginName, Box<dyn NodeFilter + 'a>)>,
    /// The only nodes that can fit, and the plugins that say so.
    only: Option<(std::collections::BTreeSet<String>, Vec<PluginName>)>,
}

impl<'a> Filters<'a> {
    pub fn prepare(
        profile: &'a Profile,
        pod: &'a PodInfo,
        cluster: &'a Cluster,
    ) -> Result<Self, (PluginName, Rejection)> {
        let mut out = Self {
            asked: Vec::new(),
            only: None,
        };
        for plugin in &profile.filters {
            let filter = match plugin.filter(pod, cluster) {
                Filtering::Pass => continue,
                Filtering::Reject(rejection) => return Err((plugin.name(), rejection)),
                Filtering::Ask(filter) => filter,
                Filtering::AskOnly(names, filter) => {
                    out.restrict(names, plugin.name());
                    filter
                }
            };
            out.asked.push((plugin.name(), filter));
        }
        if let Some((names, plugins)) = &out.only
            && names.is_empty()
        {
            let reason = format!(
                "node(s) didn't satisfy plugin(s) [{}] simultaneously",
                plugins.join(" ")
            );
            return Err((plugins[0], Rejection::unresolvable(reason)));
        }
        Ok(out)
    }

    fn restrict(&mut self, names: std::collections::BTreeSet<String>, plugin: PluginName) {
        match &mut self.only {
            Some((have, plugins)) => {
                have.retain(|name| names.contains(name));
                plugins.push(plugin);
            }
            None => self.only = Some((names, vec![plugin])),
        }
    }

    /// The first filter that rejects the node.
    pub fn check(&self, node: &NodeInfo) -> Result<(), (PluginName, Rejection)> {
        self.asked
            .iter()
            .try_for_each(|(name, filter)| filter.check(node).map_err(|rejection| (*name, rejection)))
    }

    /// Accounts for a pod coming to or going from the node, and changes the node so.
    pub fn simulate(&mut self, pod: &std::sync::Arc<PodInfo>, node: &mut NodeInfo, change: Change) {
        for (_, filter) in &mut self.asked {
            filter.simulate(pod, node, change);
        }
        match change {
            Change::Add => node.add_pod(pod.clone()),
            Change::Remove => {
                node.remove_pod(pod.uid());
            }
        }
    }

    /// Whether the pod fits the node with and without the pods nominated to it that go first: some may never come,
    /// and the pod must fit either way.
    pub fn check_with_nominated(
        &mut self,
        pod: &PodInfo,
        node: &NodeInfo,
        nominated: &Nominated,
    ) -> Result<(), (PluginName, Rejection)> {
        let first =
            |other: &&std::sync::Arc<PodInfo>| other.priority() >= pod.priority() && other.uid() != pod.uid();
        let ahead: Vec<_> = nominated
            .get(node.name())
            .into_iter()
            .flatten()
            .filter(first)
            .cloned()
            .collect();
        if !ahead.is_empty() {
            let mut crowded = node.clone();
            for other in &ahead {
                self.simulate(other, &mut crowded, Change::Add);
            }
            let fits = self.check(&crowded);
            for other in &ahead {
                self.simulate(other, &mut crowded, Change::Remove);
            }
            fits?;
        }
        self.check(node)
    }
}

/// How many feasible nodes are enough: all of a small cluster, a shrinking share of a large one.
fn enough(percentage: i32, nodes: usize) -> usize {
    if nodes < MIN_NODES_TO_FIND {
        return nodes;
    }
    let percentage = match usize::try_from(percentage) {
        Ok(percentage) if percentage > 0 => percentage,
        _ => 50_usize.saturating_sub(nodes / 125).max(MIN_PERCENTAGE),
    };
    (nodes * percentage / 100).clamp(MIN_NODES_TO_FIND, nodes)
}

/// Feasible nodes, and how many were looked at.
fn search<'c>(
    input: &Input<'_>,
    cluster: &'c Cluster,
    filters: &mut Filters<'_>,
    diagnosis: &mut Diagnosis,
) -> (Vec<&'c NodeInfo>, usize) {
    let nominated = &input.pod.pod.status.nominated_node_name;
    if let Some(node) = cluster.node(nominated)
        && filters
            .check_with_nominated(input.pod, node, input.nominated)
            .is_ok()
    {
        return (vec![node], 0);
    }
    let candidates: Vec<&NodeInfo> = match &filters.only {
        Some((names, _)) => names.iter().filter_map(|name| cluster.node(name)).collect(),
        None => {
            let (before, after) = cluster.nodes.split_at(input.start % cluster.nodes.len());
            after.iter().chain(before).collect()
        }
    };
    let enough = enough(input.profile.percentage_of_nodes_to_score, candidates.len());
    let mut feasible = Vec::new();
    let mut examined = 0;
    for node in candidates {
        examined += 1;
        match filters.check_with_nominated(input.pod, node, input.nominated) {
            Ok(()) => feasible.push(node),
            Err((plugin, rejection)) => {
                diagnosis.plugins.insert(plugin);
                diagnosis.nodes.insert(node.name().to_owned(), rejection);
            }
        }
        if feasible.len() >= enough {
            break;
        }
    }
    (feasible, examined)
}

/// The node with the highest weighted sum of scores; ties are broken by `input.random`.
fn best_of<'c>(input: &Input<'_>, cluster: &'c Cluster, nodes: &[&'c NodeInfo]) -> &'c NodeInfo {
    let mut totals = vec![0_i64; nodes.len()];
    for (plugin, weight) in &input.profile.scorers {
        let Some(scorer) = plugin.score(input.pod, cluster, nodes) else {
            continue;
        };
        let mut scores: Vec<_> = nodes.iter().map(|node| scorer.score(node)).collect();
        scorer.normalize(nodes, &mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * weight;
        }
    }
    let max = totals.iter().copied().max().unwrap_or(0);
    let best: Vec<_> = nodes
        .iter()
        .zip(&totals)
        .filter(|(_, total)| **total == max)
        .map(|(node, _)| *node)
        .collect();
    best[(input.random % best.len() as u64) as usize]
}

#[cfg(test)]
mod tests;
