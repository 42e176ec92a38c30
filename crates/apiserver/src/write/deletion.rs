//! The rules of deletion: grace periods, finalizers, propagation. Pure.

use api::Object;
use api::meta::v1::{DeleteOptions, ObjectMeta};
use apimachinery::time::Time;
use jiff::{SignedDuration, Timestamp};

use crate::strategy::{GarbageCollection, Strategy};

/// Finalizer that makes the garbage collector orphan the dependents first.
pub const ORPHAN: &str = "orphan";
/// Finalizer that makes the garbage collector delete the dependents first.
pub const FOREGROUND: &str = "foregroundDeletion";

/// What a DELETE means for an object as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Remove it from the store.
    Remove,
    /// Write the object as changed here; somebody else finishes the deletion.
    Mark,
    /// Write the object as changed here, then remove it.
    MarkThenRemove,
    /// The deletion is under way and this request adds nothing.
    Pending,
}

/// Decides the next step, and applies its marks to the object.
pub fn plan(
    object: &mut dyn Object,
    options: &DeleteOptions,
    strategy: &dyn Strategy,
    now: Timestamp,
) -> Step {
    let requested = options
        .grace_period_seconds
        .map(|seconds| if seconds < 0 { 1 } else { seconds });
    if object.metadata().deletion_timestamp.is_none() {
        strategy.begin_deletion(object, now);
    }
    let graceful = begin_grace(object, requested, strategy, now);
    if graceful == Grace::Pending {
        return Step::Pending;
    }
    let metadata = object.metadata_mut();
    metadata.finalizers = propagation_finalizers(metadata, options, strategy.garbage_collection());
    let has_finalizers = !metadata.finalizers.is_empty();
    let finished = strategy.finished(object);
    let waits_for_finalizers = has_finalizers || !finished;
    let metadata = object.metadata_mut();
    match graceful {
        // Whoever finishes the kind removes it: there is no period after which it goes, not even one of 0 s.
        Grace::None if !finished => match metadata.deletion_timestamp {
            Some(_) => Step::Pending,
            None => {
                metadata.deletion_timestamp = Some(Time(now).truncated());
                Step::Mark
            }
        },
        Grace::Period(seconds) if seconds > 0 || waits_for_finalizers => Step::Mark,
        Grace::Period(_) => Step::MarkThenRemove,
        _ if waits_for_finalizers => {
            mark(metadata, now);
            Step::Mark
        }
        _ => Step::Remove,
    }
}

/// How the grace period of a deletion stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grace {
    /// The kind or the object has none, or it is over.
    None,
    /// Longer than or equal to the one that runs.
    Pending,
    /// Starts, or is shortened to, so many seconds; the object is marked.
    Period(i64),
}

fn begin_grace(
    object: &mut dyn Object,
    requested: Option<i64>,
    strategy: &dyn Strategy,
    now: Timestamp,
) -> Grace {
    if object.metadata().deletion_timestamp.is_some() {
        return shorten_grace(object.metadata_mut(), requested, now);
    }
    let Some(period) = strategy.grace_period(object, requested) else {
        return Grace::None;
    };
    let metadata = object.metadata_mut();
    metadata.deletion_timestamp = Some(Time(later(now, period)).truncated());
    metadata.deletion_grace_period_seconds = Some(period);
    bump_generation(metadata);
    Grace::Period(period)
}

/// A deletion under way can only be hastened.
fn shorten_grace(metadata: &mut ObjectMeta, requested: Option<i64>, now: Timestamp) -> Grace {
    let (Some(running), Some(end)) = (
        metadata.deletion_grace_period_seconds,
        metadata.deletion_timestamp.as_ref(),
    ) else {
        return Grace::None;
    };
    let running = if running < 0 { 1 } else { running };
    if running == 0 {
        return Grace::None;
    }
    let Some(mut period) = requested.filter(|period| *period < running) else {
        return Grace::Pending;
    };
    let mut end = later(end.0, period - running);
    if end < now {
        // The new end has passed. Keep the deletion graceful if that was asked for: its owner still finishes it.
        end = now;
        period = period.min(1);
    }
    metadata.deletion_timestamp = Some(Time(end).truncated());
    metadata.deletion_grace_period_seconds = Some(period);
    Grace::Period(period)
}

/// Marks an object without a grace period as being deleted.
fn mark(metadata: &mut ObjectMeta, now: Timestamp) {
    if metadata.deletion_timestamp.is_none() {
        bump_generation(metadata);
    }
    if metadata.deletion_timestamp.as_ref().is_none_or(|end| end.0 > now) {
        metadata.deletion_timestamp = Some(Time(now).truncated());
    }
    metadata.deletion_grace_period_seconds = Some(0);
}

/// So many seconds later (or earlier), within what a timestamp can say.
fn later(from: Timestamp, seconds: i64) -> Timestamp {
    let limit = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    from.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(limit)
}

fn bump_generation(metadata: &mut ObjectMeta) {
    if metadata.generation > 0 {
        metadata.generation += 1;
    }
}

/// The finalizers with those of the propagation policy put in or taken out.
fn propagation_finalizers(
    metadata: &ObjectMeta,
    options: &DeleteOptions,
    default: GarbageCollection,
) -> Vec<String> {
    let has = |name: &str| metadata.finalizers.iter().any(|finalizer| finalizer == name);
    let policy = options.propagation_policy.as_deref();
    let (orphan, foreground) = match (default, options.orphan_dependents, policy) {
        (GarbageCollection::Unsupported, _, _) => (false, false),
        (_, Some(orphan), _) => (orphan, false),
        (_, None, Some("Orphan")) => (true, false),
        (_, None, Some("Foreground")) => (false, true),
        (_, None, Some(_)) => (false, false),
        // Without a word from the client the finalizers that stand there decide, then the kind.
        (_, None, None) if has(ORPHAN) || has(FOREGROUND) => {
            let first = metadata
                .finalizers
                .iter()
                .find(|finalizer| *finalizer == ORPHAN || *finalizer == FOREGROUND);
            (
                first.is_some_and(|finalizer| finalizer == ORPHAN),
                first.is_some_and(|finalizer| finalizer == FOREGROUND),
            )
        }
        (default, None, None) => (default == GarbageCollection::OrphanDependents, false),
    };
    let unchanged = orphan == has(ORPHAN) && foreground == has(FOREGROUND);
    if unchanged {
        return metadata.finalizers.clone();
    }
    let mut finalizers: Vec<String> = metadata
        .finalizers
        .iter()
        .filter(|finalizer| *finalizer != ORPHAN && *finalizer != FOREGROUND)
        .cloned()
        .collect();
    finalizers.extend(orphan.then(|| ORPHAN.to_owned()));
    finalizers.extend(foreground.then(|| FOREGROUND.to_owned()));
    finalizers
}

/// Whether an update that leaves `object` is the end of a deletion under way since `old`.
pub fn ends_deletion(object: &dyn Object, old: &dyn Object, strategy: &dyn Strategy) -> bool {
    let before = old.metadata();
    object.metadata().finalizers.is_empty()
        && before.deletion_timestamp.is_some()
        && before
            .deletion_grace_period_seconds
            .is_none_or(|period| period == 0)
        && strategy.finished(object)
}

#[cfg(test)]
mod tests;
