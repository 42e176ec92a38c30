//! What differs between two values of a type.

use crate::items::Index;
use crate::managers::Error;
use crate::path::PathElement;
use crate::schema::{Schema, Walk, walk};
use crate::set::{Node, Set};
use serde_json::{Map, Value};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

impl Comparison {
    fn union(self, other: Comparison) -> Comparison {
        Comparison {
            added: self.added.union(other.added),
            modified: self.modified.union(other.modified),
            removed: self.removed.union(other.removed),
        }
    }

    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Without fields, and what is below them, that a request cannot change anyway.
    #[must_use]
    pub fn without(self, ignored: &Set) -> Comparison {
        Comparison {
            added: self.added.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            removed: self.removed.recursive_difference(ignored),
        }
    }
}

/// Compares an old value with a new one.
pub fn compare<S: Schema>(old: &Value, new: &Value, schema: S) -> Result<Comparison, Error> {
    Ok(visit(Some(old), Some(new), Some(schema))?.below)
}

/// What happened at a place. An item that comes to share its name, or no longer does, is removed and added.
#[derive(Clone, Copy, Default)]
struct Fate {
    added: bool,
    modified: bool,
    removed: bool,
}

/// What happened at a place and below it.
#[derive(Default)]
struct Difference {
    fate: Fate,
    below: Comparison,
}

fn visit<S: Schema>(
    old: Option<&Value>,
    new: Option<&Value>,
    schema: Option<S>,
) -> Result<Difference, Error> {
    // Null says nothing of how a value is to be walked.
    let stated = |value: &&Value| !value.is_null();
    let Some(shown) = new.filter(stated).or(old.filter(stated)).or(new).or(old) else {
        return Ok(Difference::default());
    };
    let how = walk(schema, shown);
    // A value that changes its kind is a leaf that was modified, over parts that are gone.
    if let (Some(old), Some(_)) = (old.filter(stated), new.filter(stated)) {
        let before = walk(schema, old);
        if before != how {
            let gone = parts(Some(old), None, schema, before)?;
            let fresh = parts(None, new, schema, how)?;
            return Ok(Difference {
                fate: Fate {
                    modified: true,
                    ..Fate::default()
                },
                below: gone.union(fresh),
            });
        }
    }
    let mut fate = Fate {
        added: old.is_none(),
        modified: false,
        removed: new.is_none(),
    };
    if is_empty(old) && is_empty(new) || how == Walk::Leaf {
        fate.modified = old.is_some() && new.is_some() && old != new;
        return Ok(Difference {
            fate,
            ..Difference::default()
        });
    }
    Ok(Difference {
        fate,
        below: parts(old, new, schema, how)?,
    })
}

fn parts<S: Schema>(
    old: Option<&Value>,
    new: Option<&Value>,
    schema: Option<S>,
    how: Walk,
) -> Result<Comparison, Error> {
    match (how, schema) {
        (Walk::Map, _) => maps(
            old.and_then(Value::as_object),
            new.and_then(Value::as_object),
            schema,
        ),
        (Walk::List, Some(schema)) => lists(items_of(old), items_of(new), schema),
        _ => Ok(Comparison::default()),
    }
}

fn maps<S: Schema>(
    old: Option<&Map<String, Value>>,
    new: Option<&Map<String, Value>>,
    schema: Option<S>,
) -> Result<Comparison, Error> {
    let mut result = Collector::default();
    let mut member = |name: &String, before: Option<&Value>, after: Option<&Value>| {
        // Most members of most objects are equal.
        if before == after {
            return Ok(());
        }
        let inner = schema.and_then(|schema| schema.field(name).or_else(|| schema.element()));
        let difference = visit(before, after, inner)?;
        result.add(PathElement::Field(name.clone()), difference);
        Ok(())
    };
    for (name, before) in old.into_iter().flatten() {
        member(name, Some(before), new.and_then(|new| new.get(name)))?;
    }
    for (name, after) in new.into_iter().flatten() {
        if !old.is_some_and(|old| old.contains_key(name)) {
            member(name, None, Some(after))?;
        }
    }
    Ok(result.finish())
}

fn lists<S: Schema>(old: &[Value], new: &[Value], schema: S) -> Result<Comparison, Error> {
    let mut result = Collector::default();
    let (old, new) = (Index::new(schema, old)?, Index::new(schema, new)?);
    for named in new.named() {
        if old.get(&named.element).is_empty() {
            let difference = item(&[], &named.items, schema)?;
            result.add(named.element.clone(), difference);
        }
    }
    for named in old.into_named() {
        let difference = item(&named.items, new.get(&named.element), schema)?;
        result.add(named.element, difference);
    }
    Ok(result.finish())
}

/// Items that share a name are compared as one; a name that comes to be shared, or no longer is, changes hands.
fn item<S: Schema>(before: &[&Value], after: &[&Value], schema: S) -> Result<Difference, Error> {
    if before == after {
        return Ok(Difference::default());
    }
    let mut difference = match (before.len(), after.len()) {
        (0 | 1, 0 | 1) => visit(before.first().copied(), after.first().copied(), schema.element())?,
        (2.., 2..) => Difference::default(),
        (2.., _) => visit(None, after.first().copied(), schema.element())?,
        _ => visit(before.first().copied(), None, schema.element())?,
    };
    let (was_shared, is_shared) = (before.len() > 1, after.len() > 1);
    difference.fate.modified |= was_shared && is_shared;
    difference.fate.removed |= was_shared && !is_shared;
    difference.fate.added |= is_shared && !was_shared;
    Ok(difference)
}

/// The three sets while they grow.
#[derive(Default)]
struct Collector {
    added: Vec<Node>,
    modified: Vec<Node>,
    removed: Vec<Node>,
}

impl Collector {
    fn add(&mut self, element: PathElement, difference: Difference) {
        let Difference { fate, below } = difference;
        let parts = [
            (&mut self.added, fate.added, below.added),
            (&mut self.modified, fate.modified, below.modified),
            (&mut self.removed, fate.removed, below.removed),
        ];
        for (nodes, is_member, below) in parts {
            if is_member || !below.is_empty() {
                nodes.push(Node {
                    element: element.clone(),
                    is_member,
                    below,
                });
            }
        }
    }

    fn finish(self) -> Comparison {
        Comparison {
            added: self.added.into_iter().collect(),
            modified: self.modified.into_iter().collect(),
            removed: self.removed.into_iter().collect(),
        }
    }
}

fn items_of(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Absent, null, or without parts.
fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(members)) => members.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}
