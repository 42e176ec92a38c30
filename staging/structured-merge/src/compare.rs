//! What differs between two values of a type.

use crate::items::{Index, Named};
use crate::managers::Error;
use crate::path::PathElement;
use crate::schema::{Schema, Shape, Walk, shape, walk};
use crate::set::{Node, Set};
use crate::view::{Form, Pair, View};
use std::cmp::Ordering;

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

    /// All that differs.
    pub fn changed(&self) -> Set {
        let [added, modified, removed] = [&self.added, &self.modified, &self.removed].map(Set::clone);
        modified.union(added).union(removed)
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
pub fn compare<S: Schema, V: View>(old: V, new: V, schema: S) -> Result<Comparison, Error> {
    Ok(visit(Some(old), Some(new), Some(schema))?.below)
}

/// What happened at a place. An item that comes to share its name, or no longer does, is removed and added.
#[derive(Clone, Copy, Default)]
pub struct Fate {
    pub added: bool,
    pub modified: bool,
    pub removed: bool,
}

/// What happened at a place and below it.
#[derive(Default)]
pub struct Difference {
    pub fate: Fate,
    pub below: Comparison,
}

pub fn visit<S: Schema, V: View>(
    old: Option<V>,
    new: Option<V>,
    schema: Option<S>,
) -> Result<Difference, Error> {
    if !V::IS_TREE && shape(schema) == Shape::Untyped {
        let tree = |value: Option<V>| value.map(V::to_tree).transpose();
        return visit(tree(old)?.as_ref(), tree(new)?.as_ref(), schema);
    }
    // Null says nothing of how a value is to be walked.
    let stated = |value: &V| value.form() != Form::Null;
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
    let is_empty = |value: Option<V>| value.is_none_or(V::is_empty);
    if is_empty(old) && is_empty(new) || how == Walk::Leaf {
        fate.modified = match (old, new) {
            (Some(old), Some(new)) => !old.equals(new)?,
            _ => false,
        };
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

fn parts<S: Schema, V: View>(
    old: Option<V>,
    new: Option<V>,
    schema: Option<S>,
    how: Walk,
) -> Result<Comparison, Error> {
    match (how, schema) {
        (Walk::Map, _) => maps(old, new, schema),
        (Walk::List, Some(schema)) => lists(old, new, schema),
        _ => Ok(Comparison::default()),
    }
}

fn maps<S: Schema, V: View>(old: Option<V>, new: Option<V>, schema: Option<S>) -> Result<Comparison, Error> {
    let mut result = Collector::default();
    for Pair { name, old, new } in V::pairs(old, new)? {
        let inner = schema.and_then(|schema| schema.field(&name).or_else(|| schema.element()));
        let difference = visit(old, new, inner)?;
        result.add(PathElement::Field(name), difference);
    }
    Ok(result.finish())
}

fn lists<S: Schema, V: View>(old: Option<V>, new: Option<V>, schema: S) -> Result<Comparison, Error> {
    let named = |list: Option<V>| -> Result<_, Error> {
        let items = list.map_or(Ok(Vec::new()), V::items)?;
        Ok(Index::new(schema, items)?.into_named().into_iter().peekable())
    };
    let mut result = Collector::default();
    let (mut old, mut new) = (named(old)?, named(new)?);
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(old), Some(new)) => old.element.cmp(&new.element),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(result.finish()),
        };
        let before = if order.is_le() { old.next() } else { None };
        let after = if order.is_ge() { new.next() } else { None };
        let difference = item(items_of(&before), items_of(&after), schema)?;
        if let Some(named) = before.or(after) {
            result.add(named.element, difference);
        }
    }
}

fn items_of<V>(named: &Option<Named<V>>) -> &[V] {
    named.as_ref().map_or(&[], |named| named.items.as_slice())
}

/// Items that share a name are compared as one; a name that comes to be shared, or no longer is, changes hands.
fn item<S: Schema, V: View>(before: &[V], after: &[V], schema: S) -> Result<Difference, Error> {
    if are_same(before, after)? {
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

/// Of items that don't share their names a difference is found out by comparing them.
fn are_same<V: View>(before: &[V], after: &[V]) -> Result<bool, Error> {
    if before.len() != after.len() {
        return Ok(false);
    }
    let is_shared = before.len() > 1;
    for (before, after) in before.iter().zip(after) {
        if !(before.is_same(*after) || is_shared && before.equals(*after)?) {
            return Ok(false);
        }
    }
    Ok(true)
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
        let mut parts = parts
            .into_iter()
            .filter(|(_, is_member, below)| *is_member || !below.is_empty())
            .peekable();
        let mut element = Some(element);
        while let Some((nodes, is_member, below)) = parts.next() {
            let last = parts.peek().is_none();
            let own = if last { element.take() } else { element.clone() };
            nodes.extend(own.map(|element| Node {
                element,
                is_member,
                below,
            }));
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
