//! JSON pointers (RFC 6901), with `-` and negative indices in lists.

use serde_json::Value;

use super::Error;

/// The steps of a pointer, unescaped. `""` is the whole document.
pub(super) fn parse(path: &str) -> Result<Vec<String>, Error> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let rest = path.strip_prefix('/').ok_or_else(|| Error::Pointer {
        path: path.to_owned(),
    })?;
    Ok(rest
        .split('/')
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect())
}

/// The value at `steps`.
pub(super) fn get<'v>(root: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(root, |at, step| match at {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(existing_index(step, items.len())?),
        _ => None,
    })
}

pub(super) fn get_mut<'v>(root: &'v mut Value, steps: &[String]) -> Option<&'v mut Value> {
    steps.iter().try_fold(root, |at, step| match at {
        Value::Object(members) => members.get_mut(step),
        Value::Array(items) => {
            let index = existing_index(step, items.len())?;
            items.get_mut(index)
        }
        _ => None,
    })
}

/// The index of an element that exists; `-1` is the last one.
pub(super) fn existing_index(step: &str, length: usize) -> Option<usize> {
    let index: i64 = step.parse().ok()?;
    resolve(index, length).filter(|&index| index < length)
}

/// The index before which an element goes; `-` and `-1` are the end.
pub(super) fn insertion_index(step: &str, length: usize) -> Option<usize> {
    if step == "-" {
        return Some(length);
    }
    let index: i64 = step.parse().ok()?;
    resolve(index, length + 1).filter(|&index| index <= length)
}

fn resolve(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}
