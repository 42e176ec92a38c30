//! Classes of storage, attachments, and what CSI drivers say of themselves.
//!
//! Upstream: `pkg/apis/storage/validation`, `pkg/registry/storage`.

pub mod attachments;
pub mod classes;
pub mod drivers;

use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_dns1123_subdomain;

use crate::metadata::messages;

pub use attachments::VolumeAttachments;
pub use classes::{StorageClasses, VolumeAttributesClasses};
pub use drivers::{CsiDrivers, CsiNodes, CsiStorageCapacities};

const MAX_DRIVER_NAME: usize = 63;

/// Errors of the name of a CSI driver.
pub(crate) fn validate_driver_name(name: &str, path: &Path) -> ErrorList {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    let mut errors = ErrorList::new();
    if name.len() > MAX_DRIVER_NAME {
        errors.push(Error::too_long(path, MAX_DRIVER_NAME));
    }
    errors.extend(messages(path, name, is_dns1123_subdomain(&name.to_lowercase())));
    errors
}
