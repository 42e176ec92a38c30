//! JSON patch.

use serde_json::Value;

use super::pointer;

/// What the copies of one patch may add up to, in bytes of JSON, as upstream's server limits it.
const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Why a patch does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("json: cannot unmarshal {found} into Go value of type {expected}")]
    Parse {
        found: &'static str,
        expected: &'static str,
    },
    #[error("Unexpected kind: {0}")]
    UnknownOperation(String),
    #[error("{operation} operation does not apply: doc is missing {member}")]
    MissingMember {
        operation: &'static str,
        member: &'static str,
    },
    #[error("invalid JSON pointer {path:?}")]
    Pointer { path: String },
    #[error("{operation} operation does not apply: doc is missing path: \"{path}\": missing value")]
    MissingPath { operation: &'static str, path: String },
    #[error("testing value {path} failed: test failed")]
    TestFailed { path: String },
    #[error("copied values exceed {MAX_COPIED_BYTES} bytes")]
    CopyTooLarge,
}

/// One step of a patch.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    Add { path: String, value: Value },
    Remove { path: String },
    Replace { path: String, value: Value },
    Move { from: String, path: String },
    Copy { from: String, path: String },
    Test { path: String, value: Value },
}

/// Reads a patch document.
pub fn parse(document: &Value) -> Result<Vec<Operation>, Error> {
    let items = document.as_array().ok_or_else(|| Error::Parse {
        found: go_kind(document),
        expected: "jsonpatch.Patch",
    })?;
    items.iter().map(parse_operation).collect()
}

/// As Go's decoder names what it found.
fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn parse_operation(item: &Value) -> Result<Operation, Error> {
    let members = item.as_object().ok_or_else(|| Error::Parse {
        found: go_kind(item),
        expected: "jsonpatch.Operation",
    })?;
    let text = |member: &'static str, operation: &'static str| {
        let value = members.get(member).and_then(Value::as_str).map(str::to_owned);
        value.ok_or(Error::MissingMember { operation, member })
    };
    // An absent value means null, as it does upstream.
    let value = || members.get("value").cloned().unwrap_or(Value::Null);
    Ok(
        match members.get("op").and_then(Value::as_str).unwrap_or("unknown") {
            "add" => Operation::Add {
                path: text("path", "add")?,
                value: value(),
            },
            "remove" => Operation::Remove {
                path: text("path", "remove")?,
            },
            "replace" => Operation::Replace {
                path: text("path", "replace")?,
                value: value(),
            },
            "move" => Operation::Move {
                from: text("from", "move")?,
                path: text("path", "move")?,
            },
            "copy" => Operation::Copy {
                from: text("from", "copy")?,
                path: text("path", "copy")?,
            },
            "test" => Operation::Test {
                path: text("path", "test")?,
                value: value(),
            },
            other => return Err(Error::UnknownOperation(other.to_owned())),
        },
    )
}

/// Applies the operations of a patch document in order. On an error `target` is left half patched.
pub fn json_patch(target: &mut Value, document: &Value) -> Result<(), Error> {
    let mut copied = 0;
    for operation in parse(document)? {
        apply(target, operation, &mut copied)?;
    }
    Ok(())
}

fn apply(target: &mut Value, operation: Operation, copied: &mut usize) -> Result<(), Error> {
    match operation {
        Operation::Add { path, value } => add(target, "add", &path, value),
        Operation::Remove { path } => remove(target, "remove", &path).map(drop),
        Operation::Replace { path, value } => {
            let steps = pointer::parse(&path)?;
            // A member that is not there is replaced as well.
            if let Some((last, parents)) = steps.split_last()
                && let Some(Value::Object(members)) = pointer::get_mut(target, parents)
            {
                members.insert(last.clone(), value);
                return Ok(());
            }
            *pointer::get_mut(target, &steps).ok_or(Error::MissingPath {
                operation: "replace",
                path,
            })? = value;
            Ok(())
        }
        Operation::Move { from, path } => {
            let value = remove(target, "move", &from)?;
            add(target, "move", &path, value)
        }
        Operation::Copy { from, path } => {
            let value = copied_value(target, from)?;
            *copied += value.to_string().len();
            if *copied > MAX_COPIED_BYTES {
                return Err(Error::CopyTooLarge);
            }
            add(target, "copy", &path, value)
        }
        Operation::Test { path, value } => {
            // An absent member equals null.
            let found = pointer::get(target, &pointer::parse(&path)?).unwrap_or(&Value::Null);
            if *found == value {
                Ok(())
            } else {
                Err(Error::TestFailed { path })
            }
        }
    }
}

/// What stands at a path; null for a member that an object lacks.
fn copied_value(target: &Value, from: String) -> Result<Value, Error> {
    let steps = pointer::parse(&from)?;
    if let Some(found) = pointer::get(target, &steps) {
        return Ok(found.clone());
    }
    match steps
        .split_last()
        .and_then(|(_, parents)| pointer::get(target, parents))
    {
        Some(Value::Object(_)) => Ok(Value::Null),
        _ => Err(Error::MissingPath {
            operation: "copy",
            path: from,
        }),
    }
}

fn add(target: &mut Value, operation: &'static str, path: &str, value: Value) -> Result<(), Error> {
    let missing = || Error::MissingPath {
        operation,
        path: path.to_owned(),
    };
    let steps = pointer::parse(path)?;
    let Some((last, parents)) = steps.split_last() else {
        *target = value;
        return Ok(());
    };
    match pointer::get_mut(target, parents).ok_or_else(missing)? {
        Value::Object(members) => {
            members.insert(last.clone(), value);
        }
        Value::Array(items) => {
            let index = pointer::insertion_index(last, items.len()).ok_or_else(missing)?;
            items.insert(index, value);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

fn remove(target: &mut Value, operation: &'static str, path: &str) -> Result<Value, Error> {
    let missing = || Error::MissingPath {
        operation,
        path: path.to_owned(),
    };
    let steps = pointer::parse(path)?;
    let (last, parents) = steps.split_last().ok_or_else(missing)?;
    match pointer::get_mut(target, parents).ok_or_else(missing)? {
        Value::Object(members) => members.remove(last).ok_or_else(missing),
        Value::Array(items) => {
            let index = pointer::existing_index(last, items.len()).ok_or_else(missing)?;
            Ok(items.remove(index))
        }
        _ => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::json_patch;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(mut target: Value, patch: Value, expected: Result<Value, &str>) {
        let found = json_patch(&mut target, &patch)
            .map(|()| target)
            .map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn applies_each_operation() {
        check(
            json!({"a":1}),
            json!([{"op":"add","path":"/b","value":2}]),
            Ok(json!({"a":1,"b":2})),
        );
        check(
            json!({"a":[1,2]}),
            json!([{"op":"add","path":"/a/1","value":9}]),
            Ok(json!({"a":[1,9,2]})),
        );
        check(
            json!({"a":[1]}),
            json!([{"op":"add","path":"/a/-","value":9}]),
            Ok(json!({"a":[1,9]})),
        );
        check(
            json!({"a":[1,2]}),
            json!([{"op":"remove","path":"/a/-1"}]),
            Ok(json!({"a":[1]})),
        );
        check(
            json!({"a/b":{"m~n":1}}),
            json!([{"op":"replace","path":"/a~1b/m~0n","value":2}]),
            Ok(json!({"a/b":{"m~n":2}})),
        );
        check(
            json!({"a":1}),
            json!([{"op":"move","from":"/a","path":"/b"}]),
            Ok(json!({"b":1})),
        );
        check(
            json!({"a":1}),
            json!([{"op":"copy","from":"/a","path":"/b"}]),
            Ok(json!({"a":1,"b":1})),
        );
        check(
            json!({"a":1}),
            json!([{"op":"test","path":"/a","value":1}]),
            Ok(json!({"a":1})),
        );
        check(
            json!({}),
            json!([{"op":"test","path":"/a","value":null}]),
            Ok(json!({})),
        );
        check(
            json!({"a":1}),
            json!([{"op":"replace","path":"","value":[]}]),
            Ok(json!([])),
        );
    }

    #[test]
    fn refuses_what_does_not_apply() {
        check(
            json!({}),
            json!([{"op":"test","path":"/a","value":1}]),
            Err("testing value /a failed: test failed"),
        );
        check(
            json!({}),
            json!([{"op":"remove","path":"/a"}]),
            Err("remove operation does not apply: doc is missing path: \"/a\": missing value"),
        );
        check(
            json!({"a":[]}),
            json!([{"op":"add","path":"/a/1","value":1}]),
            Err("add operation does not apply: doc is missing path: \"/a/1\": missing value"),
        );
        check(
            json!({}),
            json!([{"op":"odd","path":"/a"}]),
            Err("Unexpected kind: odd"),
        );
        check(
            json!({}),
            json!({}),
            Err("json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
        );
    }
}
