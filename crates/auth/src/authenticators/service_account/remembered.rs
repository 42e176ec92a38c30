//! Tokens whose signature has been checked, by their digest: the tokens themselves are not kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};

const MAX_REMEMBERED: usize = 4096;

pub(super) struct Remembered<T> {
    entries: Mutex<HashMap<[u8; 32], T>>,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
        }
    }
}

impl<T: Clone> Remembered<T> {
    pub(super) fn get(&self, token: &str) -> Option<T> {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key(token))
            .cloned()
    }

    /// A full memory starts anew: its entries are cheap to win back.
    pub(super) fn put(&self, token: &str, value: T) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_REMEMBERED {
            entries.clear();
        }
        entries.insert(key(token), value);
    }
}

fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}
