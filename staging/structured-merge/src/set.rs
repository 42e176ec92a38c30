//! Sets of fields, as trees of path elements.

use crate::path::{Path, PathElement};
use crate::schema::Schema;
use std::collections::{BTreeMap, BTreeSet};

/// A set of paths. A path may be a member while paths below it are members, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    members: BTreeSet<PathElement>,
    children: BTreeMap<PathElement, Set>,
}

impl Set {
    /// The set of some paths of named fields: `["metadata", "name"]`.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Path = path
                .iter()
                .map(|name| PathElement::Field((*name).to_owned()))
                .collect();
            set.insert(&path);
        }
        set
    }

    pub fn members(&self) -> &BTreeSet<PathElement> {
        &self.members
    }

    pub fn children(&self) -> &BTreeMap<PathElement, Set> {
        &self.children
    }

    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => _ = self.members.insert(last.clone()),
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(crate) fn insert_member(&mut self, element: PathElement) {
        self.members.insert(element);
    }

    pub(crate) fn insert_child(&mut self, element: PathElement, child: Set) {
        if !child.is_empty() {
            self.children.insert(element, child);
        }
    }

    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|child| child.has(rest)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Set::is_empty)
    }

    #[must_use]
    pub fn union(&self, other: &Set) -> Set {
        let mut result = self.clone();
        result.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            let own = result.children.entry(element.clone()).or_default();
            *own = own.union(child);
        }
        result
    }

    #[must_use]
    pub fn intersection(&self, other: &Set) -> Set {
        let mut result = Set {
            members: &self.members & &other.members,
            ..Set::default()
        };
        for (element, child) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                result.insert_child(element.clone(), child.intersection(theirs));
            }
        }
        result
    }

    /// The paths that are not in the other set; what is below a removed path stays.
    #[must_use]
    pub fn difference(&self, other: &Set) -> Set {
        let mut result = Set {
            members: &self.members - &other.members,
            ..Set::default()
        };
        for (element, child) in &self.children {
            let rest = other
                .children
                .get(element)
                .map_or_else(|| child.clone(), |theirs| child.difference(theirs));
            result.insert_child(element.clone(), rest);
        }
        result
    }

    /// As [`Set::difference`], and without whatever is below a path of the other set.
    #[must_use]
    pub fn recursive_difference(&self, other: &Set) -> Set {
        let mut result = Set {
            members: &self.members - &other.members,
            ..Set::default()
        };
        for (element, child) in self
            .children
            .iter()
            .filter(|(element, _)| !other.members.contains(element))
        {
            let theirs = other.children.get(element);
            let rest = theirs.map_or_else(|| child.clone(), |theirs| child.recursive_difference(theirs));
            result.insert_child(element.clone(), rest);
        }
        result
    }

    /// Adds each declared field that has something below it: such a field cannot go before what it holds.
    #[must_use]
    pub fn with_named_fields<S: Schema>(&self, schema: Option<S>) -> Set {
        let mut result = Set {
            members: self.members.clone(),
            ..Set::default()
        };
        for (element, child) in &self.children {
            let inner = schema.and_then(|schema| match element {
                PathElement::Field(name) => schema.field(name).or_else(|| schema.element()),
                _ => schema.element(),
            });
            let declared = matches!((element, schema), (PathElement::Field(name), Some(schema)) if schema.field(name).is_some());
            if declared {
                result.members.insert(element.clone());
            }
            result.insert_child(element.clone(), child.with_named_fields(inner));
        }
        result
    }

    /// Every path, members before what is below them.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Path, paths: &mut Vec<Path>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            paths.push(path);
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, paths);
            prefix.pop();
        }
    }
}
