//! Field ownership: who set which field of an object, recorded in `metadata.managedFields`, and apply patches.
//!
//! Reading order: [`node`] (descriptors as a schema), [`entries`] (managers in metadata), [`kind_versions`]
//! (versions of a kind), [`track`] (what a create, update or patch does to the managers), [`applying`] (apply
//! patches), [`conflicts`] (their refusal).
//!
//! Upstream: `apimachinery/pkg/util/managedfields`.

mod applying;
mod conflicts;
mod entries;
mod kind_versions;
mod node;

pub use applying::{Configuration, Request as ApplyRequest, apply};

use api::Object;
use api::catalogue::Resource;
use apimachinery::status::Status;
use apimachinery::time::Time;
use jiff::Timestamp;
use serde_json::Value;
use structured_merge::managers::{self, Manager, Owned};
use structured_merge::{Managers, Set, compare};

use crate::kind;
use crate::proto;
use crate::resource::Served;
use crate::verbs::raw_to_document;
use entries::Entries;
use kind_versions::KindVersions;
use node::Node;

/// Updating managers beyond these are put together.
const MAX_UPDATERS: usize = 10;
/// Who owns what they owned.
const ANCIENT: &str = "ancient-changes";
/// Longest name of a manager.
const MAX_NAME_BYTES: usize = 128;

/// Through what, when and by whom an object is changed.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub served: &'a Served,
    pub manager: &'a str,
    pub subresource: &'a str,
    pub now: Timestamp,
}

/// A manager's name: what the request states, or else the start of its user agent.
pub fn manager_name(stated: &str, user_agent: &str) -> String {
    if !stated.is_empty() {
        return stated.to_owned();
    }
    let program = user_agent.split('/').next().unwrap_or_default();
    let mut name = String::new();
    for letter in program.chars().filter(|letter| !letter.is_control()) {
        if name.len() + letter.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        name.push(letter);
    }
    name
}

/// Records in a new state, which becomes of a live one (none: it is created), who changed what.
///
/// Objects from before fields were tracked stay without. An update may reset the record by sending an empty one.
pub fn track(origin: Origin<'_>, live: Option<&dyn Object>, new: &mut dyn Object) -> Result<(), Status> {
    let sent = std::mem::take(&mut new.metadata_mut().managed_fields);
    let Some(mut entries) = Entries::of_update(&sent, live, !origin.subresource.is_empty()) else {
        return Ok(());
    };
    if entries.managers.is_empty() && live.is_some() {
        return Ok(());
    }
    let before = document(origin.served, live)?;
    let after = document(origin.served, Some(new))?;
    record_update(&mut entries, origin, &before, &after)?;
    new.metadata_mut().managed_fields = entries.encode();
    Ok(())
}

/// Records in an object that is answered and not stored who sent it.
pub fn track_unstored(
    row: &'static Resource,
    manager: &str,
    now: Timestamp,
    new: &mut dyn Object,
) -> Result<(), Status> {
    new.metadata_mut().managed_fields.clear();
    let document = |object: &dyn Object| -> Result<Value, Status> {
        let json = kind::json(row.ty, &object.encode_to_vec()).map_err(Status::internal)?;
        serde_json::from_slice(&json).map_err(Status::internal)
    };
    let (before, after) = (document(&*(row.new)())?, document(new)?);
    let comparison = compare(&before, &after, Node::Kind(row.ty)).map_err(Status::internal)?;
    let mut entries = Entries::default();
    let manager = Manager {
        name: if manager.is_empty() { "unknown" } else { manager }.to_owned(),
        applies: false,
        api_version: row.api_version.to_owned(),
        subresource: String::new(),
    };
    let owned = Owned {
        set: comparison.added.union(comparison.modified),
        api_version: row.api_version.to_owned(),
    };
    entries.managers.insert(manager.clone(), owned);
    strip(&mut entries.managers, &manager);
    entries.times.insert(manager, Some(Time(now).truncated()));
    new.metadata_mut().managed_fields = entries.encode();
    Ok(())
}

/// Keeps the old times if nothing but the times of ownership would change: such a write would be for nothing.
pub fn keep_times(new: &mut dyn Object, old: &dyn Object) {
    let (new, old) = (
        &mut new.metadata_mut().managed_fields,
        &old.metadata().managed_fields,
    );
    let same = new.len() == old.len()
        && new.iter().all(|entry| {
            old.iter().any(|other| {
                let mut other = other.clone();
                other.time = entry.time;
                other == *entry
            })
        });
    if same {
        new.clone_from(old);
    }
}

fn record_update(
    entries: &mut Entries,
    origin: Origin<'_>,
    before: &Value,
    after: &Value,
) -> Result<(), Status> {
    let versions = KindVersions::new(origin.served, origin.subresource);
    let own = updater(origin);
    // What this operation changes is found apart from what the manager owned before.
    let current = Manager {
        name: String::new(),
        ..own.clone()
    };
    if before != after {
        managers::update(&mut entries.managers, before, after, &current, &versions).map_err(internal)?;
    }
    strip(&mut entries.managers, &current);
    if let Some(changed) = entries.managers.remove(&current) {
        let owned = entries.managers.entry(own.clone()).or_default();
        owned.set = std::mem::take(&mut owned.set).union(changed.set);
        owned.api_version = changed.api_version;
        entries.times.insert(own, Some(Time(origin.now).truncated()));
    }
    entries.cap();
    Ok(())
}

fn updater(origin: Origin<'_>) -> Manager {
    Manager {
        name: if origin.manager.is_empty() {
            "unknown".to_owned()
        } else {
            origin.manager.to_owned()
        },
        applies: false,
        api_version: origin.served.row.api_version.to_owned(),
        subresource: origin.subresource.to_owned(),
    }
}

/// Takes from a manager what nobody owns: identity, and what the server fills in.
fn strip(managers: &mut Managers, manager: &Manager) {
    let stripped = Set::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ]);
    if let Some(mut owned) = managers.remove(manager) {
        owned.set = owned.set.difference(&stripped);
        if !owned.set.is_empty() {
            managers.insert(manager.clone(), owned);
        }
    }
}

/// An object as the served version's JSON, without its record of managers; a zero one if there is none.
fn document(served: &Served, object: Option<&dyn Object>) -> Result<Value, Status> {
    let raw = match object {
        Some(object) => served.encode(object)?,
        None => served.encode(&*served.to_storage((served.row.new)())?)?,
    };
    let bare = proto::without_managed_fields(&raw).map_err(Status::internal)?;
    raw_to_document(served, &bare)
}

fn internal(error: managers::Error) -> Status {
    Status::unknown(format!("failed to update ManagedFields: {error}"))
}

#[cfg(test)]
mod tests {
    use super::manager_name;

    #[test]
    fn managers_are_named_by_what_they_say_or_what_they_are() {
        assert_eq!(manager_name("me", "kubectl/v1"), "me");
        assert_eq!(manager_name("", "kubectl/v1.36.2 (linux/amd64)"), "kubectl");
        assert_eq!(manager_name("", &"x".repeat(300)).len(), 128);
        assert_eq!(manager_name("", ""), "");
    }
}
