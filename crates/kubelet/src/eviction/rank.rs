//! Who goes first. Pure.

use super::{
    load::{FileSystem, Layout, PodLoad},
    signal::{Resource, Signal},
};
use std::cmp::Reverse;

/// Sorts pods: those to end first come first. Pods that use more than they asked for go before those that don't, less
/// important ones before more important ones, and of these the ones that use most beyond what they asked for.
pub fn rank(loads: &mut [PodLoad], signal: Signal, layout: Layout) {
    let resource = signal.resource();
    loads.sort_by_cached_key(|load| {
        let over = over_request(load, signal, layout);
        // Nobody is asked for how many processes it needs.
        let within = resource != Resource::Pids && load.is_measured && over <= 0;
        let priority = load.pod.spec.priority.unwrap_or(0);
        // A pod of which nothing is known goes first.
        (within, priority, load.is_measured, Reverse(over))
    });
}

/// What the pod uses beyond what it asked for.
fn over_request(load: &PodLoad, signal: Signal, layout: Layout) -> i128 {
    let requested = |name: &str| {
        let requests = api::pod_requests::spec_requests(&load.pod);
        requests
            .get(name)
            .map_or(0, |quantity| i128::from(quantity.value()))
    };
    let system = match signal {
        Signal::NodefsAvailable | Signal::NodefsInodesFree => FileSystem::Node,
        _ => FileSystem::Image,
    };
    match signal.resource() {
        Resource::Memory => i128::from(load.memory_bytes) - requested("memory"),
        Resource::Pids => i128::from(load.processes),
        Resource::EphemeralStorage => {
            let used = load.files(system, layout).of(Resource::EphemeralStorage);
            i128::from(used) - requested("ephemeral-storage")
        }
        Resource::Inodes => i128::from(load.files(system, layout).of(Resource::Inodes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eviction::load::{ContainerLoad, Files};
    use api::{Message, core::v1::Pod};
    use std::sync::Arc;

    fn load(name: &str, priority: i32, request: &str, memory: u64) -> PodLoad {
        let pod = format!(
            r#"{{"metadata":{{"name":"{name}"}},"spec":{{"priority":{priority},"containers":[{{"name":"a",
            "resources":{{"requests":{{"memory":"{request}"}}}}}}]}}}}"#
        );
        PodLoad {
            pod: Arc::new(Pod::from_json(pod.as_bytes()).unwrap()),
            is_measured: true,
            memory_bytes: memory,
            ..PodLoad::default()
        }
    }

    fn order(mut loads: Vec<PodLoad>, signal: Signal) -> Vec<String> {
        rank(&mut loads, signal, Layout::Dedicated);
        loads.iter().map(|load| load.pod.metadata.name.clone()).collect()
    }

    #[test]
    fn by_memory() {
        let loads = vec![
            load("within", 0, "100", 90),
            load("important", 1000, "100", 900),
            load("little-over", 0, "100", 110),
            load("much-over", 0, "500", 600),
        ];
        assert_eq!(
            order(loads, Signal::MemoryAvailable),
            ["much-over", "little-over", "important", "within"]
        );
    }

    #[test]
    fn by_processes_and_by_what_lies_on_the_file_system() {
        let mut few = load("few", 0, "0", 0);
        few.processes = 1;
        few.containers = vec![ContainerLoad {
            rootfs: Files {
                bytes: 100,
                inodes: 1,
            },
            ..ContainerLoad::default()
        }];
        let mut many = load("many", 0, "0", 0);
        many.processes = 9;
        many.volumes.insert("v".into(), Files { bytes: 9, inodes: 9 });
        let loads = || vec![few.clone(), many.clone()];
        assert_eq!(order(loads(), Signal::PidAvailable), ["many", "few"]);
        assert_eq!(order(loads(), Signal::NodefsAvailable), ["many", "few"]);
        assert_eq!(order(loads(), Signal::ImagefsAvailable), ["few", "many"]);
        assert_eq!(order(loads(), Signal::NodefsInodesFree), ["many", "few"]);
    }
}
