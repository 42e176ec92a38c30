//! The store without a disk: for tests and for components that need one that dies with them.

use crate::Error;
use crate::local::journal::Recovered;
pub use crate::local::{LocalStore, Options, WallClock};

/// An empty store.
pub fn open(options: Options) -> Result<LocalStore, Error> {
    LocalStore::start(
        Recovered::empty(options.history),
        None,
        Box::new(|| Ok(0)),
        options,
    )
}
