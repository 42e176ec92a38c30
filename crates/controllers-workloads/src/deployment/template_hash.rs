//! The hash that names a template's replica set, and the comparison that finds it.

use api::Message;
use api::core::v1::PodTemplateSpec;

use super::rollout::HASH_LABEL;

/// The characters of generated names: no vowels, so no words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The longest name of an object.
const MAX_NAME: usize = 253;

/// A short text for a template. Replica sets are found by their template, never by this: other controllers may hash
/// otherwise.
pub fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut bytes = template.encode_to_vec();
    if let Some(collisions) = collisions {
        bytes.extend_from_slice(&collisions.to_le_bytes());
    }
    encode(&fnv32a(&bytes).to_string())
}

fn fnv32a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]))
        .collect()
}

/// The deployment's name, cut where needed, and the hash.
pub fn replica_set_name(deployment: &str, hash: &str) -> String {
    let room = MAX_NAME - 1 - hash.len();
    format!("{}-{hash}", deployment.get(..room).unwrap_or(deployment))
}

/// Whether two templates make the same pods, whatever their hash labels say.
pub fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    if a.spec != b.spec {
        return false;
    }
    let (mut a, mut b) = (a.metadata.clone(), b.metadata.clone());
    a.labels.remove(HASH_LABEL);
    b.labels.remove(HASH_LABEL);
    a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_depends_on_template_and_collisions_and_fits_names() {
        let mut template = PodTemplateSpec::default();
        let plain = hash(&template, None);
        assert_eq!(plain, hash(&template, None));
        assert_ne!(plain, hash(&template, Some(1)));
        template.spec.node_name = "n".into();
        assert_ne!(plain, hash(&template, None));
        assert!(plain.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(fnv32a(b"foobar"), 0xbf9c_f968);
        assert_eq!(replica_set_name(&"d".repeat(253), "abc").len(), 253);
    }

    #[test]
    fn templates_are_compared_without_their_hash() {
        let mut template = PodTemplateSpec::default();
        let plain = template.clone();
        template.metadata.labels.insert(HASH_LABEL.into(), "x".into());
        assert!(same_template(&plain, &template));
        template.metadata.labels.insert("app".into(), "x".into());
        assert!(!same_template(&plain, &template));
    }
}
