//! Which item of a list is which of the old list.

use serde_json::Value as Json;

/// The keys by which items of a list are told apart; `None`: they are not.
pub(super) fn list_keys(schema: &Json) -> Option<Vec<String>> {
    if schema.get("x-kubernetes-list-type").and_then(Json::as_str) != Some("map") {
        return None;
    }
    let keys = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
    Some(
        keys.iter()
            .filter_map(|key| key.as_str().map(str::to_owned))
            .collect(),
    )
}

/// The old item with the keys of a new one.
pub(super) fn find<'v>(keys: Option<&[String]>, old: Option<&'v Json>, item: &Json) -> Option<&'v Json> {
    let (keys, old) = (keys?, old?.as_array()?);
    old.iter()
        .find(|old| keys.iter().all(|key| old.get(key) == item.get(key)))
}
