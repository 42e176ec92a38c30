//! What a new value has over an old one, written as `fieldsV1` at once: what [`compare`](crate::compare()) finds added
//! or modified, without the sets in between. A new object states hundreds of fields, which are wanted in writing only.

use crate::compare::visit;
use crate::fields_v1::{write, write_field, write_name};
use crate::items::{Index, Named};
use crate::managers::Error;
use crate::schema::{Schema, Shape, Walk, shape, walk};
use crate::set::Set;
use crate::view::{Form, Pair, View};

/// Fields that are not gained whatever stands there.
#[derive(Clone, Copy, Default)]
pub struct Except<'s> {
    /// With all that is below them.
    pub ignored: Option<&'s Set>,
    /// For themselves: what is below them is gained.
    pub unowned: Option<&'s Set>,
}

/// Whether a place counts itself, if it is new.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Itself {
    Counts,
    DoesNot,
}

impl Except<'_> {
    fn ignores(self, name: &str) -> bool {
        let node = self.ignored.and_then(|set| set.field(name));
        node.is_some_and(|node| node.is_member)
    }

    /// What holds for a field and below it.
    fn at(self, name: &str) -> (Itself, Self) {
        let ignored = self.ignored.and_then(|set| set.field(name));
        let unowned = self.unowned.and_then(|set| set.field(name));
        let itself = match unowned {
            Some(node) if node.is_member => Itself::DoesNot,
            _ => Itself::Counts,
        };
        let below = Self {
            ignored: ignored.map(|node| &node.below),
            unowned: unowned.map(|node| &node.below),
        };
        (itself, below)
    }
}

/// The fields of an object, a map, that are not in the old one or differ from it there.
pub fn gained<S: Schema, V: View>(old: V, new: V, schema: S, except: Except<'_>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(2048);
    if !map(Some(old), new, Some(schema), except, Itself::DoesNot, &mut out)? {
        out.extend_from_slice(b"{}");
    }
    Ok(out)
}

/// Writes a place that is in the new value; `false`, and nothing, if nothing of it is gained.
fn changed<S: Schema, V: View>(
    old: Option<V>,
    new: V,
    schema: Option<S>,
    (itself, except): (Itself, Except<'_>),
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    let Some(old) = old else {
        return added(new, schema, (itself, except), out);
    };
    let is_map = |value: V| walk(schema, value) == Walk::Map;
    if shape(schema) != Shape::Untyped && is_map(old) && is_map(new) {
        return map(Some(old), new, schema, except, Itself::DoesNot, out);
    }
    // A list that was null was there already; its items were not.
    if let Some(schema) = schema
        && old.form() == Form::Null
        && walk(Some(schema), new) == Walk::List
        && !new.is_empty()
    {
        return list(new, schema, Itself::DoesNot, out);
    }
    let found = visit(Some(old), Some(new), schema)?;
    let none = Set::default();
    let below = found.below.added.union(found.below.modified);
    let below = below
        .recursive_difference(except.ignored.unwrap_or(&none))
        .difference(except.unowned.unwrap_or(&none));
    let is_member = itself == Itself::Counts && (found.fate.added || found.fate.modified);
    if is_member || !below.is_empty() {
        write(&below, is_member && !below.is_empty(), out);
        return Ok(true);
    }
    Ok(false)
}

/// Writes a place that is only in the new value.
fn added<S: Schema, V: View>(
    new: V,
    schema: Option<S>,
    (itself, except): (Itself, Except<'_>),
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    if !V::IS_TREE && shape(schema) == Shape::Untyped {
        return added(&new.to_tree()?, schema, (itself, except), out);
    }
    match (walk(schema, new), schema) {
        (Walk::Map, _) => map(None, new, schema, except, itself, out),
        (Walk::List, Some(schema)) => list(new, schema, itself, out),
        _ if itself == Itself::Counts => {
            out.extend_from_slice(b"{}");
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn map<S: Schema, V: View>(
    old: Option<V>,
    new: V,
    schema: Option<S>,
    except: Except<'_>,
    itself: Itself,
    out: &mut Vec<u8>,
) -> Result<bool, Error> {
    let mut members = Members::open(itself, out);
    let mut pairs = V::pairs(old, Some(new))?;
    pairs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for Pair { name, old, new } in pairs {
        let Some(new) = new.filter(|_| !except.ignores(&name)) else {
            continue;
        };
        let inner = schema.and_then(|schema| schema.field(&name).or_else(|| schema.element()));
        members.add(
            |out| write_field(&name, out),
            |out| changed(old, new, inner, except.at(&name), out),
        )?;
    }
    Ok(members.close())
}

fn list<S: Schema, V: View>(new: V, schema: S, itself: Itself, out: &mut Vec<u8>) -> Result<bool, Error> {
    let mut members = Members::open(itself, out);
    for Named { element, items } in Index::new(schema, new.items()?)?.into_named() {
        members.add(
            |out| write_name(&element, out),
            |out| match items.as_slice() {
                [item] => added(*item, schema.element(), (Itself::Counts, Except::default()), out),
                // Items that share a name are owned as one.
                _ => {
                    out.extend_from_slice(b"{}");
                    Ok(true)
                }
            },
        )?;
    }
    Ok(members.close())
}

/// An object of `fieldsV1` while it is written.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    itself: Itself,
    are_any: bool,
}

impl<'o> Members<'o> {
    fn open(itself: Itself, out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(b'{');
        // Something below is likely.
        if itself == Itself::Counts {
            out.extend_from_slice(b"\".\":{}");
        }
        Self {
            out,
            start,
            itself,
            are_any: false,
        }
    }

    /// Adds a member unless its value turns out to be none.
    fn add(
        &mut self,
        name: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let before = self.out.len();
        if before > self.start + 1 {
            self.out.push(b',');
        }
        name(self.out);
        self.out.push(b':');
        if value(self.out)? {
            self.are_any = true;
        } else {
            self.out.truncate(before);
        }
        Ok(())
    }

    /// Whether the place stays.
    fn close(self) -> bool {
        if !self.are_any {
            self.out.truncate(self.start);
            if self.itself == Itself::Counts {
                self.out.extend_from_slice(b"{}");
            }
            return self.itself == Itself::Counts;
        }
        self.out.push(b'}');
        true
    }
}
