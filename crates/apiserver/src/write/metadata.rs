//! The metadata that the server owns: filled on create, carried over on update. Pure but for the fresh uid.

use api::Object;
use api::meta::v1::ObjectMeta;
use apimachinery::status::Status;
use apimachinery::time::Time;
use jiff::Timestamp;

/// Longest prefix that leaves room for the random suffix of a generated name.
const MAX_GENERATED_PREFIX: usize = 58;
const SUFFIX_LENGTH: usize = 5;
/// No vowels, so that no bad words appear; no `0`, `1`, `3`, which look like letters.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Takes out of a body what only the server says.
pub fn wipe(metadata: &mut ObjectMeta) {
    metadata.uid.clear();
    metadata.creation_timestamp = None;
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link.clear();
}

/// Gives a new object its identity, and a name if the client left that to the server.
pub fn fill(metadata: &mut ObjectMeta, now: Timestamp) {
    metadata.creation_timestamp = Some(Time(now).truncated());
    metadata.uid = uuid::Uuid::new_v4().to_string();
    metadata.self_link.clear();
    if metadata.name.is_empty() && !metadata.generate_name.is_empty() {
        metadata.name = generated_name(&metadata.generate_name);
    }
}

/// A prefix with a random suffix.
fn generated_name(prefix: &str) -> String {
    let mut cut = prefix.len().min(MAX_GENERATED_PREFIX);
    while !prefix.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut random = uuid::Uuid::new_v4().as_u128();
    let mut name = prefix[..cut].to_owned();
    for _ in 0..SUFFIX_LENGTH {
        let base = SUFFIX_ALPHABET.len() as u128;
        name.push(char::from(SUFFIX_ALPHABET[(random % base) as usize]));
        random /= base;
    }
    name
}

/// Keeps in the new state of an object what an update can't change.
pub fn carry_over(object: &mut dyn Object, old: &dyn Object) {
    let (metadata, old) = (object.metadata_mut(), old.metadata());
    if metadata.uid.is_empty() {
        metadata.uid.clone_from(&old.uid);
    }
    if old.creation_timestamp.is_some() {
        metadata.creation_timestamp = old.creation_timestamp;
    }
    if old.deletion_timestamp.is_some() {
        metadata.deletion_timestamp = old.deletion_timestamp;
    }
    if metadata.deletion_grace_period_seconds.is_none() {
        metadata.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
}

/// Puts the request's namespace into an object that states none, and refuses another one. Cluster-scoped objects
/// lose whatever they state.
pub fn settle_namespace(metadata: &mut ObjectMeta, requested: &str) -> Result<(), Status> {
    if metadata.namespace.is_empty() || requested.is_empty() {
        requested.clone_into(&mut metadata.namespace);
    }
    if metadata.namespace != requested {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// Drops repeated owner references; returns whose were repeated.
pub fn deduplicate_owners(metadata: &mut ObjectMeta) -> Vec<String> {
    let mut kept: Vec<api::meta::v1::OwnerReference> = Vec::with_capacity(metadata.owner_references.len());
    let mut repeated = Vec::new();
    for owner in std::mem::take(&mut metadata.owner_references) {
        if kept.contains(&owner) {
            repeated.push(owner.uid);
        } else {
            kept.push(owner);
        }
    }
    metadata.owner_references = kept;
    repeated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_fit() {
        let name = generated_name(&"p".repeat(100));
        assert_eq!(name.len(), MAX_GENERATED_PREFIX + SUFFIX_LENGTH);
        assert_ne!(generated_name("a-"), generated_name("a-"));
    }

    #[test]
    fn namespaces_must_agree() {
        let mut metadata = ObjectMeta::default();
        settle_namespace(&mut metadata, "default").expect("filled in");
        assert_eq!(metadata.namespace, "default");
        assert_eq!(
            settle_namespace(&mut metadata, "other")
                .expect_err("differs")
                .code,
            400
        );
        settle_namespace(&mut metadata, "").expect("cluster-scoped");
        assert_eq!(metadata.namespace, "");
    }
}
