//! The order of merged lists: the patch's items in the patch's order, the others where they were.

use super::lists::{find, merge_key_value, merge_or_replace, one_type};
use super::{DIRECTIVE, Error, SET_ELEMENT_ORDER, Schema, type_name, without_directives};
use serde_json::{Map, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Scalars,
    Objects,
}

/// Handles every `$setElementOrder/FIELD` of a patch together with the patch of that field, and takes both out.
pub fn apply_directives(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    schema: Schema,
    depth: usize,
) -> Result<(), Error> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(SET_ELEMENT_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let order = list(patch.remove(&directive).unwrap_or_default())?;
        let rest = directive.strip_prefix(SET_ELEMENT_ORDER).unwrap_or_default();
        let field = rest.strip_prefix('/').ok_or(Error::SetElementOrder)?;
        let own = original.get(field).cloned().map(list).transpose()?;
        let patched = patch.get(field).cloned().map(list).transpose()?;
        let strategy = schema.field(field)?;
        let key = strategy.merge_key;
        check_consistency(patched.as_deref().unwrap_or_default(), &order, key, field)?;
        let merged = match (&own, &patched) {
            (None, None) => continue,
            (Some(own), None) => own.clone(),
            (None, Some(patched)) => patched.iter().cloned().filter_map(without_directives).collect(),
            (Some(own), Some(patched)) => {
                merge_or_replace(own.clone(), patched.clone(), field, strategy, depth)?
            }
        };
        let kind = one_type(own.iter().flatten().chain(patched.iter().flatten()))?;
        let (from_patch, others) = partition(merged, &order, key)?;
        let ordered = put_in_order(
            from_patch,
            others,
            &order,
            own.as_deref().unwrap_or_default(),
            key,
            kind,
        )?;
        original.insert(field.to_owned(), Value::Array(ordered));
        patch.remove(field);
    }
    Ok(())
}

fn list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(Error::Type {
            expected: "[]interface {}",
            received: type_name(&other),
        }),
    }
}

/// The patch's items must come in the order that the directive states.
fn check_consistency(patch: &[Value], order: &[Value], key: &str, field: &str) -> Result<(), Error> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut expected = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        let same = |stated: &Value| -> Result<bool, Error> {
            if key.is_empty() {
                return Ok(stated == item);
            }
            Ok(merge_key_value(item, key)? == merge_key_value(stated, key)?)
        };
        loop {
            match expected.next() {
                None => return Err(Error::OrderMismatch(field.to_owned())),
                Some(stated) if same(stated)? => break,
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Splits items into those present in a list, and the others.
pub fn partition(items: Vec<Value>, by: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let (mut present, mut others) = (Vec::new(), Vec::new());
    for item in items {
        let is_present = if key.is_empty() {
            by.contains(&item)
        } else {
            find(by, key, merge_key_value(&item, key)?)?.is_some()
        };
        if is_present {
            present.push(item)
        } else {
            others.push(item)
        }
    }
    Ok((present, others))
}

/// Sorts the patch's items as the patch has them and the others as the server had them, then merges both by the
/// server's order; where it does not say, the patch's come first.
pub fn put_in_order(
    from_patch: Vec<Value>,
    others: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    key: &str,
    kind: Kind,
) -> Result<Vec<Value>, Error> {
    let from_patch = sorted(from_patch, patch_order, key, kind)?;
    let others = sorted(others, server_order, key, kind)?;
    let comes_before = |left: &Value, right: &Value| {
        let place = |item| position(server_order, item, key, kind);
        matches!((place(left), place(right)), (Some(left), Some(right)) if left < right)
    };
    let mut merged = Vec::with_capacity(from_patch.len() + others.len());
    let (mut left, mut right) = (others.into_iter().peekable(), from_patch.into_iter().peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some(own), Some(patched)) if comes_before(own, patched) => left.next(),
            (_, Some(_)) => right.next(),
            (Some(_), None) => left.next(),
            (None, None) => return Ok(merged),
        };
        merged.extend(next);
    }
}

/// Items in a list's order; `$patch: delete` items go last.
fn sorted(mut items: Vec<Value>, order: &[Value], key: &str, kind: Kind) -> Result<Vec<Value>, Error> {
    if kind == Kind::Objects {
        for item in items.iter().chain(order) {
            merge_key_value(item, key)?;
        }
        items.sort_by_key(|item| item.get(DIRECTIVE).is_some_and(|directive| directive == "delete"));
    }
    let deleted = |item: &Value| kind == Kind::Objects && item.get(DIRECTIVE).is_some();
    items.sort_by_key(|item| (deleted(item), position(order, item, key, kind)));
    Ok(items)
}

fn position(list: &[Value], item: &Value, key: &str, kind: Kind) -> Option<usize> {
    match kind {
        Kind::Scalars => list.iter().position(|other| other == item),
        Kind::Objects => list.iter().position(|other| other.get(key) == item.get(key)),
    }
}
