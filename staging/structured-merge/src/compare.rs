//! What differs between two values of a type.

use crate::items;
use crate::managers::Error;
use crate::path::{Path, PathElement};
use crate::schema::{Schema, Walk, walk};
use crate::set::Set;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: Set,
    pub modified: Set,
    pub removed: Set,
}

impl Comparison {
    pub fn is_same(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    /// Without fields, and what is below them, that a request cannot change anyway.
    #[must_use]
    pub fn without(&self, ignored: &Set) -> Comparison {
        Comparison {
            added: self.added.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            removed: self.removed.recursive_difference(ignored),
        }
    }
}

/// Compares an old value with a new one.
pub fn compare<S: Schema>(old: &Value, new: &Value, schema: S) -> Result<Comparison, Error> {
    let mut walker = Walker {
        path: Vec::new(),
        result: Comparison::default(),
    };
    walker.visit(Some(old), Some(new), Some(schema))?;
    Ok(walker.result)
}

struct Walker {
    path: Path,
    result: Comparison,
}

impl Walker {
    fn visit<S: Schema>(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        schema: Option<S>,
    ) -> Result<(), Error> {
        // Null says nothing of how a value is to be walked.
        let stated = |value: &&Value| !value.is_null();
        let Some(shown) = new.filter(stated).or(old.filter(stated)).or(new).or(old) else {
            return Ok(());
        };
        let how = walk(schema, shown);
        // A value that changes its kind is a leaf that was modified, over parts that are gone.
        if let (Some(old), Some(_)) = (old.filter(stated), new.filter(stated))
            && walk(schema, old) != how
        {
            self.parts(Some(old), None, schema, walk(schema, old))?;
            self.parts(None, new, schema, how)?;
            if !self.path.is_empty() {
                self.result.modified.insert(&self.path);
            }
            return Ok(());
        }
        if is_empty(old) && is_empty(new) || how == Walk::Leaf {
            self.leaf(old, new);
            return Ok(());
        }
        self.parts(old, new, schema, how)?;
        match (old, new) {
            (None, _) => self.result.added.insert(&self.path),
            (_, None) => self.result.removed.insert(&self.path),
            _ => {}
        }
        Ok(())
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.result.added.insert(&self.path),
            (_, None) => self.result.removed.insert(&self.path),
            (old, new) if old != new => self.result.modified.insert(&self.path),
            _ => {}
        }
    }

    fn parts<S: Schema>(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        schema: Option<S>,
        how: Walk,
    ) -> Result<(), Error> {
        match (how, schema) {
            (Walk::Map, _) => self.map(
                old.and_then(Value::as_object),
                new.and_then(Value::as_object),
                schema,
            ),
            (Walk::List, Some(schema)) => self.list(items_of(old), items_of(new), schema),
            _ => Ok(()),
        }
    }

    fn map<S: Schema>(
        &mut self,
        old: Option<&Map<String, Value>>,
        new: Option<&Map<String, Value>>,
        schema: Option<S>,
    ) -> Result<(), Error> {
        let names: BTreeSet<&String> = old.into_iter().chain(new).flat_map(Map::keys).collect();
        for name in names {
            let inner = schema.and_then(|schema| schema.field(name).or_else(|| schema.element()));
            // Most members of most objects are equal.
            let (before, after) = (old.and_then(|m| m.get(name)), new.and_then(|m| m.get(name)));
            if before == after {
                continue;
            }
            self.path.push(PathElement::Field(name.clone()));
            self.visit(before, after, inner)?;
            self.path.pop();
        }
        Ok(())
    }

    fn list<S: Schema>(&mut self, old: &[Value], new: &[Value], schema: S) -> Result<(), Error> {
        let (old, new) = (items::index(schema, old)?, items::index(schema, new)?);
        let known = |list: &[(PathElement, Vec<&Value>)], element: &PathElement| {
            list.iter().any(|(other, _)| other == element)
        };
        let fresh = new
            .iter()
            .filter(|(element, _)| !known(&old, element))
            .map(|(element, _)| element);
        for element in old.iter().map(|(element, _)| element).chain(fresh) {
            let before = same_items(&old, element);
            let after = same_items(&new, element);
            self.path.push(element.clone());
            self.item(before, after, schema)?;
            self.path.pop();
        }
        Ok(())
    }

    /// Items that share a name are compared as one; a name that comes to be shared, or no longer is, changes hands.
    fn item<S: Schema>(&mut self, before: &[&Value], after: &[&Value], schema: S) -> Result<(), Error> {
        match (before.len(), after.len()) {
            (0 | 1, 0 | 1) => {
                self.visit(before.first().copied(), after.first().copied(), schema.element())?;
            }
            (2.., 2..) => {
                if before != after {
                    self.result.modified.insert(&self.path);
                }
            }
            (2.., _) => {
                self.visit(None, after.first().copied(), schema.element())?;
                self.result.removed.insert(&self.path);
            }
            _ => {
                self.visit(before.first().copied(), None, schema.element())?;
                self.result.added.insert(&self.path);
            }
        }
        Ok(())
    }
}

fn same_items<'a, 'v>(list: &'a [(PathElement, Vec<&'v Value>)], element: &PathElement) -> &'a [&'v Value] {
    list.iter()
        .find(|(other, _)| other == element)
        .map_or(&[], |(_, same)| same.as_slice())
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
