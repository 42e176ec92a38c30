//! What the owner of an evicted pod is told. Pure.

use super::{
    load::PodLoad,
    signal::{Observations, Resource},
    threshold::Threshold,
};
use apimachinery::quantity::{Format, Quantity};

fn quantity(count: u64, resource: Resource) -> Quantity {
    let format = match resource {
        Resource::Memory | Resource::EphemeralStorage => Format::BinarySi,
        Resource::Inodes | Resource::Pids => Format::DecimalSi,
    };
    Quantity::from_i64(i64::try_from(count).unwrap_or(i64::MAX), format)
}

pub fn message(
    load: &PodLoad,
    resource: Resource,
    starved: &[Threshold],
    observations: &Observations,
) -> String {
    let mut text = format!("The node was low on resource: {}. ", resource.as_str());
    let observed = starved
        .iter()
        .filter(|threshold| threshold.signal.resource() == resource)
        .find_map(|threshold| Some((threshold, observations.get(&threshold.signal)?)));
    if let Some((threshold, observed)) = observed {
        text += &format!(
            "Threshold quantity: {}, available: {}. ",
            threshold.amount.of(observed.capacity),
            quantity(observed.available, resource)
        );
    }
    for (name, used, request) in exceeding(load, resource) {
        let used = quantity(used, resource);
        text += &format!(
            "Container {name} was using {used}, request is {request}, has larger consumption of {}. ",
            resource.as_str()
        );
    }
    text
}

/// Containers that use more than they asked for: name, use and request.
fn exceeding(load: &PodLoad, resource: Resource) -> Vec<(String, u64, String)> {
    let spec = &load.pod.spec;
    let exceeds = |measured: &super::load::ContainerLoad| {
        let used = match resource {
            Resource::Memory => measured.memory_bytes,
            Resource::EphemeralStorage => measured.rootfs.bytes + measured.logs.bytes,
            Resource::Inodes | Resource::Pids => return None,
        };
        let mut declared = spec.containers.iter().chain(&spec.init_containers);
        let declared = declared.find(|container| container.name == measured.name)?;
        let request = declared.resources.requests.get(resource.as_str());
        let request = request.cloned().unwrap_or_default();
        (i128::from(used) > i128::from(request.value()))
            .then(|| (measured.name.clone(), used, request.to_string()))
    };
    load.containers.iter().filter_map(exceeds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        eviction::{
            load::ContainerLoad,
            signal::{Observation, Signal},
            threshold,
        },
    };
    use api::{Message, core::v1::Pod};
    use std::sync::Arc;

    #[test]
    fn upstream_s_words() {
        let pod = br#"{"spec":{"containers":[{"name":"a"},
            {"name":"b","resources":{"requests":{"memory":"1Gi"}}}]}}"#;
        let container = |name: &str, memory_bytes| ContainerLoad {
            name: name.into(),
            memory_bytes,
            ..ContainerLoad::default()
        };
        let load = PodLoad {
            pod: Arc::new(Pod::from_json(pod).unwrap()),
            containers: vec![container("a", 12 << 10), container("b", 1 << 20)],
            ..PodLoad::default()
        };
        let starved = threshold::all(&Config::default()).unwrap();
        let memory = starved
            .into_iter()
            .filter(|threshold| threshold.signal == Signal::MemoryAvailable);
        let observed = Observation {
            available: 50 << 10,
            capacity: 8 << 30,
        };
        let observations = [(Signal::MemoryAvailable, observed)].into();
        let text = message(
            &load,
            Resource::Memory,
            &memory.collect::<Vec<_>>(),
            &observations,
        );
        assert_eq!(
            text,
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Ki. \
             Container a was using 12Ki, request is 0, has larger consumption of memory. "
        );
    }
}
