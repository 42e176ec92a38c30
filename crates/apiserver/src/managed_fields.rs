//! Field ownership: who set which field of an object, recorded in `metadata.managedFields`, and apply patches.
//!
//! Reading order: [`node`] (descriptors as a schema), [`encoded`] (objects as values), [`entries`] (managers in metadata), [`kind_versions`]
//! (versions of a kind), [`track`] (what a create, update or patch does to the managers), [`applying`] (apply
//! patches), [`conflicts`] (their refusal), [`laying`] (the same without
//! owners).
//!
//! Upstream: `apimachinery/pkg/util/managedfields`.

mod applying;
mod conflicts;
mod encoded;
mod entries;
mod kind_versions;
mod laying;
mod node;

pub use laying::lay_over;
pub use node::Node;

pub use applying::{Configuration, Request as ApplyRequest, apply};

use std::borrow::Cow;
use std::sync::LazyLock;

use api::Object;
use api::catalogue::Resource;
use api::meta::v1::ManagedFieldsEntry;
use apimachinery::status::Status;
use apimachinery::time::Time;
use jiff::Timestamp;
use serde_json::Value;
use structured_merge::managers::{self, Manager, Owned};
use structured_merge::{Except, Managers, Set, Share, Versions, compare, gained};

use crate::proto;
use crate::resource::Served;
use crate::verbs::raw_to_document;
use encoded::Encoded;
use entries::Entries;
use kind_versions::KindVersions;

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
    let Some(mut entries) = Entries::of_update(sent, live, !origin.subresource.is_empty()) else {
        return Ok(());
    };
    if entries.managers.is_empty() && live.is_some() {
        return Ok(());
    }
    let before = encoded(origin.served, live)?;
    let after = encoded(origin.served, Some(new))?;
    if entries.managers.is_empty() && !origin.served.is_custom() {
        record_creation(&mut entries, origin, &before, &after).map_err(internal)?;
    } else {
        record_update(&mut entries, origin, &before, &after).map_err(internal)?;
    }
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
    let (before, after) = ((row.new)().encode_to_vec(), new.encode_to_vec());
    let (before, after) = (Encoded::Whole(row.ty, &before), Encoded::Whole(row.ty, &after));
    let comparison = compare(before, after, Node::Kind(row.ty)).map_err(Status::internal)?;
    let mut entries = Entries::default();
    let manager = Manager {
        name: if manager.is_empty() { "unknown" } else { manager }.to_owned(),
        applies: false,
        api_version: row.api_version.to_owned(),
        subresource: String::new(),
    };
    let owned = Owned {
        share: comparison.added.union(comparison.modified).into(),
        api_version: row.api_version.to_owned(),
    };
    entries.managers.insert(manager.clone(), owned);
    strip(&mut entries.managers, &manager).map_err(internal)?;
    entries.times.insert(manager, Some(Time(now).truncated()));
    new.metadata_mut().managed_fields = entries.encode();
    Ok(())
}

/// Keeps the old times if nothing but the times of ownership would change: such a write would be for nothing.
pub fn keep_times(new: &mut dyn Object, old: &dyn Object) -> Result<(), Status> {
    let (fields, before) = (&new.metadata().managed_fields, &old.metadata().managed_fields);
    let alike = |(a, b): (&ManagedFieldsEntry, &ManagedFieldsEntry)| {
        let ManagedFieldsEntry {
            manager,
            operation,
            api_version,
            time: _,
            fields_type,
            fields_v1,
            subresource,
        } = a;
        fields_v1 == &b.fields_v1
            && manager == &b.manager
            && operation == &b.operation
            && api_version == &b.api_version
            && fields_type == &b.fields_type
            && subresource == &b.subresource
    };
    let are_alike = fields.len() == before.len() && fields.iter().zip(before).all(alike);
    if !are_alike || fields == before {
        return Ok(());
    }
    let bare = |object: &dyn Object| -> Result<Vec<u8>, Status> {
        let raw = object.encode_to_vec();
        let bare = proto::without_managed_fields(&raw).map_err(Status::internal)?;
        Ok(bare.into_owned())
    };
    if bare(new)? == bare(old)? {
        let before = before.clone();
        new.metadata_mut().managed_fields = before;
    }
    Ok(())
}

/// Records what is stated in an encoded object of the served version, and not in a zero one, while nobody owns anything.
fn record_creation(
    entries: &mut Entries,
    origin: Origin<'_>,
    zero: &[u8],
    new: &[u8],
) -> Result<(), managers::Error> {
    let row = origin.served.row;
    let ignored = KindVersions::new(origin.served, origin.subresource).ignored(row.api_version);
    let except = Except {
        ignored: Some(&ignored),
        unowned: Some(&STRIPPED),
    };
    let (zero, new) = (Encoded::Whole(row.ty, zero), Encoded::Whole(row.ty, new));
    let share = Share::Written(gained(zero, new, Node::Kind(row.ty), except)?);
    if !share.is_empty() {
        let (own, api_version) = (updater(origin), row.api_version.to_owned());
        entries.managers.insert(own.clone(), Owned { share, api_version });
        entries.times.insert(own, Some(Time(origin.now).truncated()));
    }
    Ok(())
}

/// Records what changes between two encoded objects of the served version.
fn record_update(
    entries: &mut Entries,
    origin: Origin<'_>,
    before: &[u8],
    after: &[u8],
) -> Result<(), managers::Error> {
    if before != after {
        let versions = KindVersions::new(origin.served, origin.subresource);
        let compare_at = |version: &str| {
            if origin.served.is_custom() {
                let Some(schema) = versions.schema(version) else {
                    return Ok(None);
                };
                let trees = (
                    raw_to_document(origin.served, before),
                    raw_to_document(origin.served, after),
                );
                let (Ok(before), Ok(after)) = trees else {
                    return Ok(None);
                };
                return compare(&before, &after, schema).map(Some);
            }
            let (Some((ty, before)), Some((_, after))) = (
                versions.encoded_at(before, version),
                versions.encoded_at(after, version),
            ) else {
                return Ok(None);
            };
            let (before, after) = (Encoded::Whole(ty, &before), Encoded::Whole(ty, &after));
            compare(before, after, Node::Kind(ty)).map(Some)
        };
        let own = updater(origin);
        if managers::update(&mut entries.managers, &own, &versions, &STRIPPED, &compare_at)? {
            entries.times.insert(own, Some(Time(origin.now).truncated()));
        }
    }
    entries.cap()
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

/// What nobody owns: identity, and what the server fills in.
static STRIPPED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields(&[
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
    ])
});

fn strip(managers: &mut Managers, manager: &Manager) -> Result<(), managers::Error> {
    if let Some(owned) = managers.get_mut(manager) {
        owned.share.remove(&STRIPPED)?;
        if owned.share.is_empty() {
            managers.remove(manager);
        }
    }
    Ok(())
}

/// An object in the served version, encoded, without its record of managers; a zero one if there is none.
fn encoded(served: &Served, object: Option<&dyn Object>) -> Result<Vec<u8>, Status> {
    let raw = match object {
        Some(object) => served.encode(object)?,
        None => served.encode(&*served.to_storage((served.row.new)())?)?,
    };
    Ok(
        match proto::without_managed_fields(&raw).map_err(Status::internal)? {
            Cow::Owned(bare) => bare,
            Cow::Borrowed(_) => raw,
        },
    )
}

/// The same as JSON.
fn document(served: &Served, object: Option<&dyn Object>) -> Result<Value, Status> {
    raw_to_document(served, &encoded(served, object)?)
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
