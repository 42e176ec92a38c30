//! How large replica sets may and must be. Pure.

use api::apps::v1::{Deployment, ReplicaSet};
use apimachinery::int_or_string::{IntOrString, Rounding};

/// What "no limit" looks like in fields that have one.
const UNLIMITED: i32 = i32::MAX;

pub fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

pub fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

pub fn is_rolling(deployment: &Deployment) -> bool {
    deployment.spec.strategy.type_ == "RollingUpdate"
}

pub fn has_progress_deadline(deployment: &Deployment) -> bool {
    deployment
        .spec
        .progress_deadline_seconds
        .is_some_and(|seconds| seconds != UNLIMITED)
}

pub fn revision_history_limit(deployment: &Deployment) -> Option<usize> {
    let limit = deployment
        .spec
        .revision_history_limit
        .filter(|limit| *limit != UNLIMITED)?;
    usize::try_from(limit).ok()
}

/// Surge and unavailability as numbers of pods. Both 0 would stand still: then one may be unavailable.
fn fenceposts(deployment: &Deployment) -> (i32, i32) {
    let Some(rolling) = deployment.spec.strategy.rolling_update.as_deref() else {
        return (0, 1);
    };
    let total = i64::from(replicas(deployment));
    let scaled = |amount: &Option<IntOrString>, rounding| {
        // Validation lets no malformed percentage in; should one be stored, it counts as nothing.
        let value = amount.as_ref().map_or(0, |amount| {
            amount.scaled_value(total, rounding).unwrap_or_default()
        });
        i32::try_from(value).unwrap_or(i32::MAX)
    };
    let surge = scaled(&rolling.max_surge, Rounding::Up);
    let unavailable = scaled(&rolling.max_unavailable, Rounding::Down);
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// Pods that may exist above the wanted number during a rollout.
pub fn max_surge(deployment: &Deployment) -> i32 {
    if is_rolling(deployment) {
        fenceposts(deployment).0
    } else {
        0
    }
}

/// Pods that may be missing from the wanted number during a rollout.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    if !is_rolling(deployment) || replicas(deployment) == 0 {
        return 0;
    }
    fenceposts(deployment).1.min(replicas(deployment))
}

/// The largest number of pods during a rollout.
pub fn max_total(deployment: &Deployment) -> i32 {
    replicas(deployment).saturating_add(max_surge(deployment))
}

/// The size to which a new replica set of `current` may grow, when all together have `total`.
pub fn new_replica_set_size(deployment: &Deployment, total: i32, current: i32) -> i32 {
    let wanted = replicas(deployment);
    if !is_rolling(deployment) {
        return wanted;
    }
    let room = max_total(deployment).saturating_sub(total);
    if room <= 0 {
        current
    } else {
        current + room.min(wanted - current)
    }
}

#[cfg(test)]
mod tests {
    use api::apps::v1::RollingUpdateDeployment;

    use super::*;

    fn rolling(replicas: i32, surge: &str, unavailable: &str) -> Deployment {
        let amount = |text: &str| {
            text.parse()
                .map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
        };
        let mut deployment = Deployment::default();
        deployment.spec.replicas = Some(replicas);
        deployment.spec.strategy.type_ = "RollingUpdate".into();
        deployment.spec.strategy.rolling_update = Some(Box::new(RollingUpdateDeployment {
            max_surge: Some(amount(surge)),
            max_unavailable: Some(amount(unavailable)),
        }));
        deployment
    }

    #[test]
    fn surge_rounds_up_and_unavailability_down_but_not_both_to_nothing() {
        let check = |replicas, surge, unavailable, expected: (i32, i32)| {
            let deployment = rolling(replicas, surge, unavailable);
            assert_eq!((max_surge(&deployment), max_unavailable(&deployment)), expected);
        };
        check(10, "25%", "25%", (3, 2));
        check(1, "25%", "25%", (1, 0));
        check(2, "0%", "1%", (0, 1));
        check(3, "0", "10", (0, 3));
        check(0, "1", "1", (1, 0));
    }

    #[test]
    fn a_new_replica_set_grows_into_the_room_there_is() {
        let deployment = rolling(10, "3", "0");
        assert_eq!(new_replica_set_size(&deployment, 10, 0), 3);
        assert_eq!(new_replica_set_size(&deployment, 13, 3), 3);
        assert_eq!(new_replica_set_size(&deployment, 0, 0), 10);
        assert_eq!(new_replica_set_size(&deployment, 12, 9), 10);
    }
}
