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
                return Err(Error::Item(format!(
                    "associative list with keys has an element that omits all key fields {keys:?} (and doesn't have default values for any key fields)"
                )));
            }
            named.sort();
            Ok(PathElement::Key(named))
        }
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

/// Items with their names; repeated ones follow each other in the order of their first.
pub fn index<S: Schema>(list: S, items: &[Value]) -> Result<Vec<(PathElement, Vec<&Value>)>, Error> {
    let mut named: Vec<(PathElement, Vec<&Value>)> = Vec::with_capacity(items.len());
    for item in items {
        let element = element(list, item)?;
        match named.iter_mut().find(|(known, _)| *known == element) {
            Some((_, same)) => same.push(item),
            None => named.push((element, vec![item])),
        }
    }
    Ok(named)
}
