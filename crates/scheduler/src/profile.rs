//! A scheduler name, and the plugins that decide for its pods.

use std::collections::BTreeSet;

use crate::framework::{Event, Plugin};
use crate::plugins::image_locality::ImageLocality;
use crate::plugins::inter_pod_affinity::InterPodAffinity;
use crate::plugins::node_affinity::NodeAffinity;
use crate::plugins::node_name::NodeName;
use crate::plugins::node_ports::NodePorts;
use crate::plugins::node_resources::{BalancedAllocation, Fit};
use crate::plugins::node_unschedulable::NodeUnschedulable;
use crate::plugins::pod_topology_spread::PodTopologySpread;
use crate::plugins::scheduling_gates::SchedulingGates;
use crate::plugins::taint_toleration::TaintToleration;
use crate::pod_info::PodInfo;

/// The name that pods have unless they ask for another scheduler.
pub const DEFAULT_SCHEDULER_NAME: &str = "default-scheduler";

/// Plugin names by upstream's, of what runs here at one extension point at least.
pub type PluginName = &'static str;

pub struct Profile {
    pub scheduler_name: String,
    pub gates: Vec<Box<dyn Plugin>>,
    pub filters: Vec<Box<dyn Plugin>>,
    pub scorers: Vec<(Box<dyn Plugin>, i64)>,
    /// Whether pods that fit nowhere may displace others.
    pub preemption: bool,
    /// Share of the nodes, in percent, after which a search that found enough stops; 0: by cluster size.
    pub percentage_of_nodes_to_score: i32,
}

/// The plugins with their arguments, by name, as the configuration gives them.
pub struct Arguments {
    pub added_affinity: Option<api::core::v1::NodeAffinity>,
    pub fit: FitArguments,
    pub balanced: Option<Vec<crate::plugins::node_resources::ResourceWeight>>,
    pub spread: crate::plugins::pod_topology_spread::Defaults,
    pub hard_pod_affinity_weight: i64,
    pub ignore_preferred_terms_of_existing_pods: bool,
}

#[derive(Clone, Debug, Default)]
pub struct FitArguments {
    pub strategy: crate::plugins::node_resources::Strategy,
    pub ignored_resources: Vec<String>,
    pub ignored_resource_groups: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            added_affinity: None,
            fit: FitArguments::default(),
            balanced: None,
            spread: crate::plugins::pod_topology_spread::Defaults::System,
            hard_pod_affinity_weight: 1,
            ignore_preferred_terms_of_existing_pods: false,
        }
    }
}

/// Filters in the order that they are asked: the first to reject a node names the reason.
pub const DEFAULT_FILTERS: &[PluginName] = &[
    "NodeUnschedulable",
    "NodeName",
    "TaintToleration",
    "NodeAffinity",
    "NodePorts",
    "NodeResourcesFit",
    "PodTopologySpread",
    "InterPodAffinity",
];

/// Scorers with their weights.
pub const DEFAULT_SCORERS: &[(PluginName, i64)] = &[
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodeResourcesFit", 1),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
];

/// A new instance of the plugin; `None` if there is none of that name here.
pub fn plugin(name: &str, args: &Arguments) -> Option<Box<dyn Plugin>> {
    Some(match name {
        "SchedulingGates" => Box::new(SchedulingGates),
        "NodeUnschedulable" => Box::new(NodeUnschedulable),
        "NodeName" => Box::new(NodeName),
        "TaintToleration" => Box::new(TaintToleration),
        "NodeAffinity" => Box::new(NodeAffinity {
            added: args.added_affinity.clone(),
        }),
        "NodePorts" => Box::new(NodePorts),
        "NodeResourcesFit" => Box::new(Fit {
            strategy: args.fit.strategy.clone(),
            ignored_resources: args.fit.ignored_resources.clone(),
            ignored_resource_groups: args.fit.ignored_resource_groups.clone(),
        }),
        "PodTopologySpread" => Box::new(PodTopologySpread {
            defaults: args.spread.clone(),
        }),
        "InterPodAffinity" => Box::new(InterPodAffinity {
            hard_pod_affinity_weight: args.hard_pod_affinity_weight,
            ignore_preferred_terms_of_existing_pods: args.ignore_preferred_terms_of_existing_pods,
        }),
        "NodeResourcesBalancedAllocation" => Box::new(match &args.balanced {
            Some(resources) => BalancedAllocation {
                resources: resources.clone(),
            },
            None => BalancedAllocation::default(),
        }),
        "ImageLocality" => Box::new(ImageLocality),
        _ => return None,
    })
}

impl Profile {
    /// Upstream's default profile under a scheduler name.
    pub fn default_for(scheduler_name: &str) -> Self {
        let args = Arguments::default();
        let all = |names: &[PluginName]| names.iter().filter_map(|name| plugin(name, &args)).collect();
        let scorers = DEFAULT_SCORERS
            .iter()
            .filter_map(|(name, weight)| Some((plugin(name, &args)?, *weight)));
        Self {
            scheduler_name: scheduler_name.to_owned(),
            gates: all(&["SchedulingGates"]),
            filters: all(DEFAULT_FILTERS),
            scorers: scorers.collect(),
            preemption: true,
            percentage_of_nodes_to_score: 0,
        }
    }

    /// The first gate that holds the pod back, and its words.
    pub fn gate(&self, pod: &PodInfo) -> Result<(), (PluginName, String)> {
        self.gates
            .iter()
            .try_for_each(|plugin| plugin.gate(pod).map_err(|message| (plugin.name(), message)))
    }

    /// Whether the event may help a pod that these plugins rejected. A plugin that is not known here (of an earlier
    /// configuration) is taken to be helped by anything.
    pub fn is_helped(&self, pod: &PodInfo, rejectors: &BTreeSet<PluginName>, event: &Event<'_>) -> bool {
        let known = |name: &PluginName| {
            self.gates
                .iter()
                .chain(&self.filters)
                .find(|plugin| plugin.name() == *name)
        };
        matches!(event, Event::Unconditional)
            || rejectors.is_empty()
            || rejectors
                .iter()
                .any(|name| known(name).is_none_or(|plugin| plugin.is_helped_by(pod, event)))
    }
}
