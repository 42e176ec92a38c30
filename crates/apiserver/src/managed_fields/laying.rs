//! Configurations laid over documents in nobody's name.

use serde_json::Value;

use super::node::Node;

/// A document with a configuration over it. Whoever writes one so does not own the fields: nothing keeps what would be
/// taken away by replacing something atomic, and so that is not done.
///
/// # Errors
/// The configuration is not of the type, or has atomic lists or maps.
pub fn lay_over(document: &Value, configuration: &Value, schema: Node<'_>) -> Result<Value, String> {
    structured_merge::check(configuration, schema)
        .map_err(|errors| format!("failed to convert patch object to typed object: {errors}"))?;
    let atomics = structured_merge::atomics(configuration, schema);
    if !atomics.is_empty() {
        let shown: Vec<_> = atomics.iter().map(|path| structured_merge::show(path)).collect();
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            shown.join(", ")
        ));
    }
    structured_merge::merge(document, configuration, schema)
        .map_err(|error| format!("failed to merge patch: {error}"))
}
