//! The quality-of-service class of a pod. Upstream: `pkg/apis/core/v1/helper/qos`.

use crate::core::v1::{Container, Pod, ResourceRequirements};
use apimachinery::quantity::Quantity;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl Class {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}

/// The resources that decide.
const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// The class by requests and limits of the whole pod if it has them, of its containers otherwise.
pub fn class(pod: &Pod) -> Class {
    let mut totals = Totals::default();
    let mut every_limit_set = true;
    match pod
        .spec
        .resources
        .as_deref()
        .filter(|resources| sets_compute(resources))
    {
        Some(resources) => every_limit_set &= totals.add(resources),
        None => {
            for container in containers(pod) {
                every_limit_set &= totals.add(&container.resources);
            }
        }
    }
    if totals.requests.is_empty() && totals.limits.is_empty() {
        return Class::BestEffort;
    }
    if every_limit_set && totals.requests == totals.limits {
        Class::Guaranteed
    } else {
        Class::Burstable
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.containers.iter().chain(&pod.spec.init_containers)
}

fn sets_compute(resources: &ResourceRequirements) -> bool {
    COMPUTE
        .iter()
        .any(|name| resources.requests.contains_key(*name) || resources.limits.contains_key(*name))
}

#[derive(Default)]
struct Totals {
    requests: BTreeMap<&'static str, Quantity>,
    limits: BTreeMap<&'static str, Quantity>,
}

impl Totals {
    /// Adds what is above zero; says whether all limits were set.
    fn add(&mut self, resources: &ResourceRequirements) -> bool {
        let mut limits = 0;
        for name in COMPUTE {
            if let Some(request) = resources
                .requests
                .get(name)
                .filter(|quantity| quantity.sign() > 0)
            {
                self.requests.entry(name).or_default().add(request);
            }
            if let Some(limit) = resources.limits.get(name).filter(|quantity| quantity.sign() > 0) {
                self.limits.entry(name).or_default().add(limit);
                limits += 1;
            }
        }
        limits == COMPUTE.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Amounts by resource.
    type Amounts<'a> = &'a [(&'a str, &'a str)];

    fn check(containers: &[(Amounts<'_>, Amounts<'_>)], expected: Class) {
        let list = |pairs: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
            pairs
                .iter()
                .map(|(name, amount)| ((*name).to_owned(), Quantity::parse(amount).unwrap()))
                .collect()
        };
        let mut pod = Pod::default();
        for (requests, limits) in containers {
            let mut container = Container::default();
            container.resources.requests = list(requests);
            container.resources.limits = list(limits);
            pod.spec.containers.push(container);
        }
        assert_eq!(class(&pod), expected, "{containers:?}");
    }

    #[test]
    fn classes() {
        let full: &[(&str, &str)] = &[("cpu", "1"), ("memory", "1Gi")];
        check(&[(&[], &[])], Class::BestEffort);
        check(&[(&[("cpu", "0")], &[])], Class::BestEffort);
        check(
            &[(&[("example.com/gpu", "1")], &[("example.com/gpu", "1")])],
            Class::BestEffort,
        );
        check(&[(full, full)], Class::Guaranteed);
        check(
            &[(full, &[("cpu", "1000m"), ("memory", "1024Mi")])],
            Class::Guaranteed,
        );
        check(&[(full, full), (&[], &[])], Class::Burstable);
        check(&[(&[("cpu", "1")], &[])], Class::Burstable);
        check(&[(&[("cpu", "1"), ("memory", "1Mi")], full)], Class::Burstable);
    }
}
