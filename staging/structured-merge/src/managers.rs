//! Managers: who owns which fields, as of which version; what an update or an apply does to that.

use crate::compare::{Comparison, compare};
use crate::field_set::field_set;
use crate::merge::merge;
use crate::path::{Path, show};
use crate::remove::remove_items;
use crate::schema::Schema;
use crate::set::Set;
use crate::share::Share;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An item of a list cannot be named.
    #[error("{0}")]
    Item(String),
    /// Others own fields that an apply would change.
    #[error("conflicts: {}", .0.iter().map(Conflict::to_string).collect::<Vec<_>>().join("; "))]
    Conflicts(Vec<Conflict>),
    /// A version that no longer exists, of the object that is written itself.
    #[error("no version {0:?}")]
    Version(String),
    /// A value can't be read.
    #[error("{0}")]
    Value(String),
    /// What a manager owns can't be read.
    #[error("{0}")]
    Fields(String),
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Fields(error.to_string())
    }
}

/// A field that somebody else owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manager: Manager,
    pub path: Path,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "conflict with {:?}: {}", self.manager.name, show(&self.path))
    }
}

/// What tells managers apart. The version is part of it for updates alone: who applies does so in any version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    pub name: String,
    pub applies: bool,
    pub api_version: String,
    pub subresource: String,
}

/// What a manager owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owned {
    pub share: Share,
    pub api_version: String,
}

pub type Managers = BTreeMap<Manager, Owned>;

/// What changes, as a version sees it; `None` for a version that there is no longer.
pub type CompareAt<'a> = dyn Fn(&str) -> Result<Option<Comparison>, Error> + 'a;

/// The versions of a kind: how a value of one looks in another.
pub trait Versions {
    type Schema: Schema;

    /// The version that values are given in.
    fn own(&self) -> &str;

    /// `None` for a version that there is no longer.
    fn schema(&self, version: &str) -> Option<Self::Schema>;

    /// From the own version to another one.
    fn convert(&self, value: &Value, version: &str) -> Option<Value>;

    /// Back to the own version.
    fn convert_back(&self, value: &Value, version: &str) -> Option<Value>;

    /// Fields, by version, that the request cannot change: nobody comes to own them through it.
    fn ignored(&self, version: &str) -> Set;
}

fn own_schema<V: Versions>(versions: &V) -> Result<V::Schema, Error> {
    versions
        .schema(versions.own())
        .ok_or_else(|| Error::Version(versions.own().to_owned()))
}

/// Records an update by a manager, given what changes at each version. Who owned what has changed owns it no longer.
/// The manager's share holds what it changed or added, but for what nobody owns, and of what it had what is still
/// there. Returns whether it changed or added something.
pub fn update<V: Versions>(
    managers: &mut Managers,
    manager: &Manager,
    versions: &V,
    unowned: &Set,
    compare_at: &CompareAt<'_>,
) -> Result<bool, Error> {
    let comparison = disown(managers, manager, versions, Force::Yes, compare_at)?;
    let lost = comparison.changed();
    let gained = comparison.modified.union(comparison.added).difference(unowned);
    let lost = lost.difference(&gained);
    let has_gained = !gained.is_empty();
    let owned = managers.entry(manager.clone()).or_default();
    owned.share.remove(&lost)?;
    owned.share.add(gained)?;
    versions.own().clone_into(&mut owned.api_version);
    if owned.share.is_empty() {
        managers.remove(manager);
    }
    Ok(has_gained)
}

/// Applies a configuration: merges it over the live value, drops what the manager applied before and no longer
/// does, unless others own it, and makes the manager own what it states. `None`: nothing changes.
pub fn apply<V: Versions>(
    managers: &mut Managers,
    live: &Value,
    configuration: &Value,
    manager: &Manager,
    force: bool,
    versions: &V,
) -> Result<Option<Value>, Error> {
    let schema = own_schema(versions)?;
    let merged = merge(live, configuration, schema)?;
    let set = field_set(configuration, schema)?.recursive_difference(&versions.ignored(versions.own()));
    let last = managers.insert(
        manager.clone(),
        Owned {
            share: set.into(),
            api_version: versions.own().to_owned(),
        },
    );
    let new = match last.filter(|last| !last.share.is_empty()) {
        Some(last) => prune(merged, managers, &last, versions)?,
        None => merged,
    };
    let force = if force { Force::Yes } else { Force::No };
    let compare_at = |version: &str| match versions.schema(version) {
        Some(schema) if version == versions.own() => compare(live, &new, schema).map(Some),
        Some(schema) => match (versions.convert(live, version), versions.convert(&new, version)) {
            (Some(live), Some(new)) => compare(&live, &new, schema).map(Some),
            _ => Ok(None),
        },
        None => Ok(None),
    };
    disown(managers, manager, versions, force, &compare_at)?;
    Ok((new != *live).then_some(new))
}

/// Whether an apply may take what others own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Force {
    Yes,
    No,
}

/// Takes what changed from those who owned it. Without force, that they did is a conflict.
fn disown<V: Versions>(
    managers: &mut Managers,
    manager: &Manager,
    versions: &V,
    force: Force,
    compare_at: &CompareAt<'_>,
) -> Result<Comparison, Error> {
    let own = versions.own();
    let mut compared: BTreeMap<String, Option<Comparison>> = BTreeMap::new();
    for version in managers
        .values()
        .map(|owned| owned.api_version.as_str())
        .chain([own])
    {
        if !compared.contains_key(version) {
            let comparison = compare_at(version)?;
            let comparison = comparison.map(|comparison| comparison.without(&versions.ignored(version)));
            compared.insert(version.to_owned(), comparison);
        }
    }
    if force == Force::No {
        let at = |version: &str| compared.get(version).and_then(Option::as_ref);
        let conflicts = conflicts(managers, manager, at)?;
        if !conflicts.is_empty() {
            return Err(Error::Conflicts(conflicts));
        }
    }
    let has_others = managers.keys().any(|other| other != manager);
    let changed: BTreeMap<&str, Set> = compared
        .iter()
        .filter(|_| has_others)
        .filter_map(|(version, comparison)| Some((version.as_str(), comparison.as_ref()?.changed())))
        .collect();
    for (_, owned) in managers.iter_mut().filter(|(other, _)| *other != manager) {
        match changed.get(owned.api_version.as_str()) {
            Some(changed) => owned.share.remove(changed)?,
            // Shares in versions that there are no longer are given up.
            None => owned.share = Share::default(),
        }
    }
    managers.retain(|other, owned| other == manager || !owned.share.is_empty());
    let comparison = compared.remove(own).flatten();
    comparison.ok_or_else(|| Error::Version(own.to_owned()))
}

/// The fields of others that changed.
fn conflicts<'c>(
    managers: &Managers,
    manager: &Manager,
    at: impl Fn(&str) -> Option<&'c Comparison>,
) -> Result<Vec<Conflict>, Error> {
    let mut conflicts = Vec::new();
    for (other, owned) in managers.iter().filter(|(other, _)| *other != manager) {
        let Some(comparison) = at(&owned.api_version) else {
            continue;
        };
        let changed = comparison.modified.clone().union(comparison.added.clone());
        let set = owned.share.to_set()?;
        let paths = changed.intersection(&set).paths().into_iter();
        conflicts.extend(paths.map(|path| Conflict {
            manager: other.clone(),
            path,
        }));
    }
    Ok(conflicts)
}

/// Removes what the manager applied last time, except what it or others still own, and what nobody owned.
fn prune<V: Versions>(
    merged: Value,
    managers: &Managers,
    last: &Owned,
    versions: &V,
) -> Result<Value, Error> {
    let version = &last.api_version;
    let Some(schema) = versions.schema(version) else {
        return Ok(merged);
    };
    let Some(whole) = versions.convert(&merged, version) else {
        return Ok(merged);
    };
    let last_set = last.share.to_set()?.with_named_fields(Some(schema));
    let mut pruned = remove_items(&whole, &last_set, schema);
    // The last applied version first: others may need its fields to be converted.
    let mut order: Vec<&String> = managers.values().map(|owned| &owned.api_version).collect();
    order.sort_by_key(|other| (*other != version, *other));
    order.dedup();
    for other in order {
        let mut owned = Set::default();
        for manager in managers.values().filter(|owned| owned.api_version == *other) {
            owned = owned.union(manager.share.to_set()?.into_owned());
        }
        pruned = add_back(&merged, pruned, version, other, &owned, versions)?;
    }
    let pruned_set = field_set(&pruned, schema)?.with_named_fields(Some(schema));
    let whole_set = field_set(&whole, schema)?.with_named_fields(Some(schema));
    let gone = whole_set.difference(&pruned_set).intersection(&last_set);
    let result = remove_items(&whole, &gone, schema);
    Ok(versions.convert_back(&result, version).unwrap_or(merged))
}

/// Puts back into a pruned value what somebody owns at a version. `merged` is in the own version, `pruned` in
/// `pruned_version`.
fn add_back<V: Versions>(
    merged: &Value,
    pruned: Value,
    pruned_version: &str,
    version: &str,
    owned: &Set,
    versions: &V,
) -> Result<Value, Error> {
    let Some(schema) = versions.schema(version) else {
        return Ok(pruned);
    };
    let Some(whole) = versions.convert(merged, version) else {
        return Ok(pruned);
    };
    let at_version = if version == pruned_version {
        Some(pruned.clone())
    } else {
        versions
            .convert_back(&pruned, pruned_version)
            .and_then(|own| versions.convert(&own, version))
    };
    let Some(at_version) = at_version else {
        return Ok(pruned);
    };
    let whole_set = field_set(&whole, schema)?.with_named_fields(Some(schema));
    let kept = field_set(&at_version, schema)?.with_named_fields(Some(schema));
    let kept = kept.union(owned.with_named_fields(Some(schema)));
    let result = remove_items(&whole, &whole_set.difference(&kept), schema);
    if version == pruned_version {
        return Ok(result);
    }
    let back = versions
        .convert_back(&result, version)
        .and_then(|own| versions.convert(&own, pruned_version));
    Ok(back.unwrap_or(pruned))
}
