use super::*;
use crate::resize::allocation;
use expect_test::{Expect, expect};

/// Containers as `name cpu memory [policy]`, requests and limits alike, from what they have to what they get.
fn check(
    containers: &[(&str, [&str; 2], [&str; 2], &str)],
    group: Option<(i64, u64, i64)>,
    expected: Expect,
) {
    let pod = |which: usize| {
        let mut pod = Pod::default();
        for (name, from, to, policy) in containers {
            let amounts = [from, to][which];
            let mut container = Container {
                name: (*name).into(),
                ..Container::default()
            };
            for (resource, amount) in ["cpu", "memory"].into_iter().zip(amounts) {
                let quantity = Quantity::parse(amount).unwrap();
                container
                    .resources
                    .limits
                    .insert(resource.into(), quantity.clone());
                container.resources.requests.insert(resource.into(), quantity);
            }
            container.resize_policy = vec![api::core::v1::ContainerResizePolicy {
                resource_name: (*policy).into(),
                restart_policy: "RestartContainer".into(),
            }];
            pod.spec.containers.push(container);
        }
        pod
    };
    let state = PodState {
        containers: containers
            .iter()
            .map(|(name, ..)| ContainerStatus {
                id: format!("{name}-id"),
                name: (*name).into(),
                state: ContainerState::Running,
                ..ContainerStatus::default()
            })
            .collect(),
        ..PodState::default()
    };
    let (old, new) = (pod(0), pod(1));
    let plan = plan(&new, &state, &allocation::of(&old), |_| false);
    assert_eq!(in_progress(&new, &state, &allocation::of(&old)), !plan.is_empty());
    let policy = crate::cgroup::resources::Policy {
        enforce_cpu_quota: true,
        cpu_period_us: 100_000,
        pod_pids_limit: -1,
    };
    let current = group.map(|(quota, shares, memory)| GroupLimits {
        cpu_quota_us: Some(quota).filter(|quota| *quota > 0),
        cpu_shares: Some(shares),
        memory_bytes: Some(memory),
        ..GroupLimits::default()
    });
    let wanted = crate::cgroup::resources::for_pod(&new, policy);
    let lines: Vec<String> = steps(&plan, current.as_ref(), &wanted)
        .into_iter()
        .map(|step| match step {
            Step::PodLimit(resource) => format!("pod limit {}", resource.name()),
            Step::PodShares => "pod shares".to_owned(),
            Step::Containers(resource) => {
                let names = plan.updates(resource).iter().map(|update| update.name.as_str());
                format!("{} of {}", resource.name(), names.collect::<Vec<_>>().join(" "))
            }
        })
        .collect();
    expected.assert_eq(&lines.join("; "));
}

#[test]
fn the_pod_grows_first() {
    check(
        &[
            ("a", ["100m", "64Mi"], ["200m", "128Mi"], ""),
            ("b", ["100m", "64Mi"], ["50m", "32Mi"], ""),
        ],
        Some((20_000, 204, 128 << 20)),
        expect!["pod limit memory; memory of b a; pod limit cpu; pod shares; cpu of b a"],
    );
}

#[test]
fn the_pod_shrinks_last() {
    check(
        &[("a", ["100m", "64Mi"], ["50m", "32Mi"], "")],
        Some((10_000, 102, 64 << 20)),
        expect!["memory of a; pod limit memory; cpu of a; pod shares; pod limit cpu"],
    );
    check(
        &[("a", ["100m", "64Mi"], ["50m", "64Mi"], "")],
        Some((-1, 102, 64 << 20)),
        expect!["cpu of a; pod shares; pod limit cpu"],
    );
}

#[test]
fn a_container_that_restarts_leaves_the_pod_to_change() {
    check(
        &[("a", ["100m", "64Mi"], ["100m", "128Mi"], "memory")],
        Some((10_000, 102, 64 << 20)),
        expect!["pod limit memory"],
    );
    check(
        &[("a", ["100m", "64Mi"], ["100m", "64Mi"], "memory")],
        Some((10_000, 102, 64 << 20)),
        expect![""],
    );
    check(
        &[("a", ["100m", "64Mi"], ["200m", "64Mi"], "memory")],
        None,
        expect!["cpu of a"],
    );
}

#[test]
fn memory_in_use_stays() {
    let change = |current, desired| Change {
        current: Compute {
            memory: Amounts {
                request: 0,
                limit: current,
            },
            ..Compute::default()
        },
        desired: Compute {
            memory: Amounts {
                request: 0,
                limit: desired,
            },
            ..Compute::default()
        },
    };
    let plan = Plan {
        memory: vec![
            Update {
                name: "a".into(),
                id: String::new(),
                change: change(100, 50),
            },
            Update {
                name: "b".into(),
                id: String::new(),
                change: change(100, 200),
            },
        ],
        ..Plan::default()
    };
    let used = |pod, a| MemoryUse {
        pod: Some(pod),
        containers: [("a".to_owned(), a)].into(),
    };
    assert_eq!(refusal(&plan, Some(80), &used(60, 40)), None);
    assert_eq!(
        refusal(&plan, None, &used(60, 50)).unwrap(),
        "cannot decrease memory limits: attempting to set container \"a\" memory limit (50) below current usage (50)"
    );
    assert_eq!(
        refusal(&plan, Some(80), &MemoryUse::default()).unwrap(),
        "cannot decrease memory limits: [missing pod memory usage, missing container \"a\" memory usage]"
    );
}
