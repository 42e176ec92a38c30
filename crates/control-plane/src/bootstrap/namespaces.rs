//! The namespaces that every cluster has.

use api::core::v1::Namespace;
use apimachinery::status::Status;
use apiserver::local::Local;

const NAMES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

/// Makes those that are missing.
pub async fn ensure(local: &Local) -> Result<(), Status> {
    for name in NAMES {
        let mut namespace = Namespace::default();
        namespace.metadata.name = name.to_owned();
        super::ensure(local, namespace).await?;
    }
    Ok(())
}
