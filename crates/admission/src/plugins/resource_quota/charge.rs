//! What a request costs a quota.

use api::core::v1::{Pod, ResourceQuota};
use api::quota::{Counted, ResourceList, add, exceeded, mask, negative, subtract_to_zero, without_zeros};
use apimachinery::time::Time;

use crate::Review;

/// The quota's usage with the request in it; `None` if the request costs nothing; the refusal if it costs
/// too much.
pub(super) fn charge(
    quota: &ResourceQuota,
    object: Counted<'_>,
    old: Option<Counted<'_>>,
    now: Time,
) -> Result<Option<ResourceList>, String> {
    if !object.matches(quota) {
        return Ok(None);
    }
    let name = &quota.metadata.name;
    let (hard, used) = (&quota.status.hard, &quota.status.used);
    let limited = object.matching(hard.keys());
    if let Some(missing) = object.missing(&limited) {
        return Err(format!("failed quota: {name}: {missing}"));
    }
    if limited.iter().any(|resource| !used.contains_key(resource)) {
        return Err(format!(
            "status unknown for quota: {name}, resources: {}",
            limited.join(",")
        ));
    }
    let usage = object.usage(now);
    let below_zero = negative(&usage);
    if !below_zero.is_empty() {
        return Err(format!(
            "quota usage is negative for resource(s): {}",
            below_zero.join(",")
        ));
    }
    // An object that the quota did not count before costs all that it uses.
    let before = old.filter(|old| old.matches(quota)).map(|old| old.usage(now));
    let cost = match before {
        Some(before) => subtract_to_zero(&usage, &before),
        None => usage,
    };
    let requested = mask(&without_zeros(cost), hard.keys());
    if requested.is_empty() {
        return Ok(None);
    }
    let mut after = used.clone();
    add(&mut after, &requested);
    let over = exceeded(&mask(&after, requested.keys()), hard);
    if !over.is_empty() {
        let print = |list: &ResourceList| {
            mask(list, &over)
                .iter()
                .map(|(name, quantity)| format!("{name}={quantity}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let (requested, used, limited) = (print(&requested), print(used), print(hard));
        return Err(format!(
            "exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
        ));
    }
    Ok(Some(after))
}

/// Did the pod get a deadline, or lose it? That moves it between scopes.
pub(super) fn scope_changed(review: &Review<'_>) -> bool {
    let terminating = |pod: &Pod| {
        pod.spec
            .active_deadline_seconds
            .is_some_and(|seconds| seconds >= 0)
    };
    match (review.object_as::<Pod>(), review.old_as::<Pod>()) {
        (Some(new), Some(old)) => terminating(new) != terminating(old),
        _ => false,
    }
}
