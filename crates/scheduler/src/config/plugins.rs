//! `plugins` and `pluginConfig` of a profile.

use api::Message;
use api::core::v1::{NodeAffinity, TopologySpreadConstraint};
use component_base::config::Object;

use super::Error;
use crate::plugins::node_resources::{Kind, ResourceWeight, Strategy};
use crate::plugins::pod_topology_spread::Defaults;
use crate::pod_info::SpreadConstraint;
use crate::profile::{Arguments, DEFAULT_FILTERS, DEFAULT_SCORERS, FitArguments, Profile, plugin};

/// Plugins of upstream's that rule on volumes, devices and pod groups: named in configurations, not built yet.
const NOT_BUILT: &[&str] = &[
    "VolumeRestrictions",
    "NodeVolumeLimits",
    "VolumeBinding",
    "VolumeZone",
    "DynamicResources",
    "NodeDeclaredFeatures",
    "GangScheduling",
];
/// Plugins that every profile has and that stand at no point where they could be left out.
const ALWAYS: &[&str] = &["PrioritySort", "DefaultBinder", "SchedulingGates"];
/// Extension points at which nothing of ours is chosen one by one.
const OTHER_POINTS: &[&str] = &[
    "preEnqueue",
    "queueSort",
    "preFilter",
    "postFilter",
    "preScore",
    "reserve",
    "permit",
    "preBind",
    "bind",
    "postBind",
];

/// Which plugins filter and which score, with their weights.
#[derive(Clone, Debug)]
pub struct Selection {
    filters: Vec<String>,
    scorers: Vec<(String, i64)>,
    preemption: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            filters: DEFAULT_FILTERS.iter().map(|name| (*name).to_owned()).collect(),
            scorers: DEFAULT_SCORERS
                .iter()
                .map(|(name, weight)| ((*name).to_owned(), *weight))
                .collect(),
            preemption: true,
        }
    }
}

/// `enabled` and `disabled` of one point.
struct Point {
    enabled: Vec<(String, Option<i64>)>,
    disabled: Vec<String>,
}

impl Point {
    fn read(mut point: Object, unsupported: &mut Vec<String>) -> Result<Self, Error> {
        let mut out = Self {
            enabled: Vec::new(),
            disabled: Vec::new(),
        };
        for mut entry in point.objects("enabled")?.unwrap_or_default() {
            let path = entry.path_of("name");
            let name = entry.string("name")?.unwrap_or_default();
            let weight = entry.int("weight")?.filter(|weight| *weight != 0);
            entry.finish()?;
            if NOT_BUILT.contains(&name.as_str()) {
                unsupported.push(format!("{path}: {name}"));
            } else if is_known(&name) {
                out.enabled.push((name, weight));
            } else {
                return Err(Error::Invalid {
                    path,
                    reason: format!("plugin {name:?} does not exist"),
                });
            }
        }
        for mut entry in point.objects("disabled")?.unwrap_or_default() {
            out.disabled.push(entry.string("name")?.unwrap_or_default());
            entry.int("weight")?;
            entry.finish()?;
        }
        point.finish()?;
        Ok(out)
    }

    fn disables(&self, name: &str) -> bool {
        self.disabled
            .iter()
            .any(|disabled| disabled == "*" || disabled == name)
    }
}

fn is_known(name: &str) -> bool {
    ALWAYS.contains(&name) || name == "DefaultPreemption" || plugin(name, &Arguments::default()).is_some()
}

fn can_filter(name: &str) -> bool {
    DEFAULT_FILTERS.contains(&name)
}

fn can_score(name: &str) -> bool {
    DEFAULT_SCORERS.iter().any(|(scorer, _)| *scorer == name)
}

impl Selection {
    pub fn read(mut plugins: Object, unsupported: &mut Vec<String>) -> Result<Self, Error> {
        let mut out = Self::default();
        if let Some(point) = plugins.object("multiPoint")? {
            out.apply_everywhere(&Point::read(point, unsupported)?);
        }
        if let Some(point) = plugins.object("filter")? {
            out.apply_filters(&Point::read(point, unsupported)?);
        }
        if let Some(point) = plugins.object("score")? {
            out.apply_scorers(&Point::read(point, unsupported)?);
        }
        for name in OTHER_POINTS {
            if let Some(point) = plugins.object(name)? {
                let point = Point::read(point, unsupported)?;
                if *name == "postFilter" {
                    out.apply_preemption(&point);
                }
            }
        }
        plugins.finish()?;
        Ok(out)
    }

    fn apply_everywhere(&mut self, point: &Point) {
        self.apply_filters(point);
        self.apply_scorers(point);
        self.apply_preemption(point);
    }

    fn apply_filters(&mut self, point: &Point) {
        self.filters.retain(|name| !point.disables(name));
        for (name, _) in &point.enabled {
            if can_filter(name) && !self.filters.contains(name) {
                self.filters.push(name.clone());
            }
        }
    }

    fn apply_scorers(&mut self, point: &Point) {
        self.scorers.retain(|(name, _)| !point.disables(name));
        for (name, weight) in &point.enabled {
            match self.scorers.iter_mut().find(|(have, _)| have == name) {
                Some((_, have)) => *have = weight.unwrap_or(*have),
                None if can_score(name) => self.scorers.push((name.clone(), weight.unwrap_or(1))),
                None => {}
            }
        }
    }

    fn apply_preemption(&mut self, point: &Point) {
        self.preemption &= !point.disables("DefaultPreemption");
        self.preemption |= point.enabled.iter().any(|(name, _)| name == "DefaultPreemption");
    }

    pub fn build(&self, scheduler_name: &str, percentage: i32, arguments: &ArgumentsConfig) -> Profile {
        let args = arguments.build();
        let scorers = self
            .scorers
            .iter()
            .filter_map(|(name, weight)| Some((plugin(name, &args)?, *weight)));
        Profile {
            scheduler_name: scheduler_name.to_owned(),
            gates: plugin("SchedulingGates", &args).into_iter().collect(),
            filters: self
                .filters
                .iter()
                .filter_map(|name| plugin(name, &args))
                .collect(),
            scorers: scorers.collect(),
            preemption: self.preemption,
            percentage_of_nodes_to_score: percentage,
        }
    }
}

/// `pluginConfig`, read.
#[derive(Clone, Debug, Default)]
pub struct ArgumentsConfig {
    added_affinity: Option<NodeAffinity>,
    fit: Option<FitArguments>,
    balanced: Option<Vec<ResourceWeight>>,
    spread: Option<Defaults>,
    hard_pod_affinity_weight: Option<i64>,
    ignore_preferred_terms_of_existing_pods: bool,
}

impl ArgumentsConfig {
    pub fn read(entries: Vec<Object>, unsupported: &mut Vec<String>) -> Result<Self, Error> {
        let mut out = Self::default();
        for mut entry in entries {
            let path = entry.path_of("name");
            let name = entry.string("name")?.unwrap_or_default();
            let Some(mut args) = entry.object("args")? else {
                continue;
            };
            args.ignore(&["apiVersion", "kind"]);
            match name.as_str() {
                "NodeAffinity" => out.added_affinity = typed(&mut args, "addedAffinity")?,
                "NodeResourcesFit" => out.fit = Some(read_fit(&mut args)?),
                "NodeResourcesBalancedAllocation" => out.balanced = read_weights(&mut args)?,
                "PodTopologySpread" => out.spread = read_spread(&mut args)?,
                "InterPodAffinity" => {
                    out.hard_pod_affinity_weight = args.int("hardPodAffinityWeight")?;
                    out.ignore_preferred_terms_of_existing_pods =
                        args.bool("ignorePreferredTermsOfExistingPods")?.unwrap_or(false);
                }
                _ => {
                    unsupported.push(format!("{path}: {name}"));
                    continue;
                }
            }
            args.finish()?;
        }
        Ok(out)
    }

    fn build(&self) -> Arguments {
        let default = Arguments::default();
        Arguments {
            added_affinity: self.added_affinity.clone(),
            fit: self.fit.clone().unwrap_or_default(),
            balanced: self.balanced.clone(),
            spread: self.spread.clone().unwrap_or(default.spread),
            hard_pod_affinity_weight: self
                .hard_pod_affinity_weight
                .unwrap_or(default.hard_pod_affinity_weight),
            ignore_preferred_terms_of_existing_pods: self.ignore_preferred_terms_of_existing_pods,
        }
    }
}

/// A field that is an API object of its own.
fn typed<T: Message + Default>(args: &mut Object, name: &str) -> Result<Option<T>, Error> {
    let path = args.path_of(name);
    let Some(value) = args.value(name) else {
        return Ok(None);
    };
    let parsed = T::from_json(value.to_string().as_bytes());
    parsed.map(Some).map_err(|error| Error::Invalid {
        path,
        reason: error.to_string(),
    })
}

fn read_weights(args: &mut Object) -> Result<Option<Vec<ResourceWeight>>, Error> {
    let Some(entries) = args.objects("resources")? else {
        return Ok(None);
    };
    let read = |mut entry: Object| -> Result<ResourceWeight, Error> {
        let name = entry.string("name")?.unwrap_or_default();
        let weight = entry.int("weight")?.filter(|weight| *weight != 0).unwrap_or(1);
        entry.finish()?;
        Ok(ResourceWeight { name, weight })
    };
    entries.into_iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn read_fit(args: &mut Object) -> Result<FitArguments, Error> {
    let mut out = FitArguments {
        ignored_resources: args.strings("ignoredResources")?.unwrap_or_default(),
        ignored_resource_groups: args.strings("ignoredResourceGroups")?.unwrap_or_default(),
        strategy: Strategy::default(),
    };
    if let Some(mut strategy) = args.object("scoringStrategy")? {
        let path = strategy.path_of("type");
        if let Some(resources) = read_weights(&mut strategy)? {
            out.strategy.resources = resources;
        }
        let ratio = strategy.object("requestedToCapacityRatio")?;
        out.strategy.kind = match strategy.string("type")?.as_deref() {
            None | Some("" | "LeastAllocated") => Kind::LeastAllocated,
            Some("MostAllocated") => Kind::MostAllocated,
            Some("RequestedToCapacityRatio") => Kind::RequestedToCapacityRatio(read_shape(ratio, &path)?),
            Some(other) => {
                return Err(Error::Invalid {
                    path,
                    reason: format!("Unsupported value: {other:?}"),
                });
            }
        };
        strategy.finish()?;
    }
    Ok(out)
}

fn read_shape(ratio: Option<Object>, path: &str) -> Result<Vec<(i64, i64)>, Error> {
    let invalid = |reason: &str| Error::Invalid {
        path: path.to_owned(),
        reason: reason.to_owned(),
    };
    let mut ratio = ratio.ok_or_else(|| invalid("requestedToCapacityRatio is required"))?;
    let mut shape: Vec<(i64, i64)> = Vec::new();
    for mut point in ratio.objects("shape")?.unwrap_or_default() {
        let at = point.int("utilization")?.unwrap_or(0);
        let score = point.int("score")?.unwrap_or(0);
        if shape.last().is_some_and(|(before, _)| *before >= at) || !(0..=100).contains(&at) {
            return Err(invalid(
                "utilization values must be sorted in increasing order, from 0 to 100",
            ));
        }
        if !(0..=10).contains(&score) {
            return Err(invalid("scores must be from 0 to 10"));
        }
        shape.push((at, score));
        point.finish()?;
    }
    ratio.finish()?;
    if shape.is_empty() {
        Err(invalid("at least one point must be specified"))
    } else {
        Ok(shape)
    }
}

fn read_spread(args: &mut Object) -> Result<Option<Defaults>, Error> {
    let list = args.string("defaultingType")?.as_deref() == Some("List");
    let mut constraints = Vec::new();
    for mut entry in args.objects("defaultConstraints")?.unwrap_or_default() {
        let when = entry.string("whenUnsatisfiable")?.unwrap_or_default();
        let constraint = TopologySpreadConstraint {
            max_skew: i32::try_from(entry.int("maxSkew")?.unwrap_or(0)).unwrap_or(1),
            topology_key: entry.string("topologyKey")?.unwrap_or_default(),
            ..TopologySpreadConstraint::default()
        };
        entry.finish()?;
        constraints.push((when, SpreadConstraint::compile(&constraint, &Default::default())));
    }
    Ok(Some(if list {
        Defaults::List(constraints)
    } else {
        Defaults::System
    }))
}
