//! How items of a list are named: by their keys, or by themselves.

use crate::managers::Error;
use crate::path::{PathElement, Scalar};
use crate::schema::Schema;
use serde_json::Value;

/// The name of an item.
pub fn element<S: Schema>(list: S, item: &Value) -> Result<PathElement, Error> {
    let keys = list.keys();
    match item {
        Value::Object(members) if !keys.is_empty() => {
            let of = |key: &&str| {
                let stated = members.get(*key).cloned();
                let value = stated.or_else(|| list.element().and_then(|item| item.default_of(key)));
                value.map(|value| ((*key).to_owned(), Scalar(value)))
            };
            let mut named: Vec<(String, Scalar)> = keys.iter().filter_map(of).collect();
            if named.is_empty() {
                let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
                let keys = keys.join(" ");
                return Err(Error::Item(format!(
                    "associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default values for any key fields)"
                )));
            }
            named.sort();
            Ok(PathElement::Key(named))
        }
        Value::Null if !keys.is_empty() => Err(Error::Item(
            "associative list with keys may not have a null element".to_owned(),
        )),
        _ if !keys.is_empty() => Err(Error::Item(
            "associative list with keys may not have non-map elements".to_owned(),
        )),
        Value::Object(_) => Err(Error::Item(
            "associative list without keys has an element that's a map type".to_owned(),
        )),
        Value::Array(_) => Err(Error::Item(
            "not supported: associative list with lists as elements".to_owned(),
        )),
        Value::Null => Err(Error::Item(
            "associative list without keys has an element that's an explicit null".to_owned(),
        )),
        scalar => Ok(PathElement::Value(Scalar(scalar.clone()))),
    }
}

/// The items of a list that bear one name, in the list's order.
pub struct Named<'v> {
    pub element: PathElement,
    pub items: Vec<&'v Value>,
}

/// The items of a list by their names, in the order of these.
pub struct Index<'v>(Vec<Named<'v>>);

impl<'v> Index<'v> {
    pub fn new<S: Schema>(list: S, items: &'v [Value]) -> Result<Self, Error> {
        let mut named = Vec::with_capacity(items.len());
        for item in items {
            named.push(Named {
                element: element(list, item)?,
                items: vec![item],
            });
        }
        // Stable: items that share a name stay in their order.
        named.sort_by(|a, b| a.element.cmp(&b.element));
        named.dedup_by(|next, kept| {
            let same = next.element == kept.element;
            if same {
                kept.items.append(&mut next.items);
            }
            same
        });
        Ok(Self(named))
    }

    pub fn named(&self) -> &[Named<'v>] {
        &self.0
    }

    pub fn into_named(self) -> Vec<Named<'v>> {
        self.0
    }

    pub fn get(&self, element: &PathElement) -> &[&'v Value] {
        let place = self.0.binary_search_by(|named| named.element.cmp(element));
        place.map_or(&[], |place| self.0[place].items.as_slice())
    }
}
