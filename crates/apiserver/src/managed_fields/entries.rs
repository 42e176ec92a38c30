//! The managers of an object, as its metadata lists them.

use std::collections::BTreeMap;

use api::Object;
use api::meta::v1::{FieldsV1, ManagedFieldsEntry};
use apimachinery::time::Time;
use structured_merge::managers::{Manager, Owned};
use structured_merge::{Managers, Set};

use super::{ANCIENT, MAX_UPDATERS};

#[derive(Clone, Default)]
pub struct Entries {
    pub managers: Managers,
    pub times: BTreeMap<Manager, Option<Time>>,
}

impl Entries {
    /// Reads a list of entries; `None` if one of them is none.
    pub fn decode(list: &[ManagedFieldsEntry]) -> Option<Self> {
        let mut entries = Self::default();
        for entry in list {
            let applies = match entry.operation.as_str() {
                "Apply" => true,
                "Update" => false,
                _ => return None,
            };
            if entry.api_version.is_empty() || entry.fields_type != "FieldsV1" {
                return None;
            }
            let raw = entry
                .fields_v1
                .as_ref()
                .map_or(b"{}".as_slice(), |fields| fields.raw.as_slice());
            let set = Set::from_json(if raw.is_empty() { b"{}" } else { raw }).ok()?;
            let manager = Manager {
                name: entry.manager.clone(),
                applies,
                api_version: if applies {
                    String::new()
                } else {
                    entry.api_version.clone()
                },
                subresource: entry.subresource.clone(),
            };
            entries.times.insert(manager.clone(), entry.time);
            entries.managers.insert(
                manager,
                Owned {
                    set,
                    api_version: entry.api_version.clone(),
                },
            );
        }
        Some(entries)
    }

    /// The managers that an update starts from: those it was sent with, or else the live object's; through a
    /// subresource always these. `None`: the client asked for their removal.
    pub fn of_update(
        sent: &[ManagedFieldsEntry],
        live: Option<&dyn Object>,
        is_subresource: bool,
    ) -> Option<Self> {
        let live = || {
            let list = live.map(|live| live.metadata().managed_fields.as_slice());
            Self::decode(list.unwrap_or_default()).unwrap_or_default()
        };
        if is_subresource {
            return Some(live());
        }
        // One blank entry says that all shall go.
        if matches!(sent, [only] if *only == ManagedFieldsEntry::default()) {
            return None;
        }
        match Self::decode(sent) {
            Some(entries) if !entries.managers.is_empty() => Some(entries),
            _ => Some(live()),
        }
    }

    /// The list, in upstream's order: appliers first, then by time, name, version and subresource.
    pub fn encode(&self) -> Vec<ManagedFieldsEntry> {
        let entry = |(manager, owned): (&Manager, &Owned)| ManagedFieldsEntry {
            manager: manager.name.clone(),
            operation: if manager.applies { "Apply" } else { "Update" }.to_owned(),
            api_version: owned.api_version.clone(),
            time: self.times.get(manager).copied().flatten(),
            fields_type: "FieldsV1".to_owned(),
            fields_v1: Some(FieldsV1 {
                raw: owned.set.to_json(),
            }),
            subresource: manager.subresource.clone(),
        };
        let mut list: Vec<ManagedFieldsEntry> = self.managers.iter().map(entry).collect();
        list.sort_by(|a, b| {
            let key = |entry: &ManagedFieldsEntry| entry.time.map_or(0, |time| time.0.as_second());
            (&a.operation, key(a), &a.manager, &a.api_version, &a.subresource).cmp(&(
                &b.operation,
                key(b),
                &b.manager,
                &b.api_version,
                &b.subresource,
            ))
        });
        list
    }

    /// Puts the oldest updaters of a version together while there are too many.
    pub fn cap(&mut self) {
        let mut updaters: Vec<Manager> = self
            .managers
            .keys()
            .filter(|manager| !manager.applies)
            .cloned()
            .collect();
        let mut count = updaters.len();
        updaters.sort_by_key(|manager| {
            let time = self.times.get(manager).copied().flatten();
            (time.map_or(0, |time| time.0.as_second()), manager.clone())
        });
        let mut first_of: BTreeMap<String, Manager> = BTreeMap::new();
        for manager in updaters {
            if count <= MAX_UPDATERS {
                return;
            }
            let Some(first) = first_of.get(&manager.api_version).cloned() else {
                first_of.insert(manager.api_version.clone(), manager);
                continue;
            };
            let bucket = Manager {
                name: ANCIENT.to_owned(),
                applies: false,
                api_version: manager.api_version.clone(),
                subresource: String::new(),
            };
            if !self.managers.contains_key(&bucket)
                && let Some(owned) = self.managers.remove(&first)
            {
                self.managers.insert(bucket.clone(), owned);
            }
            if let Some(owned) = self.managers.remove(&manager) {
                let all = self.managers.entry(bucket.clone()).or_default();
                all.set = std::mem::take(&mut all.set).union(owned.set);
                all.api_version = owned.api_version;
                count -= 1;
            }
            let time = self.times.get(&manager).copied().flatten();
            self.times.insert(bucket, time);
        }
    }
}
