//! What deployments note on their replica sets: revisions, and the sizes that they had in mind.

use api::apps::v1::{Deployment, ReplicaSet};

use super::sizes;

pub const REVISION: &str = "deployment.kubernetes.io/revision";
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// Annotations that a replica set doesn't inherit.
const NOT_COPIED: [&str; 6] = [
    LAST_APPLIED,
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    ROLLBACK_TO,
];

/// The longest list of former revisions.
const MAX_HISTORY_LENGTH: usize = 2000;

/// The revision that a replica set bears; 0 without one or with a malformed one.
pub fn revision(set: &ReplicaSet) -> i64 {
    set.metadata
        .annotations
        .get(REVISION)
        .and_then(|revision| revision.parse().ok())
        .unwrap_or_default()
}

pub fn max_revision<'a>(sets: impl Iterator<Item = &'a ReplicaSet>) -> i64 {
    sets.map(revision).max().unwrap_or_default()
}

/// The deployment's size when the replica set was last sized.
pub fn desired_replicas(set: &ReplicaSet) -> Option<i32> {
    non_negative(set, DESIRED_REPLICAS)
}

/// The most pods that the deployment allowed itself when the replica set was last sized.
pub fn max_replicas(set: &ReplicaSet) -> Option<i32> {
    non_negative(set, MAX_REPLICAS)
}

fn non_negative(set: &ReplicaSet, key: &str) -> Option<i32> {
    set.metadata
        .annotations
        .get(key)?
        .parse()
        .ok()
        .filter(|number| *number >= 0)
}

/// Notes the deployment's sizes on a replica set.
pub fn set_sizes(deployment: &Deployment, set: &mut ReplicaSet) {
    let annotations = &mut set.metadata.annotations;
    annotations.insert(
        DESIRED_REPLICAS.to_owned(),
        sizes::replicas(deployment).to_string(),
    );
    annotations.insert(MAX_REPLICAS.to_owned(), sizes::max_total(deployment).to_string());
}

/// Copies the deployment's annotations to its new replica set and raises that one's revision to `new_revision`. Gives
/// whether anything changed.
pub fn update_new(deployment: &Deployment, set: &mut ReplicaSet, new_revision: i64) -> bool {
    let before = set.metadata.annotations.clone();
    let copied = deployment
        .metadata
        .annotations
        .iter()
        .filter(|(key, _)| !NOT_COPIED.contains(&key.as_str()));
    set.metadata
        .annotations
        .extend(copied.map(|(key, value)| (key.clone(), value.clone())));

    let old = set.metadata.annotations.get(REVISION).cloned();
    let parsed = match old.as_deref() {
        None | Some("") => Some(0),
        Some(text) => text.parse::<i64>().ok(),
    };
    // A revision that isn't a number is somebody else's: left alone.
    if parsed.is_some_and(|parsed| parsed < new_revision) {
        set.metadata
            .annotations
            .insert(REVISION.to_owned(), new_revision.to_string());
        if let Some(old) = old {
            remember(set, &old);
        }
    }
    set.metadata.annotations != before
}

/// Rolling back to a replica set: its former revisions stay known.
fn remember(set: &mut ReplicaSet, revision: &str) {
    let annotations = &mut set.metadata.annotations;
    let history = annotations
        .get(REVISION_HISTORY)
        .filter(|history| !history.is_empty());
    let Some(history) = history else {
        annotations.insert(REVISION_HISTORY.to_owned(), revision.to_owned());
        return;
    };
    let mut rest = history.as_str();
    while !rest.is_empty() && rest.len() + 1 + revision.len() > MAX_HISTORY_LENGTH {
        rest = rest.split_once(',').map_or("", |(_, rest)| rest);
    }
    let history = if rest.is_empty() {
        revision.to_owned()
    } else {
        format!("{rest},{revision}")
    };
    annotations.insert(REVISION_HISTORY.to_owned(), history);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolling_back_raises_the_revision_and_keeps_the_old_ones() {
        let mut deployment = Deployment::default();
        deployment.metadata.annotations.insert("kept".into(), "1".into());
        deployment
            .metadata
            .annotations
            .insert(LAST_APPLIED.into(), "{}".into());
        let mut set = ReplicaSet::default();
        assert!(update_new(&deployment, &mut set, 1));
        assert!(!update_new(&deployment, &mut set, 1));
        assert!(!update_new(&deployment, &mut set, 0), "revisions never fall");
        update_new(&deployment, &mut set, 3);
        update_new(&deployment, &mut set, 5);
        let rendered: Vec<String> = set
            .metadata
            .annotations
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            rendered,
            [
                "deployment.kubernetes.io/revision=5",
                "deployment.kubernetes.io/revision-history=1,3",
                "kept=1"
            ]
        );
    }

    #[test]
    fn history_is_bounded() {
        let mut set = ReplicaSet::default();
        for revision in 0..2000 {
            remember(&mut set, &revision.to_string());
        }
        let history = &set.metadata.annotations[REVISION_HISTORY];
        assert!(history.len() <= MAX_HISTORY_LENGTH && history.ends_with("1998,1999"));
    }
}
