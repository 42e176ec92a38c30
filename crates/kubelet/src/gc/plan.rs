//! What goes. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A container that doesn't run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadContainer {
    pub id: String,
    pub pod_uid: String,
    pub name: String,
    /// Unix nanoseconds.
    pub created_at: i64,
}

/// How many dead containers of each name of a pod stay, for their logs.
pub const KEPT_PER_CONTAINER: usize = 1;

/// The containers to remove: all of pods that are gone, all but the newest of each other.
pub fn containers(dead: &[DeadContainer], is_gone: impl Fn(&str) -> bool) -> Vec<String> {
    let mut by_name: BTreeMap<(&str, &str), Vec<&DeadContainer>> = BTreeMap::new();
    for container in dead {
        by_name
            .entry((&container.pod_uid, &container.name))
            .or_default()
            .push(container);
    }
    let mut remove = Vec::new();
    for ((uid, _), mut containers) in by_name {
        containers.sort_by_key(|container| std::cmp::Reverse(container.created_at));
        let keep = if is_gone(uid) { 0 } else { KEPT_PER_CONTAINER };
        remove.extend(
            containers
                .into_iter()
                .skip(keep)
                .map(|container| container.id.clone()),
        );
    }
    remove
}

/// A sandbox that isn't ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadSandbox {
    pub id: String,
    pub pod_uid: String,
    pub created_at: i64,
    pub has_containers: bool,
}

/// The sandboxes to remove: all of pods that are gone, all but the newest of each other, none with containers left.
pub fn sandboxes(dead: &[DeadSandbox], is_gone: impl Fn(&str) -> bool) -> Vec<String> {
    let mut newest: BTreeMap<&str, i64> = BTreeMap::new();
    for sandbox in dead {
        let time = newest.entry(&sandbox.pod_uid).or_insert(sandbox.created_at);
        *time = (*time).max(sandbox.created_at);
    }
    let goes = |sandbox: &&DeadSandbox| {
        !sandbox.has_containers
            && (is_gone(&sandbox.pod_uid) || sandbox.created_at < newest[sandbox.pod_uid.as_str()])
    };
    dead.iter()
        .filter(goes)
        .map(|sandbox| sandbox.id.clone())
        .collect()
}

/// An image, and since when and how long ago it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUse {
    pub id: String,
    pub bytes: u64,
    pub first_seen: Duration,
    pub last_used: Duration,
    pub pinned: bool,
}

/// The unused images to remove, least recently used first, until so much is freed.
pub fn images(
    known: &[ImageUse],
    in_use: &BTreeSet<String>,
    bytes_to_free: u64,
    min_age: Duration,
    now: Duration,
) -> Vec<String> {
    let mut unused: Vec<&ImageUse> = known
        .iter()
        .filter(|image| !image.pinned && !in_use.contains(&image.id))
        .collect();
    unused.sort_by_key(|image| (image.last_used, image.first_seen));
    let mut freed = 0;
    let mut remove = Vec::new();
    for image in unused {
        if freed >= bytes_to_free {
            break;
        }
        if now.saturating_sub(image.first_seen) < min_age {
            continue;
        }
        freed += image.bytes;
        remove.push(image.id.clone());
    }
    remove
}

/// How much has to be freed so that usage falls from above `high` percent to `low` percent.
pub fn bytes_to_free(total: u64, available: u64, high: u8, low: u8) -> Option<u64> {
    let used = total.saturating_sub(available);
    let percent = |percent: u8| total / 100 * u64::from(percent);
    (total > 0 && used > percent(high)).then(|| used - percent(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(id: &str, uid: &str, name: &str, created_at: i64) -> DeadContainer {
        DeadContainer {
            id: id.into(),
            pod_uid: uid.into(),
            name: name.into(),
            created_at,
        }
    }

    #[test]
    fn the_newest_dead_container_of_a_name_stays() {
        let all = [
            dead("1", "p", "a", 1),
            dead("2", "p", "a", 2),
            dead("3", "p", "b", 1),
            dead("4", "gone", "a", 9),
        ];
        assert_eq!(containers(&all, |uid| uid == "gone"), ["4", "1"]);
    }

    #[test]
    fn sandboxes_go_with_their_pods_and_after_their_containers() {
        let sandbox = |id: &str, uid: &str, created_at, has_containers| DeadSandbox {
            id: id.into(),
            pod_uid: uid.into(),
            created_at,
            has_containers,
        };
        let all = [
            sandbox("1", "p", 1, false),
            sandbox("2", "p", 2, false),
            sandbox("3", "gone", 1, true),
            sandbox("4", "gone", 1, false),
        ];
        assert_eq!(sandboxes(&all, |uid| uid == "gone"), ["1", "4"]);
    }

    #[test]
    fn images_go_by_last_use_until_enough_is_free() {
        let secs = Duration::from_secs;
        let image = |id: &str, bytes, seen, used| ImageUse {
            id: id.into(),
            bytes,
            first_seen: secs(seen),
            last_used: secs(used),
            pinned: id == "pause",
        };
        let known = [
            image("old", 10, 1, 1),
            image("used", 10, 1, 2),
            image("pause", 1, 1, 0),
            image("new", 10, 990, 0),
            image("mid", 10, 1, 5),
        ];
        let in_use = BTreeSet::from(["used".to_owned()]);
        let gone = |bytes| images(&known, &in_use, bytes, secs(120), secs(1000));
        assert_eq!(gone(5), ["old"]);
        assert_eq!(gone(15), ["old", "mid"]);
        assert_eq!(gone(1000), ["old", "mid"]);
        assert_eq!(bytes_to_free(1000, 100, 85, 80), Some(100));
        assert_eq!(bytes_to_free(1000, 200, 85, 80), None);
    }
}
