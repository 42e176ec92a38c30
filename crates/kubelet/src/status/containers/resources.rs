//! The resources that a container's status shows: what the runtime says, else what the container was given.

use crate::{
    cgroup::resources::MIN_SHARES,
    runtime::state::{ContainerState, ContainerStatus as RuntimeStatus},
};
use api::core::v1::{Container, ContainerStatus, ResourceRequirements};
use apimachinery::quantity::{Format, Quantity};
use std::collections::BTreeMap;

/// The least time that the kernel takes as a limit, in thousandths of a processor.
const MIN_CPU_LIMIT: i64 = 10;
/// The least shares are those of any request up to so many thousandths of a processor.
const MIN_CPU_REQUEST: i64 = MIN_SHARES as i64;

/// `container` is as allocated.
pub(super) fn reported(
    container: &Container,
    seen: &RuntimeStatus,
    id: &str,
    old: Option<&ContainerStatus>,
) -> ResourceRequirements {
    let mut resources = container.resources.clone();
    if seen.state != ContainerState::Running {
        return resources;
    }
    let old = old
        .filter(|old| old.state.running.is_some() && old.container_id == id)
        .and_then(|old| old.resources.as_deref());
    let given = seen.resources;
    let limits = [
        ("cpu", given.cpu_limit, MIN_CPU_LIMIT),
        ("memory", given.memory_limit, 0),
    ];
    let requests = [
        ("cpu", given.cpu_request, MIN_CPU_REQUEST),
        ("memory", given.memory_request, 0),
    ];
    report(&mut resources.limits, &limits, old.map(|old| &old.limits));
    report(&mut resources.requests, &requests, old.map(|old| &old.requests));
    resources
}

/// Below the least that the kernel takes, what was asked for is shown; what is not known stays as it was.
fn report(
    list: &mut BTreeMap<String, Quantity>,
    given: &[(&str, Option<i64>, i64)],
    old: Option<&BTreeMap<String, Quantity>>,
) {
    if list.is_empty() {
        return;
    }
    for &(name, amount, least) in given {
        let shown = match amount {
            Some(amount) => {
                let allocated = list.get(name).map_or(0, Quantity::milli_value);
                let told = name != "cpu" || amount > least || allocated > least;
                told.then(|| match name {
                    "cpu" => Quantity::from_milli(amount, Format::DecimalSi),
                    _ => Quantity::from_i64(amount, Format::BinarySi),
                })
            }
            None => old.and_then(|old| old.get(name)).cloned(),
        };
        list.extend(shown.map(|amount| (name.to_owned(), amount)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::state::Given;
    use api::Message;

    fn check(allocated: &str, given: Given, expected: &str) {
        let container = Container {
            resources: ResourceRequirements::from_json(allocated.as_bytes()).unwrap(),
            ..Container::default()
        };
        let seen = RuntimeStatus {
            state: ContainerState::Running,
            resources: given,
            ..RuntimeStatus::default()
        };
        let shown = reported(&container, &seen, "id", None);
        assert_eq!(String::from_utf8(shown.to_json()).unwrap(), expected);
    }

    #[test]
    fn what_the_runtime_says() {
        let given = Given {
            cpu_request: Some(20),
            cpu_limit: Some(30),
            memory_request: Some(1 << 20),
            memory_limit: Some(2 << 20),
        };
        check(
            r#"{"limits":{"cpu":"50m","memory":"4Mi"},"requests":{"cpu":"40m","memory":"3Mi"}}"#,
            given,
            r#"{"limits":{"cpu":"30m","memory":"2Mi"},"requests":{"cpu":"20m","memory":"1Mi"}}"#,
        );
        let least = Given {
            cpu_request: Some(2),
            cpu_limit: Some(10),
            ..Given::default()
        };
        check(
            r#"{"limits":{"cpu":"5m"},"requests":{"cpu":"1m"}}"#,
            least,
            r#"{"limits":{"cpu":"5m"},"requests":{"cpu":"1m"}}"#,
        );
        check("{}", given, "{}");
    }
}
