//! Who would have to go so that a pod fits, and on which node that hurts least. Pure.
//!
//! Upstream: `pkg/scheduler/framework/preemption`, plugin DefaultPreemption.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::policy::v1::PodDisruptionBudget;
use apimachinery::labels::Selector;
use jiff::Timestamp;

use crate::cache::Cluster;
use crate::cycle::{Filters, Nominated};
use crate::diagnosis::Diagnosis;
use crate::framework::{Change, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, compile_selector};
use crate::profile::Profile;

/// At least this many candidates are looked at (if there are as many) ...
const MIN_CANDIDATES: usize = 100;
/// ... and this share of the nodes, in percent.
const MIN_CANDIDATES_PERCENTAGE: usize = 10;

/// A disruption budget, compiled.
#[derive(Clone, Debug)]
pub struct Budget {
    pub namespace: String,
    pub selector: Selector,
    pub allowed: i32,
    /// Pods whose eviction was granted and not yet seen: they don't count again.
    pub disrupted: BTreeSet<String>,
}

impl Budget {
    pub fn new(pdb: &PodDisruptionBudget) -> Self {
        Self {
            namespace: pdb.metadata.namespace.clone(),
            selector: compile_selector(pdb.spec.selector.as_deref()),
            allowed: pdb.status.disruptions_allowed,
            disrupted: pdb.status.disrupted_pods.keys().cloned().collect(),
        }
    }
}

/// The node to make room on and the pods that must go.
#[derive(Clone, Debug)]
pub struct Plan {
    pub node: String,
    pub victims: Vec<Arc<PodInfo>>,
    violations: usize,
}

/// Why no pod is displaced, in upstream's words.
pub type Reason = String;

/// Chooses a node and victims, or says why there are none. `diagnosis` is that of the cycle that found no node.
pub fn plan(
    profile: &Profile,
    pod: &PodInfo,
    cluster: &Cluster,
    nominated: &Nominated,
    budgets: &[Budget],
    diagnosis: &Diagnosis,
) -> Result<Plan, Reason> {
    eligible(pod, cluster, diagnosis)?;
    let candidates = diagnosis.preemption_candidates();
    let unhelpful = || {
        let mut found = Diagnosis {
            node_count: cluster.nodes.len(),
            ..Diagnosis::default()
        };
        found.absent = Some(Rejection::unresolvable(
            "Preemption is not helpful for scheduling",
        ));
        found
    };
    let Ok(mut filters) = Filters::prepare(profile, pod, cluster) else {
        return Err(format!("preemption: {}", unhelpful()));
    };
    let wanted = (candidates.len() * MIN_CANDIDATES_PERCENTAGE / 100).max(MIN_CANDIDATES);
    let mut found = unhelpful();
    let mut plans: Vec<Plan> = Vec::new();
    for node in candidates.iter().filter_map(|name| cluster.node(name)) {
        match victims_on(&mut filters, pod, node, nominated, budgets) {
            Ok(plan) => plans.push(plan),
            Err(rejection) => {
                found.nodes.insert(node.name().to_owned(), rejection);
            }
        }
        // Enough, and one that breaks no budget among them.
        if plans.len() >= wanted && plans.iter().any(|plan| plan.violations == 0) {
            break;
        }
    }
    plans
        .into_iter()
        .min_by(compare)
        .ok_or_else(|| format!("preemption: {found}"))
}

fn eligible(pod: &PodInfo, cluster: &Cluster, diagnosis: &Diagnosis) -> Result<(), Reason> {
    if pod.pod.spec.preemption_policy.as_deref() == Some("Never") {
        return Err("not eligible due to preemptionPolicy=Never.".to_owned());
    }
    // While victims of an earlier preemption still go away, wait for them, unless their node can't fit any more.
    let nominated = &pod.pod.status.nominated_node_name;
    let hopeless = diagnosis
        .nodes
        .get(nominated)
        .is_some_and(|r| r.remedy == crate::framework::Remedy::None);
    let leaving = |other: &Arc<PodInfo>| {
        other.is_terminating() && other.priority() < pod.priority() && was_preempted(other)
    };
    match cluster.node(nominated) {
        Some(node) if !hopeless && node.pods.iter().any(leaving) => {
            Err("not eligible due to a terminating pod on the nominated node.".to_owned())
        }
        _ => Ok(()),
    }
}

fn was_preempted(pod: &PodInfo) -> bool {
    pod.pod.status.conditions.iter().any(|condition| {
        condition.type_ == "DisruptionTarget"
            && condition.status == "True"
            && condition.reason == "PreemptionByScheduler"
    })
}

/// The fewest and least important pods of the node without which the pod fits.
fn victims_on(
    filters: &mut Filters<'_>,
    pod: &PodInfo,
    node: &NodeInfo,
    nominated: &Nominated,
    budgets: &[Budget],
) -> Result<Plan, Rejection> {
    let mut lower: Vec<_> = node
        .pods
        .iter()
        .filter(|other| other.priority() < pod.priority())
        .cloned()
        .collect();
    if lower.is_empty() {
        return Err(Rejection::unresolvable(
            "No preemption victims found for incoming pod",
        ));
    }
    let mut without = node.clone();
    for other in &lower {
        filters.simulate(other, &mut without, Change::Remove);
    }
    let fits = filters
        .check_with_nominated(pod, &without, nominated)
        .map_err(|(_, rejection)| rejection);
    let mut victims = Vec::new();
    let mut violations = 0;
    if fits.is_ok() {
        lower.sort_by_key(|pod| std::cmp::Reverse(importance(pod)));
        let violating = violating(&lower, budgets);
        // Those that break a budget are spared first, the most important first.
        let (breaking, free): (Vec<_>, Vec<_>) =
            lower.iter().partition(|other| violating.contains(other.uid()));
        for other in breaking.into_iter().chain(free) {
            filters.simulate(other, &mut without, Change::Add);
            if filters.check_with_nominated(pod, &without, nominated).is_err() {
                filters.simulate(other, &mut without, Change::Remove);
                violations += usize::from(violating.contains(other.uid()));
                victims.push(other.clone());
            }
        }
        victims.sort_by_key(|pod| std::cmp::Reverse(importance(pod)));
        for other in &victims {
            filters.simulate(other, &mut without, Change::Add);
        }
    } else {
        for other in &lower {
            filters.simulate(other, &mut without, Change::Add);
        }
    }
    fits.map(|()| Plan {
        node: node.name().to_owned(),
        victims,
        violations,
    })
}

/// Higher priority, then earlier start.
fn importance(pod: &PodInfo) -> (i32, std::cmp::Reverse<Timestamp>) {
    (pod.priority(), std::cmp::Reverse(started(pod)))
}

/// When the pod started; one that has not is the least settled.
fn started(pod: &PodInfo) -> Timestamp {
    pod.pod
        .status
        .start_time
        .map_or(Timestamp::MAX, |time| time.timestamp())
}

/// Pods whose going would leave a budget below zero, taken in the given order.
fn violating<'p>(pods: &'p [Arc<PodInfo>], budgets: &[Budget]) -> BTreeSet<&'p str> {
    let mut left: Vec<i64> = budgets.iter().map(|budget| i64::from(budget.allowed)).collect();
    let mut out = BTreeSet::new();
    for pod in pods.iter().filter(|pod| !pod.pod.metadata.labels.is_empty()) {
        for (budget, left) in budgets.iter().zip(&mut left) {
            let covers = budget.namespace == pod.namespace()
                && !budget.selector.is_everything()
                && budget.selector.matches(&pod.pod.metadata.labels)
                && !budget.disrupted.contains(&pod.pod.metadata.name);
            if covers {
                *left -= 1;
                if *left < 0 {
                    out.insert(pod.uid());
                }
            }
        }
    }
    out
}

/// Which plan hurts less: fewest broken budgets, lowest priority of the most important victim, lowest sum of
/// priorities, fewest victims, most recent start of the longest-running most important victim.
fn compare(a: &Plan, b: &Plan) -> std::cmp::Ordering {
    let top = |plan: &Plan| plan.victims.first().map_or(i32::MIN, |victim| victim.priority());
    // Counted from the lowest priority, so that many unimportant victims weigh more than one.
    let sum = |plan: &Plan| -> i64 {
        plan.victims
            .iter()
            .map(|victim| i64::from(victim.priority()) - i64::from(i32::MIN))
            .sum()
    };
    let earliest = |plan: &Plan| {
        let top = top(plan);
        plan.victims
            .iter()
            .filter(|victim| victim.priority() == top)
            .map(|victim| started(victim))
            .min()
    };
    a.violations
        .cmp(&b.violations)
        .then_with(|| top(a).cmp(&top(b)))
        .then_with(|| sum(a).cmp(&sum(b)))
        .then_with(|| a.victims.len().cmp(&b.victims.len()))
        .then_with(|| earliest(b).cmp(&earliest(a)))
}

/// Budgets by namespace and name, as the watch shows them.
#[derive(Default)]
pub struct Budgets(BTreeMap<(String, String), Budget>);

impl Budgets {
    pub fn set(&mut self, pdb: &PodDisruptionBudget) {
        self.0.insert(
            (pdb.metadata.namespace.clone(), pdb.metadata.name.clone()),
            Budget::new(pdb),
        );
    }

    pub fn remove(&mut self, namespace: &str, name: &str) {
        self.0.remove(&(namespace.to_owned(), name.to_owned()));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn all(&self) -> Vec<Budget> {
        self.0.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cycle::{self, Failure};
    use crate::fixture::{NodeFixture, PodFixture, cache, node, pod};

    /// `node: victims`, or the reason.
    fn check(
        nodes: Vec<NodeFixture>,
        bound: Vec<PodFixture>,
        incoming: PodFixture,
        budgets: &[Budget],
    ) -> String {
        let mut cache = cache(nodes, bound);
        let profile = Profile::default_for("default-scheduler");
        let pod = incoming.info();
        let nominated = Nominated::new();
        let input = cycle::Input {
            profile: &profile,
            pod: &pod,
            nominated: &nominated,
            start: 0,
            random: 0,
        };
        let Err(Failure::Unfit(diagnosis)) = cycle::run(&input, cache.cluster()).result else {
            return "fits".to_owned();
        };
        match plan(&profile, &pod, cache.cluster(), &nominated, budgets, &diagnosis) {
            Ok(plan) => {
                let names: Vec<_> = plan
                    .victims
                    .iter()
                    .map(|v| v.pod.metadata.name.as_str())
                    .collect();
                format!("{}: {}", plan.node, names.join(" "))
            }
            Err(reason) => reason,
        }
    }

    #[test]
    fn the_least_important_pods_that_make_room_go() {
        let full = || {
            vec![
                pod("low").cpu("1").priority(1).on("a"),
                pod("mid").cpu("3").priority(5).on("a"),
            ]
        };
        assert_eq!(
            check(vec![node("a")], full(), pod("p").cpu("1").priority(10), &[]),
            "a: low"
        );
        assert_eq!(
            check(vec![node("a")], full(), pod("p").cpu("2").priority(10), &[]),
            "a: mid"
        );
        assert_eq!(
            check(vec![node("a")], full(), pod("p").cpu("4").priority(10), &[]),
            "a: mid low"
        );
        assert_eq!(
            check(vec![node("a")], full(), pod("p").cpu("1"), &[]),
            "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        );
        assert_eq!(
            check(vec![node("a")], full(), pod("p").cpu("5").priority(10), &[]),
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        );
    }

    #[test]
    fn the_node_that_hurts_least_is_chosen() {
        let nodes = || vec![node("a"), node("b")];
        let bound = || {
            vec![
                pod("x").cpu("4").priority(5).on("a"),
                pod("y").cpu("4").priority(2).on("b"),
            ]
        };
        assert_eq!(
            check(nodes(), bound(), pod("p").cpu("1").priority(10), &[]),
            "b: y"
        );
        let two = || {
            vec![
                pod("x").cpu("4").priority(2).on("a"),
                pod("y1").cpu("2").on("b"),
                pod("y2").cpu("2").on("b"),
            ]
        };
        assert_eq!(
            check(nodes(), two(), pod("p").cpu("4").priority(10), &[]),
            "b: y1 y2"
        );
    }

    #[test]
    fn budgets_are_kept_if_any_node_allows_it() {
        let nodes = || vec![node("a"), node("b")];
        let bound = || {
            vec![
                pod("x").cpu("4").priority(1).label("app", "db").on("a"),
                pod("y").cpu("4").priority(2).on("b"),
            ]
        };
        let budget = Budget {
            namespace: "default".into(),
            selector: Selector::parse("app=db").expect("valid"),
            allowed: 0,
            disrupted: BTreeSet::new(),
        };
        assert_eq!(
            check(nodes(), bound(), pod("p").cpu("1").priority(10), &[]),
            "a: x"
        );
        assert_eq!(
            check(nodes(), bound(), pod("p").cpu("1").priority(10), &[budget]),
            "b: y"
        );
    }

    #[test]
    fn a_pod_may_renounce() {
        let never = pod("p")
            .cpu("1")
            .priority(10)
            .edit(|p| p.spec.preemption_policy = Some("Never".into()));
        let bound = vec![pod("x").cpu("4").on("a")];
        assert_eq!(
            check(vec![node("a")], bound, never, &[]),
            "not eligible due to preemptionPolicy=Never."
        );
    }
}
