//! Equality and order.

use std::cmp::Ordering;

use super::{List, Map, Value};
use crate::schema::ListKind;

/// Whether two values are the same; numbers by what they count, whatever their types.
pub fn equal(one: &Value<'_>, other: &Value<'_>) -> bool {
    use Value::*;
    match (one, other) {
        (Null, Null) => true,
        (Bool(one), Bool(other)) => one == other,
        (Int(_) | Uint(_) | Double(_), Int(_) | Uint(_) | Double(_)) => {
            order(one, other) == Some(Ordering::Equal)
        }
        (String(one), String(other)) => **one == **other,
        (Bytes(one), Bytes(other)) => one == other,
        (Duration(one), Duration(other)) => one == other,
        (Timestamp(one), Timestamp(other)) => one == other,
        (Type(one), Type(other)) => one == other,
        (Optional(None), Optional(None)) => true,
        (Optional(Some(one)), Optional(Some(other))) => equal(one, other),
        (Extension(one), Extension(other)) => one == other,
        (List(one), List(other)) => equal_lists(one, other),
        (Map(one), Map(other)) => equal_maps(one, other),
        _ => false,
    }
}

/// By position; sets and maps that are written as lists, by what is in them.
fn equal_lists(one: &List<'_>, other: &List<'_>) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match list_kind(one) {
        ListKind::Atomic => one
            .iter()
            .zip(other.iter())
            .all(|(one, other)| equal(&one, &other)),
        ListKind::Set | ListKind::Map => one
            .iter()
            .all(|item| other.iter().any(|found| equal(&item, &found))),
    }
}

fn list_kind(list: &List<'_>) -> ListKind {
    match list {
        List::Json(_, Some(schema)) => schema.list_kind,
        _ => ListKind::Atomic,
    }
}

fn equal_maps(one: &Map<'_>, other: &Map<'_>) -> bool {
    one.made_as() == other.made_as()
        && one.len() == other.len()
        && one
            .entries()
            .iter()
            .all(|(key, value)| other.get(key).is_some_and(|found| equal(value, &found)))
}

/// The order of two values that have one. `None` also for what is not a number.
pub fn order(one: &Value<'_>, other: &Value<'_>) -> Option<Ordering> {
    use Value::*;
    Some(match (one, other) {
        (Bool(one), Bool(other)) => one.cmp(other),
        (Int(one), Int(other)) => one.cmp(other),
        (Uint(one), Uint(other)) => one.cmp(other),
        (Int(one), Uint(other)) => i128::from(*one).cmp(&i128::from(*other)),
        (Uint(one), Int(other)) => i128::from(*one).cmp(&i128::from(*other)),
        (Double(one), Double(other)) => return one.partial_cmp(other),
        (Int(one), Double(other)) => return order_double((*one).into(), *other),
        (Uint(one), Double(other)) => return order_double((*one).into(), *other),
        (Double(_), Int(_) | Uint(_)) => return order(other, one).map(Ordering::reverse),
        (String(one), String(other)) => (**one).cmp(&**other),
        (Bytes(one), Bytes(other)) => one.cmp(other),
        (Duration(one), Duration(other)) => one.cmp(other),
        (Timestamp(one), Timestamp(other)) => one.cmp(other),
        _ => return None,
    })
}

/// Exact, where a conversion to a double would round.
fn order_double(one: i128, other: f64) -> Option<Ordering> {
    if other.is_nan() {
        return None;
    }
    if other >= 1e20 {
        return Some(Ordering::Less);
    }
    if other <= -1e20 {
        return Some(Ordering::Greater);
    }
    let whole = other.trunc() as i128;
    Some(one.cmp(&whole).then(0.0.partial_cmp(&other.fract())?))
}
