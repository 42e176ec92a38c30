//! Requests and limits as the kernel takes them. Upstream: `cm/helpers_linux.go`, `qos/policy.go`.

use crate::pod;
use api::{
    core::v1::{Container, Pod, ResourceRequirements},
    qos,
};
use apimachinery::quantity::Quantity;
use cri_api::v1::{HugepageLimit, LinuxContainerResources};
use std::collections::BTreeMap;

pub const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;
const SHARES_PER_CPU: i64 = 1024;
const MIN_QUOTA_US: i64 = 1000;
pub const DEFAULT_PERIOD_US: i64 = 100_000;

/// The scores by which the kernel chooses whom to kill when memory is out.
const GUARANTEED_OOM_SCORE: i64 = -997;
const BEST_EFFORT_OOM_SCORE: i64 = 1000;

type List = BTreeMap<String, Quantity>;

pub fn shares(milli_cpu: i64) -> u64 {
    u64::try_from(milli_cpu.saturating_mul(SHARES_PER_CPU) / 1000)
        .unwrap_or(0)
        .clamp(MIN_SHARES, MAX_SHARES)
}

/// The time in microseconds that a period allows; nothing without a limit.
pub fn quota(milli_cpu: i64, period_us: i64) -> Option<i64> {
    (milli_cpu > 0).then(|| (milli_cpu.saturating_mul(period_us) / 1000).max(MIN_QUOTA_US))
}

/// Version 2 weighs from 1 to 10000 what version 1 shares from 2 to 262144. The curve is that of runc 1.1, which
/// the runtime applies to containers: pods and their containers have to agree.
pub fn weight_of_shares(shares: u64) -> u64 {
    if shares == 0 {
        0
    } else {
        1 + ((shares.clamp(MIN_SHARES, MAX_SHARES) - 2) * 9999) / 262_142
    }
}

/// The least shares of which [`weight_of_shares`] makes this weight.
pub fn shares_of_weight(weight: u64) -> u64 {
    2 + (weight.clamp(1, 10_000) - 1)
        .saturating_mul(262_142)
        .div_ceil(9999)
}

/// The thousandths of a processor that shares stand for, rounded up.
pub fn milli_of_shares(shares: i64) -> i64 {
    if shares < 2 {
        0
    } else {
        shares.saturating_mul(1000).saturating_add(SHARES_PER_CPU - 1) / SHARES_PER_CPU
    }
}

fn milli(list: &List) -> Option<i64> {
    list.get("cpu").map(Quantity::milli_value)
}

fn memory(list: &List) -> Option<i64> {
    list.get("memory").map(Quantity::value).filter(|bytes| *bytes > 0)
}

/// What a pod's group is set to; fields without a value stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupLimits {
    pub cpu_shares: Option<u64>,
    pub cpu_quota_us: Option<i64>,
    pub cpu_period_us: i64,
    pub memory_bytes: Option<i64>,
    pub pids: Option<i64>,
}

/// How the node enforces limits.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    pub enforce_cpu_quota: bool,
    pub cpu_period_us: i64,
    /// Unlimited when not positive.
    pub pod_pids_limit: i64,
}

/// The limits of a pod's own group. Upstream: `ResourceConfigForPod`.
pub fn for_pod(pod: &Pod, policy: Policy) -> GroupLimits {
    let requests = api::pod_requests::spec_requests(pod);
    let limits = api::pod_requests::pod_limits(pod);
    let request = milli(&requests).or_else(|| milli(&limits)).unwrap_or(0);
    let every_cpu_limited = every_container(pod, |resources| {
        milli(&resources.limits).is_some_and(|cpu| cpu > 0)
    });
    let every_memory_limited = every_container(pod, |resources| memory(&resources.limits).is_some());
    let mut result = GroupLimits {
        cpu_period_us: policy.cpu_period_us,
        pids: (policy.pod_pids_limit > 0).then_some(policy.pod_pids_limit),
        ..GroupLimits::default()
    };
    let quota = quota(milli(&limits).unwrap_or(0), policy.cpu_period_us).filter(|_| policy.enforce_cpu_quota);
    match qos::class(pod) {
        qos::Class::BestEffort => result.cpu_shares = Some(MIN_SHARES),
        qos::Class::Guaranteed => {
            result.cpu_shares = Some(shares(request));
            result.cpu_quota_us = quota;
            result.memory_bytes = memory(&limits);
        }
        qos::Class::Burstable => {
            result.cpu_shares = Some(shares(request));
            result.cpu_quota_us = quota.filter(|_| every_cpu_limited);
            result.memory_bytes = memory(&limits).filter(|_| every_memory_limited);
        }
    }
    result
}

fn every_container(pod: &Pod, limited: impl Fn(&ResourceRequirements) -> bool) -> bool {
    if pod.spec.resources.as_deref().is_some_and(&limited) {
        return true;
    }
    pod.spec
        .containers
        .iter()
        .chain(&pod.spec.init_containers)
        .all(|container| limited(&container.resources))
}

/// A container's resources as the runtime takes them. `huge_page_sizes` are those of the kernel, as `2MB`.
pub fn for_container(
    pod: &Pod,
    container: &Container,
    policy: Policy,
    node_memory: i64,
    huge_page_sizes: &[String],
) -> LinuxContainerResources {
    let own = &container.resources;
    let pod_limits = pod.spec.resources.as_deref().map(|resources| &resources.limits);
    let cpu_limit = milli(&own.limits).or_else(|| pod_limits.and_then(milli));
    let memory_limit = memory(&own.limits).or_else(|| pod_limits.and_then(memory));
    let mut result = linux(milli(&own.requests), cpu_limit, memory_limit, policy);
    result.oom_score_adj = oom_score(pod, container, node_memory);
    result.hugepage_limits = huge_page_sizes
        .iter()
        .map(|size| HugepageLimit {
            page_size: size.clone(),
            limit: huge_page_limit(&own.limits, size),
        })
        .collect();
    result
}

/// A sandbox's resources, for runtimes that size virtual machines by them: those of all containers together.
pub fn for_sandbox(pod: &Pod, policy: Policy) -> (LinuxContainerResources, LinuxContainerResources) {
    let mut bare = pod.clone();
    bare.spec.overhead.clear();
    let requests = api::pod_requests::spec_requests(&bare);
    let limits = api::pod_requests::pod_limits(&bare);
    let overhead = &pod.spec.overhead;
    let overhead = if overhead.is_empty() {
        LinuxContainerResources::default()
    } else {
        linux(milli(overhead), milli(overhead), memory(overhead), policy)
    };
    (
        linux(milli(&requests), milli(&limits), memory(&limits), policy),
        overhead,
    )
}

fn linux(
    request: Option<i64>,
    limit: Option<i64>,
    memory: Option<i64>,
    policy: Policy,
) -> LinuxContainerResources {
    let cpu = request.or(limit).unwrap_or(0);
    let mut result = LinuxContainerResources {
        cpu_shares: i64::try_from(shares(cpu)).unwrap_or(0),
        memory_limit_in_bytes: memory.unwrap_or(0),
        ..LinuxContainerResources::default()
    };
    if policy.enforce_cpu_quota {
        result.cpu_quota = quota(limit.unwrap_or(0), policy.cpu_period_us).unwrap_or(0);
        result.cpu_period = policy.cpu_period_us;
    }
    result
}

fn huge_page_limit(limits: &List, size: &str) -> u64 {
    let bytes = page_bytes(size);
    limits
        .iter()
        .filter_map(|(name, limit)| Some((Quantity::parse(name.strip_prefix("hugepages-")?).ok()?, limit)))
        .find(|(page, _)| u64::try_from(page.value()).ok() == bytes)
        .map_or(0, |(_, limit)| u64::try_from(limit.value()).unwrap_or(0))
}

fn page_bytes(size: &str) -> Option<u64> {
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &size[digits.len()..] {
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok().map(|count| count * unit)
}

/// The more memory a burstable container asked for, the later it is killed.
pub fn oom_score(pod: &Pod, container: &Container, node_memory: i64) -> i64 {
    if pod::is_node_critical(pod) {
        return GUARANTEED_OOM_SCORE;
    }
    match qos::class(pod) {
        qos::Class::Guaranteed => GUARANTEED_OOM_SCORE,
        qos::Class::BestEffort => BEST_EFFORT_OOM_SCORE,
        qos::Class::Burstable => {
            let request = container
                .resources
                .requests
                .get("memory")
                .map_or(0, Quantity::value);
            let score = 1000 - request.saturating_mul(1000) / node_memory.max(1);
            // Kept between the two other classes.
            if score < 1000 + GUARANTEED_OOM_SCORE {
                1000 + GUARANTEED_OOM_SCORE
            } else if score == BEST_EFFORT_OOM_SCORE {
                BEST_EFFORT_OOM_SCORE - 1
            } else {
                score
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    const POLICY: Policy = Policy {
        enforce_cpu_quota: true,
        cpu_period_us: DEFAULT_PERIOD_US,
        pod_pids_limit: -1,
    };

    fn pod(containers: &str) -> Pod {
        Pod::from_json(format!(r#"{{"spec":{{"containers":[{containers}]}}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn conversions() {
        assert_eq!(
            [shares(0), shares(1), shares(500), shares(2000), shares(i64::MAX)],
            [2, 2, 512, 2048, 262_144]
        );
        assert_eq!(
            [quota(0, 100_000), quota(5, 100_000), quota(1500, 100_000)],
            [None, Some(1000), Some(150_000)]
        );
        assert_eq!(
            [
                weight_of_shares(2),
                weight_of_shares(1024),
                weight_of_shares(262_144)
            ],
            [1, 39, 10_000]
        );
    }

    #[test]
    fn pod_groups_by_class() {
        let limits = for_pod(&pod(r#"{"name":"a"}"#), POLICY);
        assert_eq!(
            (limits.cpu_shares, limits.cpu_quota_us, limits.memory_bytes),
            (Some(2), None, None)
        );
        let limits = for_pod(
            &pod(
                r#"{"name":"a","resources":{"limits":{"cpu":"1","memory":"1Mi"},"requests":{"cpu":"1","memory":"1Mi"}}}"#,
            ),
            POLICY,
        );
        assert_eq!(
            (limits.cpu_shares, limits.cpu_quota_us, limits.memory_bytes),
            (Some(1024), Some(100_000), Some(1 << 20))
        );
        let partly =
            r#"{"name":"a","resources":{"limits":{"cpu":"1"},"requests":{"cpu":"500m"}}},{"name":"b"}"#;
        let limits = for_pod(&pod(partly), POLICY);
        assert_eq!(
            (limits.cpu_shares, limits.cpu_quota_us, limits.memory_bytes),
            (Some(512), None, None)
        );
    }

    #[test]
    fn containers() {
        let pod = pod(
            r#"{"name":"a","resources":{"limits":{"cpu":"250m","memory":"64Mi","hugepages-2Mi":"4Mi"}}}"#,
        );
        let sizes = ["2MB".to_owned(), "1GB".to_owned()];
        let result = for_container(&pod, &pod.spec.containers[0], POLICY, 8 << 30, &sizes);
        assert_eq!(
            (result.cpu_shares, result.cpu_quota, result.memory_limit_in_bytes),
            (256, 25_000, 64 << 20)
        );
        let limits: Vec<u64> = result.hugepage_limits.iter().map(|limit| limit.limit).collect();
        assert_eq!(limits, [4 << 20, 0]);
    }

    #[test]
    fn oom_scores() {
        let score = |container: &str| {
            let pod = pod(container);
            oom_score(&pod, &pod.spec.containers[0], 8 << 30)
        };
        assert_eq!(score(r#"{"name":"a"}"#), 1000);
        assert_eq!(score(r#"{"name":"a","resources":{"requests":{"cpu":"1"}}}"#), 999);
        assert_eq!(
            score(r#"{"name":"a","resources":{"requests":{"memory":"4Gi"}}}"#),
            500
        );
        assert_eq!(
            score(r#"{"name":"a","resources":{"requests":{"memory":"8Gi"}}}"#),
            3
        );
    }
}
