//! Which containers are changed while they run, and in which order they and their pod's group are. Pure.
//! Upstream: `computePodResizeAction`, `doPodResizeAction`.

use super::allocation::{PodResources, resizable};
use crate::{
    cgroup::resources::GroupLimits,
    runtime::state::{ContainerState, ContainerStatus, PodState},
};
use api::core::v1::{Container, Pod, ResourceRequirements};
use apimachinery::quantity::{Format, Quantity};
use std::collections::BTreeMap;

/// Processors in thousandths, memory in bytes; zero where nothing is stated.
pub fn amount(list: &BTreeMap<String, Quantity>, resource: &str) -> i64 {
    match (list.get(resource), resource) {
        (None, _) => 0,
        (Some(quantity), "cpu") => quantity.milli_value(),
        (Some(quantity), _) => quantity.value(),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    Memory,
    Cpu,
}

impl Resource {
    pub const ALL: [Self; 2] = [Self::Memory, Self::Cpu];

    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
        }
    }
}

/// What can be resized of a container or a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compute {
    pub memory: Amounts,
    pub cpu: Amounts,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    pub request: i64,
    pub limit: i64,
}

impl Compute {
    pub fn of(resources: &ResourceRequirements) -> Self {
        let amounts = |name| Amounts {
            request: amount(&resources.requests, name),
            limit: amount(&resources.limits, name),
        };
        Self {
            memory: amounts("memory"),
            cpu: amounts("cpu"),
        }
    }

    pub fn get(&self, resource: Resource) -> Amounts {
        match resource {
            Resource::Memory => self.memory,
            Resource::Cpu => self.cpu,
        }
    }

    /// Puts these amounts into a container's resources, and leaves all others.
    pub fn write(&self, resources: &mut ResourceRequirements) {
        let quantity = |resource, amount| match resource {
            Resource::Cpu => Quantity::from_milli(amount, Format::DecimalSi),
            Resource::Memory => Quantity::from_i64(amount, Format::BinarySi),
        };
        for resource in Resource::ALL {
            let (name, amounts) = (resource.name().to_owned(), self.get(resource));
            resources
                .requests
                .insert(name.clone(), quantity(resource, amounts.request));
            resources.limits.insert(name, quantity(resource, amounts.limit));
        }
    }
}

/// A container's resources with the pod's limits where it has none of its own.
pub fn effective(pod: Option<&ResourceRequirements>, own: &ResourceRequirements) -> ResourceRequirements {
    let mut resources = own.clone();
    for name in ["cpu", "memory"] {
        if let Some(limit) = pod.and_then(|pod| pod.limits.get(name)) {
            resources
                .limits
                .entry(name.to_owned())
                .or_insert_with(|| limit.clone());
        }
    }
    resources
}

/// How a running container gets what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    InPlace(Change),
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub current: Compute,
    pub desired: Compute,
}

pub fn need(spec: &Pod, container: &Container, actuated: &PodResources) -> Need {
    let Some(current) = actuated.containers.get(&container.name) else {
        return Need::Nothing;
    };
    let current = Compute::of(current);
    let desired = Compute::of(&effective(spec.spec.resources.as_deref(), &container.resources));
    if current == desired {
        return Need::Nothing;
    }
    let restarts = |resource: Resource| {
        let policy = container
            .resize_policy
            .iter()
            .find(|policy| policy.resource_name == resource.name());
        current.get(resource) != desired.get(resource)
            && policy.is_some_and(|policy| policy.restart_policy == "RestartContainer")
    };
    if Resource::ALL.into_iter().any(restarts) {
        Need::Restart
    } else {
        Need::InPlace(Change { current, desired })
    }
}

/// Containers of the pod that run without what the pod was given, or the pod itself.
pub fn in_progress(spec: &Pod, state: &PodState, actuated: &PodResources) -> bool {
    let unmet = |container: &Container| need(spec, container, actuated) != Need::Nothing;
    running(spec, state).any(|(container, _)| unmet(container)) || pod_differs(spec, actuated)
}

fn running<'a>(
    spec: &'a Pod,
    state: &'a PodState,
) -> impl Iterator<Item = (&'a Container, &'a ContainerStatus)> {
    resizable(spec)
        .filter_map(|container| Some((container, state.find(&container.name)?)))
        .filter(|(_, status)| status.state == ContainerState::Running)
}

fn pod_differs(spec: &Pod, actuated: &PodResources) -> bool {
    let compute = |resources: Option<&ResourceRequirements>| resources.map(Compute::of).unwrap_or_default();
    !actuated.containers.is_empty()
        && compute(spec.spec.resources.as_deref()) != compute(actuated.pod.as_ref())
}

/// A running container that is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub name: String,
    pub id: String,
    pub change: Change,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of carrying out: who gets less gives before others get more.
    pub memory: Vec<Update>,
    pub cpu: Vec<Update>,
    /// The pod's group has to follow even if no container is updated.
    pub pod: bool,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && self.cpu.is_empty() && !self.pod
    }

    pub fn updates(&self, resource: Resource) -> &[Update] {
        match resource {
            Resource::Memory => &self.memory,
            Resource::Cpu => &self.cpu,
        }
    }
}

/// `ends` says which containers are about to be killed for whatever reason.
pub fn plan(spec: &Pod, state: &PodState, actuated: &PodResources, ends: impl Fn(&str) -> bool) -> Plan {
    let mut plan = Plan {
        pod: pod_differs(spec, actuated),
        ..Plan::default()
    };
    let mut updates = Vec::new();
    for (container, status) in running(spec, state) {
        match need(spec, container, actuated) {
            Need::Nothing => {}
            Need::Restart => plan.pod = true,
            Need::InPlace(_) if ends(&status.id) => {}
            Need::InPlace(change) => updates.push(Update {
                name: container.name.clone(),
                id: status.id.clone(),
                change,
            }),
        }
    }
    plan.memory = ordered(&updates, Resource::Memory);
    plan.cpu = ordered(&updates, Resource::Cpu);
    plan
}

fn ordered(updates: &[Update], resource: Resource) -> Vec<Update> {
    let grows = |update: &Update| {
        let (current, desired) = (
            update.change.current.get(resource),
            update.change.desired.get(resource),
        );
        if current.limit == desired.limit {
            desired.request > current.request
        } else {
            desired.limit > current.limit
        }
    };
    let differs =
        |update: &&Update| update.change.current.get(resource) != update.change.desired.get(resource);
    let mut chosen: Vec<Update> = updates.iter().filter(differs).cloned().collect();
    chosen.sort_by_key(grows);
    chosen
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    PodLimit(Resource),
    PodShares,
    Containers(Resource),
}

/// The pod's group grows before its containers and shrinks after them, so that they always fit into it; limits grow
/// before requests and shrink after them. `current` is what the group has, if the pod has a group.
pub fn steps(plan: &Plan, current: Option<&GroupLimits>, wanted: &GroupLimits) -> Vec<Step> {
    let mut steps = Vec::new();
    for resource in Resource::ALL {
        if !plan.pod && plan.updates(resource).is_empty() {
            continue;
        }
        // A limit that isn't there is above any other; limits can't be taken away.
        let limits = current.and_then(|current| {
            let (old, new) = match resource {
                Resource::Memory => (current.memory_bytes, wanted.memory_bytes),
                Resource::Cpu => (current.cpu_quota_us, wanted.cpu_quota_us),
            };
            Some((old.unwrap_or(i64::MAX), new?))
        });
        let shares = current.and_then(|current| Some((current.cpu_shares?, wanted.cpu_shares?)));
        let shares = shares.filter(|_| resource == Resource::Cpu);
        let all = [
            (
                limits.is_some_and(|(old, new)| new > old),
                Step::PodLimit(resource),
            ),
            (shares.is_some_and(|(old, new)| new > old), Step::PodShares),
            (!plan.updates(resource).is_empty(), Step::Containers(resource)),
            (shares.is_some_and(|(old, new)| new < old), Step::PodShares),
            (
                limits.is_some_and(|(old, new)| new < old),
                Step::PodLimit(resource),
            ),
        ];
        steps.extend(all.into_iter().filter(|(due, _)| *due).map(|(_, step)| step));
    }
    steps
}

/// The bytes that a pod and its containers use, as far as that could be measured.
#[derive(Debug, Clone, Default)]
pub struct MemoryUse {
    pub pod: Option<u64>,
    pub containers: BTreeMap<String, u64>,
}

/// The containers whose memory is going to be limited more tightly, with the new limits.
pub fn shrinking(plan: &Plan) -> impl Iterator<Item = (&str, i64)> {
    plan.memory.iter().filter_map(|update| {
        let (current, desired) = (
            update.change.current.memory.limit,
            update.change.desired.memory.limit,
        );
        let tighter = desired != 0 && (current == 0 || desired < current);
        tighter.then_some((update.name.as_str(), desired))
    })
}

/// Whether the pod's memory is going to be limited more tightly, and to what.
pub fn pod_shrinks(plan: &Plan, current: Option<&GroupLimits>, wanted: &GroupLimits) -> Option<i64> {
    if plan.memory.is_empty() && !plan.pod {
        return None;
    }
    let old = current?.memory_bytes;
    wanted.memory_bytes.filter(|new| old.is_none_or(|old| *new < old))
}

/// Memory in use can't be taken away without killing somebody.
pub fn refusal(plan: &Plan, pod_limit: Option<i64>, used: &MemoryUse) -> Option<String> {
    let above = |used: u64, limit: i64| i64::try_from(used).unwrap_or(i64::MAX) >= limit;
    let mut errors = Vec::new();
    if let Some(limit) = pod_limit {
        match used.pod {
            None => errors.push("missing pod memory usage".to_owned()),
            Some(used) if above(used, limit) => errors.push(format!(
                "attempting to set pod memory limit ({limit}) below current usage ({used})"
            )),
            Some(_) => {}
        }
    }
    for (name, limit) in shrinking(plan) {
        match used.containers.get(name) {
            None => errors.push(format!("missing container {name:?} memory usage")),
            Some(used) if above(*used, limit) => errors.push(format!(
                "attempting to set container {name:?} memory limit ({limit}) below current usage ({used})"
            )),
            Some(_) => {}
        }
    }
    let words = match errors.as_slice() {
        [] => return None,
        [only] => only.clone(),
        all => format!("[{}]", all.join(", ")),
    };
    Some(format!("cannot decrease memory limits: {words}"))
}

#[cfg(test)]
mod tests;
