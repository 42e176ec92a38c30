//! The managers of an object, as its metadata lists them.

use std::collections::BTreeMap;

use api::Object;
use api::meta::v1::{FieldsV1, ManagedFieldsEntry};
use apimachinery::time::Time;
use structured_merge::managers::{Error, Manager, Owned};
use structured_merge::{Managers, Set, Share};

use super::{ANCIENT, MAX_UPDATERS};

#[derive(Clone, Default)]
pub struct Entries {
    pub managers: Managers,
    pub times: BTreeMap<Manager, Option<Time>>,
}

/// What may be taken from a list of entries as it is written.
#[derive(Clone, Copy)]
enum Trust<'a> {
    /// It was stored by a server.
    All,
    /// Only what these state, too: the rest is a client's.
    Those(&'a [ManagedFieldsEntry]),
}

impl Trust<'_> {
    fn covers(self, entry: &ManagedFieldsEntry) -> bool {
        match self {
            Self::All => true,
            Self::Those(stored) => stored.iter().any(|other| other.fields_v1 == entry.fields_v1),
        }
    }
}

impl Entries {
    /// The managers of a stored object; `None` if its list is none.
    pub fn stored(list: &[ManagedFieldsEntry]) -> Option<Self> {
        Self::decode(list.to_vec(), Trust::All)
    }

    fn decode(list: Vec<ManagedFieldsEntry>, trust: Trust<'_>) -> Option<Self> {
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
            let is_trusted = trust.covers(&entry);
            let mut json = entry.fields_v1.map_or(Vec::new(), |fields| fields.raw);
            if json.is_empty() {
                json = b"{}".to_vec();
            }
            let share = if is_trusted {
                Share::Written(json)
            } else {
                Share::Read(Set::from_json(&json).ok()?)
            };
            let manager = Manager {
                name: entry.manager,
                applies,
                api_version: if applies {
                    String::new()
                } else {
                    entry.api_version.clone()
                },
                subresource: entry.subresource,
            };
            let api_version = entry.api_version;
            entries.times.insert(manager.clone(), entry.time);
            entries.managers.insert(manager, Owned { share, api_version });
        }
        Some(entries)
    }

    /// The managers that an update starts from: those it was sent with, or else the live object's; through a
    /// subresource always these. `None`: the client asked for their removal.
    pub fn of_update(
        sent: Vec<ManagedFieldsEntry>,
        live: Option<&dyn Object>,
        is_subresource: bool,
    ) -> Option<Self> {
        let stored = live.map_or(&[][..], |live| live.metadata().managed_fields.as_slice());
        let live = || Self::stored(stored).unwrap_or_default();
        if is_subresource {
            return Some(live());
        }
        // One blank entry says that all shall go.
        if matches!(sent.as_slice(), [only] if *only == ManagedFieldsEntry::default()) {
            return None;
        }
        match Self::decode(sent, Trust::Those(stored)) {
            Some(entries) if !entries.managers.is_empty() => Some(entries),
            _ => Some(live()),
        }
    }

    /// The list, in upstream's order: appliers first, then by time, name, version and subresource.
    pub fn encode(self) -> Vec<ManagedFieldsEntry> {
        let Self { managers, times } = self;
        let entry = |(manager, owned): (Manager, Owned)| ManagedFieldsEntry {
            time: times.get(&manager).copied().flatten(),
            manager: manager.name,
            operation: if manager.applies { "Apply" } else { "Update" }.to_owned(),
            api_version: owned.api_version,
            fields_type: "FieldsV1".to_owned(),
            fields_v1: Some(FieldsV1 {
                raw: owned.share.into_json(),
            }),
            subresource: manager.subresource,
        };
        let mut list: Vec<ManagedFieldsEntry> = managers.into_iter().map(entry).collect();
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
    pub fn cap(&mut self) -> Result<(), Error> {
        if self.managers.len() <= MAX_UPDATERS {
            return Ok(());
        }
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
                return Ok(());
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
                all.share.add(owned.share.into_set()?)?;
                all.api_version = owned.api_version;
                count -= 1;
            }
            let time = self.times.get(&manager).copied().flatten();
            self.times.insert(bucket, time);
        }
        Ok(())
    }
}
