//! The priority classes of the system's own pods.

use api::scheduling::v1::PriorityClass;
use apimachinery::status::Status;
use apiserver::local::Local;

const CLASSES: [(&str, i32, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

/// Makes those that are missing.
pub async fn ensure(local: &Local) -> Result<(), Status> {
    for (name, value, description) in CLASSES {
        let mut class = PriorityClass {
            value,
            description: description.to_owned(),
            ..PriorityClass::default()
        };
        class.metadata.name = name.to_owned();
        super::ensure(local, class).await?;
    }
    Ok(())
}
