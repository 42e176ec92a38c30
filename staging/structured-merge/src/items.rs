//! How items of a list are named: by their keys, or by themselves.

use crate::managers::Error;
use crate::path::{PathElement, Scalar};
use crate::schema::Schema;
use crate::view::{Form, View};
use smallvec::{SmallVec, smallvec};

/// The name of an item.
pub fn element<S: Schema, V: View>(list: S, item: V) -> Result<PathElement, Error> {
    let has_keys = list.key(0).is_some();
    let refuse = |why: &str| Err(Error::Item(why.to_owned()));
    match item.form() {
        Form::Map if has_keys => key(list, item),
        Form::Null if has_keys => refuse("associative list with keys may not have a null element"),
        _ if has_keys => refuse("associative list with keys may not have non-map elements"),
        Form::Map => refuse("associative list without keys has an element that's a map type"),
        Form::List => refuse("not supported: associative list with lists as elements"),
        Form::Null => refuse("associative list without keys has an element that's an explicit null"),
        Form::Scalar => Ok(PathElement::Value(Scalar(item.to_tree()?))),
    }
}

fn key<S: Schema, V: View>(list: S, item: V) -> Result<PathElement, Error> {
    let keys = || (0..).map_while(|index| list.key(index));
    let mut named = Vec::with_capacity(1);
    for key in keys() {
        let value = match item.member(&key)? {
            Some(stated) => Some(stated.to_tree()?),
            None => list.element().and_then(|item| item.default_of(&key)),
        };
        named.extend(value.map(|value| (key, Scalar(value))));
    }
    if named.is_empty() {
        let keys: Vec<String> = keys().map(|key| format!("{key:?}")).collect();
        let keys = keys.join(" ");
        return Err(Error::Item(format!(
            "associative list with keys has an element that omits all key fields [{keys}] (and doesn't have default values for any key fields)"
        )));
    }
    named.sort();
    Ok(PathElement::Key(named))
}

/// The items of a list that bear one name, in the list's order.
pub struct Named<V> {
    pub element: PathElement,
    /// Nearly always one.
    pub items: SmallVec<[V; 1]>,
}

/// The items of a list by their names, in the order of these.
pub struct Index<V>(Vec<Named<V>>);

impl<V: View> Index<V> {
    pub fn new<S: Schema>(list: S, items: impl IntoIterator<Item = V>) -> Result<Self, Error> {
        let of = |item| {
            Ok(Named {
                element: element(list, item)?,
                items: smallvec![item],
            })
        };
        let mut named = items.into_iter().map(of).collect::<Result<Vec<_>, Error>>()?;
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

    pub fn into_named(self) -> Vec<Named<V>> {
        self.0
    }

    pub fn get(&self, element: &PathElement) -> &[V] {
        let place = self.0.binary_search_by(|named| named.element.cmp(element));
        place.map_or(&[], |place| self.0[place].items.as_slice())
    }
}
