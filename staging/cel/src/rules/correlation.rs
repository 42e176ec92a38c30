//! Which item of a list is which of the old list, and whether a value is what it was.
//!
//! Upstream: `k8s.io/apiserver/pkg/cel/common` (its map lists and correlated objects).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

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

/// The items of an old list by their keys.
pub(super) struct Items<'v> {
    keys: &'v [String],
    by_key: HashMap<String, &'v Json>,
}

impl<'v> Items<'v> {
    pub fn new(keys: &'v [String], old: &'v [Json]) -> Self {
        let mut by_key = HashMap::with_capacity(old.len());
        for item in old {
            if let Some(key) = key(keys, item) {
                by_key.entry(key).or_insert(item);
            }
        }
        Self { keys, by_key }
    }

    /// The old item with the keys of a new one.
    pub fn find(&self, item: &Json) -> Option<&'v Json> {
        self.by_key.get(&key(self.keys, item)?).copied()
    }
}

/// All keys of an item as one text; `None`: it lacks one, or one is no scalar.
fn key(keys: &[String], item: &Json) -> Option<String> {
    let mut text = String::new();
    for key in keys {
        match item.get(key)? {
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
            scalar => text.push_str(&scalar.to_string()),
        }
        text.push('\0');
    }
    Some(text)
}

/// How values of a schema are compared with what they were, where that takes more than `==`: the order of lists with
/// keys does not matter, and nobody knows whether members that are not declared are the same.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    keys: Option<Vec<String>>,
    pub items: Option<Arc<Comparison>>,
    pub members: BTreeMap<String, Arc<Comparison>>,
    pub additional: Option<Arc<Comparison>>,
    /// The members that are declared, where there may be others.
    declared: Option<BTreeSet<String>>,
}

impl Comparison {
    /// Of a schema; `None`: values are compared by `==`.
    pub fn new(schema: &Json, is_resource: bool, depth: usize) -> Option<Arc<Self>> {
        let below = |part: &Json, is_open: bool| Self::new(part, is_open, depth.checked_sub(1)?);
        let is_embedded = |part: &Json| flag(part, "x-kubernetes-embedded-resource");
        let mut comparison = Self {
            keys: list_keys(schema),
            ..Self::default()
        };
        if comparison.keys.is_some() {
            let items = schema.get("items");
            comparison.items = items.and_then(|items| below(items, is_embedded(items)));
        }
        let none = Map::new();
        let properties = schema
            .get("properties")
            .and_then(Json::as_object)
            .unwrap_or(&none);
        for (name, part) in properties {
            let is_open = is_embedded(part) || (is_resource && name == "metadata");
            if let Some(part) = below(part, is_open) {
                comparison.members.insert(name.clone(), part);
            }
        }
        let additional = schema.get("additionalProperties");
        let of_others = additional.filter(|additional| additional.is_object());
        comparison.additional = of_others.and_then(|part| below(part, is_embedded(part)));
        let is_open = is_resource
            || additional == Some(&Json::Bool(true))
            || flag(schema, "x-kubernetes-preserve-unknown-fields");
        if is_open && of_others.is_none() {
            comparison.declared = Some(properties.keys().cloned().collect());
        }
        let is_plain = comparison.keys.is_none()
            && comparison.members.is_empty()
            && comparison.additional.is_none()
            && comparison.declared.is_none();
        (!is_plain).then(|| Arc::new(comparison))
    }

    fn member(&self, name: &str) -> Option<&Self> {
        self.members
            .get(name)
            .or(self.additional.as_ref())
            .map(|part| &**part)
    }

    fn knows(&self, name: &str) -> bool {
        self.declared.as_ref().is_none_or(|known| known.contains(name))
    }
}

/// Whether a value is what it was.
pub(super) fn is_same(comparison: Option<&Comparison>, new: &Json, old: &Json) -> bool {
    let Some(comparison) = comparison else {
        return new == old;
    };
    match (new, old, &comparison.keys) {
        (Json::Array(new), Json::Array(old), Some(keys)) => {
            let before = Items::new(keys, old);
            let of_items = comparison.items.as_deref();
            let is_item_same = |item| before.find(item).is_some_and(|old| is_same(of_items, item, old));
            new.len() == old.len() && new.iter().all(is_item_same)
        }
        (Json::Object(new), Json::Object(old), _) => {
            let is_member_same = |(name, value): (&String, &Json)| {
                let before = old.get(name).filter(|_| comparison.knows(name));
                before.is_some_and(|old| is_same(comparison.member(name), value, old))
            };
            new.len() == old.len() && new.iter().all(is_member_same)
        }
        _ => new == old,
    }
}

fn flag(schema: &Json, key: &str) -> bool {
    schema.get(key) == Some(&Json::Bool(true))
}
