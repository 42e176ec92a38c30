//! The hash that says whether a running container still is the specified one. Upstream: `container.HashContainer`.
//!
//! It must be upstream's to the bit: it is stored with the container, and a kubelet that computes another one
//! restarts everything on the node.

use api::core::v1::Container;
use std::fmt::Write as _;

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// FNV-1a (32 bits) over the printed bytes of a JSON object with the two fields that may change in place.
pub fn hash(container: &Container) -> u64 {
    let json = serde_json::json!({ "image": container.image, "name": container.name }).to_string();
    // Upstream prints the JSON as a slice of numbers before hashing it.
    let mut printed = String::from("([]uint8)[");
    for (index, byte) in escape_html(&json).bytes().enumerate() {
        let separator = if index == 0 { "" } else { " " };
        write!(printed, "{separator}{byte}").expect("invariant: writing to a String cannot fail");
    }
    printed.push(']');
    u64::from(fnv1a(printed.as_bytes()))
}

/// Go's JSON encoder escapes these three characters inside strings.
fn escape_html(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

pub fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_upstream() {
        let container = Container {
            name: "test_container".into(),
            image: "foo/image:v1".into(),
            ..Container::default()
        };
        assert_eq!(hash(&container), 0x8e45_cbd0);
    }
}
