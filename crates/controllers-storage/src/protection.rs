//! Keeps what is in use: a finalizer is on every object, and comes off one that is deleted once nothing uses it.
//!
//! [`claims`] are used by pods, [`volumes`] by claims, [`attributes_classes`] by both.
//!
//! Upstream: pkg/controller/volume/{pvcprotection,pvprotection,vacprotection}

pub mod attributes_classes;
pub mod claims;
pub mod volumes;

use api::Resource;
use api::meta::v1::ObjectMeta;
use client::{Client, Error};

/// What there is to do about an object's finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// Admission adds it; this is for objects that are older, or came when the plugin was off.
    Add,
    RemoveIfUnused,
}

fn step(metadata: &ObjectMeta, finalizer: &str) -> Step {
    let has_it = metadata.finalizers.iter().any(|own| own == finalizer);
    match (metadata.deletion_timestamp.is_some(), has_it) {
        (true, true) => Step::RemoveIfUnused,
        (false, false) => Step::Add,
        _ => Step::Nothing,
    }
}

async fn add<K: Resource>(client: &Client, object: &K, finalizer: &str) -> Result<(), Error> {
    let mut object = object.clone();
    object.metadata_mut().finalizers.push(finalizer.to_owned());
    write(client, &object).await
}

async fn remove<K: Resource>(client: &Client, object: &K, finalizer: &str) -> Result<(), Error> {
    let mut object = object.clone();
    object.metadata_mut().finalizers.retain(|own| own != finalizer);
    write(client, &object).await
}

async fn write<K: Resource>(client: &Client, object: &K) -> Result<(), Error> {
    let api = client.api::<K>().namespace(&object.metadata().namespace);
    match api.update(object).await {
        Err(error) if error.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use apimachinery::time::Time;

    use super::*;

    #[test]
    fn steps() {
        let check = |finalizers: &[&str], deleted: bool, expected: Step| {
            let metadata = ObjectMeta {
                finalizers: finalizers.iter().map(|text| (*text).to_owned()).collect(),
                deletion_timestamp: deleted.then_some(Time(jiff::Timestamp::UNIX_EPOCH)),
                ..ObjectMeta::default()
            };
            assert_eq!(step(&metadata, "f"), expected, "{finalizers:?} {deleted}");
        };
        check(&[], false, Step::Add);
        check(&["f"], false, Step::Nothing);
        check(&["f", "g"], true, Step::RemoveIfUnused);
        check(&["g"], true, Step::Nothing);
    }
}
