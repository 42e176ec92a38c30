//! A cache's content as of one revision.

use std::sync::Arc;

use super::entry::Entry;
use super::index::FieldIndex;
use super::watch::Scope;
use crate::Revision;
use crate::versioned::View;

/// Entries in key order.
pub type Entries<'a> = Box<dyn Iterator<Item = &'a Arc<Entry>> + Send + 'a>;

/// Everything under the cache's prefix as of one revision; O(1) to take and to clone, unaffected by writes.
#[derive(Clone)]
pub struct Snapshot {
    pub(super) view: View<Entry>,
    /// Only snapshots of the newest state have it.
    pub(super) index: Option<FieldIndex>,
}

impl Snapshot {
    /// The store's revision that the content is valid for: the resource version of a list.
    pub fn revision(&self) -> Revision {
        self.view.revision
    }

    pub fn get(&self, key: &[u8]) -> Option<&Arc<Entry>> {
        self.view.map.get(key)
    }

    /// How many entries there are in all.
    pub fn len(&self) -> usize {
        self.view.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.view.map.is_empty()
    }

    /// Entries under the prefix, strictly after `after`, in key order.
    pub fn range<'a>(&'a self, prefix: &'a [u8], after: Option<&[u8]>) -> Entries<'a> {
        Box::new(self.view.range(prefix, after))
    }

    /// Entries in the scope, strictly after `after`, in key order.
    pub fn scoped<'a>(&'a self, scope: &'a Scope, after: Option<&'a [u8]>) -> Entries<'a> {
        match scope {
            Scope::Prefix(prefix) => self.range(prefix, after),
            Scope::Key(key) => {
                let unsent = after.is_none_or(|after| after < &key[..]);
                Box::new(self.get(key).filter(|_| unsent).into_iter())
            }
            Scope::Field { prefix, field, value } => Box::new(
                self.by_field(field, value, after)
                    .filter(|entry| entry.key().starts_with(prefix)),
            ),
        }
    }

    /// Entries whose field has the value: from the index where there is one, else by looking at each.
    pub fn by_field<'a>(&'a self, field: &'a str, value: &'a str, after: Option<&'a [u8]>) -> Entries<'a> {
        match self
            .index
            .as_ref()
            .and_then(|index| index.range(field, value, after))
        {
            Some(indexed) => Box::new(indexed),
            None => {
                let all = self.view.range(b"", after);
                Box::new(all.filter(move |entry| entry.fields().get(field) == Some(value)))
            }
        }
    }
}
