//! The arithmetic of limit ranges.

use std::collections::BTreeMap;

use api::core::v1::{Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod};
use api::pod_requests::{pod_limits, spec_requests};
use apimachinery::quantity::Quantity;

type ResourceList = BTreeMap<String, Quantity>;

const CONTAINER: &str = "Container";
const POD: &str = "Pod";
const CLAIM: &str = "PersistentVolumeClaim";
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives containers the default requests and limits where they state none, and says so in an annotation.
pub(super) fn set_defaults(range: &LimitRange, pod: &mut Pod) {
    let (mut requests, mut limits) = (ResourceList::new(), ResourceList::new());
    for item in range.spec.limits.iter().filter(|item| item.type_ == CONTAINER) {
        requests.extend(item.default_request.clone());
        limits.extend(item.default.clone());
    }
    let mut said = Vec::new();
    for container in &mut pod.spec.containers {
        said.extend(fill(container, "container", &requests, &limits));
    }
    for container in &mut pod.spec.init_containers {
        said.extend(fill(container, "init container", &requests, &limits));
    }
    if !said.is_empty() {
        let text = format!("LimitRanger plugin set: {}", said.join("; "));
        pod.metadata.annotations.insert(ANNOTATION.to_owned(), text);
    }
}

fn fill(
    container: &mut Container,
    what: &str,
    requests: &ResourceList,
    limits: &ResourceList,
) -> Vec<String> {
    let limits_set = add_missing(&mut container.resources.limits, limits);
    let requests_set = add_missing(&mut container.resources.requests, requests);
    let say = |set: Vec<String>, kind: &str| {
        (!set.is_empty()).then(|| format!("{} {kind} for {what} {}", set.join(", "), container.name))
    };
    say(requests_set, "request")
        .into_iter()
        .chain(say(limits_set, "limit"))
        .collect()
}

/// The names that were added, in order.
fn add_missing(to: &mut ResourceList, defaults: &ResourceList) -> Vec<String> {
    let mut added = Vec::new();
    for (name, quantity) in defaults {
        if !to.contains_key(name) {
            to.insert(name.clone(), quantity.clone());
            added.push(name.clone());
        }
    }
    added
}

pub(super) fn check_pod(range: &LimitRange, pod: &Pod) -> Vec<String> {
    let mut refusals = Vec::new();
    for item in &range.spec.limits {
        match item.type_.as_str() {
            CONTAINER => {
                for container in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
                    let Container { resources, .. } = container;
                    refusals.extend(check_item(item, &resources.requests, &resources.limits));
                }
            }
            POD => refusals.extend(check_item(item, &spec_requests(pod), &pod_limits(pod))),
            _ => {}
        }
    }
    refusals
}

/// A claim has requests only.
pub(super) fn check_claim(range: &LimitRange, claim: &PersistentVolumeClaim) -> Vec<String> {
    let requests = &claim.spec.resources.requests;
    let mut refusals = Vec::new();
    for item in range.spec.limits.iter().filter(|item| item.type_ == CLAIM) {
        let bound = |list| Bound { of: item, list };
        refusals
            .extend(bound(&item.min).each(|of, name, min| minimum(of, name, min, requests.get(name), None)));
        refusals.extend(
            bound(&item.max).each(|of, name, max| maximum_request(of, name, max, requests.get(name))),
        );
    }
    refusals
}

fn check_item(item: &LimitRangeItem, requests: &ResourceList, limits: &ResourceList) -> Vec<String> {
    let bound = |list| Bound { of: item, list };
    let mut refusals =
        bound(&item.min).each(|of, name, min| minimum(of, name, min, requests.get(name), limits.get(name)));
    refusals.extend(
        bound(&item.max).each(|of, name, max| maximum(of, name, max, requests.get(name), limits.get(name))),
    );
    let ratios = bound(&item.max_limit_request_ratio);
    refusals.extend(ratios.each(|of, name, max| ratio(of, name, max, requests.get(name), limits.get(name))));
    refusals
}

/// One list of a range's item.
struct Bound<'a> {
    of: &'a LimitRangeItem,
    list: &'a ResourceList,
}

impl Bound<'_> {
    fn each(&self, check: impl Fn(&str, &str, &Quantity) -> Option<String>) -> Vec<String> {
        self.list
            .iter()
            .filter_map(|(name, quantity)| check(&self.of.type_, name, quantity))
            .collect()
    }
}

fn minimum(
    of: &str,
    name: &str,
    min: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("minimum {name} usage per {of} is {min}");
    match (request, limit) {
        (None, _) => Some(format!("{head}.  No request is specified")),
        (Some(request), _) if request < min => Some(format!("{head}, but request is {request}")),
        (_, Some(limit)) if limit < min => Some(format!("{head}, but limit is {limit}")),
        _ => None,
    }
}

fn maximum_request(of: &str, name: &str, max: &Quantity, request: Option<&Quantity>) -> Option<String> {
    let head = format!("maximum {name} usage per {of} is {max}");
    match request {
        None => Some(format!("{head}.  No request is specified")),
        Some(request) if request > max => Some(format!("{head}, but request is {request}")),
        Some(_) => None,
    }
}

fn maximum(
    of: &str,
    name: &str,
    max: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("maximum {name} usage per {of} is {max}");
    match (limit, request) {
        (None, _) => Some(format!("{head}.  No limit is specified")),
        (Some(limit), _) if limit > max => Some(format!("{head}, but limit is {limit}")),
        (_, Some(request)) if request > max => Some(format!("{head}, but request is {request}")),
        _ => None,
    }
}

fn ratio(
    of: &str,
    name: &str,
    max: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {of} is {max}");
    let Some(request) = request.filter(|request| !request.is_zero()) else {
        return Some(format!("{head}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return Some(format!("{head}, but no limit is specified or limit is 0"));
    };
    let observed = limit.as_f64() / request.as_f64();
    (observed > max.as_f64()).then(|| format!("{head}, but provided ratio is {observed:.6}"))
}
