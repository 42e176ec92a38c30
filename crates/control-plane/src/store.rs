//! Opens the store that the options name.

use std::sync::Arc;

use storage::{Store, embedded, memory};

use crate::Error;
use crate::options::StorageOptions;

/// Opens the store, reading what is there.
pub fn open(options: &StorageOptions) -> Result<Arc<dyn Store>, Error> {
    Ok(match options {
        StorageOptions::Memory => Arc::new(memory::open(memory::Options::default())?),
        StorageOptions::Embedded { directory } => Arc::new(embedded::open(directory, embedded::Options::default())?),
    })
}
