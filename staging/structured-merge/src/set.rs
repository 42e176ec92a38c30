//! Sets of fields, as trees of path elements.

use crate::path::{Path, PathElement};
use crate::schema::Schema;
use std::cmp::Ordering;

/// A set of paths. A path may be a member while paths below it are members, too.
///
/// The nodes are sorted by their elements, and each is a member or has members below it, so that equal sets look
/// the same, and two are put together in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    nodes: Vec<Node>,
}

/// A path element within a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub element: PathElement,
    /// Whether the path that ends here is in the set.
    pub is_member: bool,
    pub below: Set,
}

impl Node {
    fn is_idle(&self) -> bool {
        !self.is_member && self.below.is_empty()
    }
}

impl FromIterator<Node> for Set {
    /// Nodes in any order; of those with the same element the union.
    fn from_iter<I: IntoIterator<Item = Node>>(nodes: I) -> Self {
        let mut nodes: Vec<Node> = nodes.into_iter().filter(|node| !node.is_idle()).collect();
        if nodes.is_sorted_by(|a, b| a.element < b.element) {
            return Self { nodes };
        }
        nodes.sort_by(|a, b| a.element.cmp(&b.element));
        nodes.dedup_by(|next, kept| {
            let same = next.element == kept.element;
            if same {
                kept.is_member |= next.is_member;
                kept.below = std::mem::take(&mut kept.below).union(std::mem::take(&mut next.below));
            }
            same
        });
        Self { nodes }
    }
}

impl Set {
    /// The set of some paths of named fields: `["metadata", "name"]`.
    pub fn of_fields(paths: &[&[&str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Path = path
                .iter()
                .map(|name| PathElement::Field((*name).to_owned().into()))
                .collect();
            set.insert(&path);
        }
        set
    }

    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// What the set holds of an element.
    pub fn node(&self, element: &PathElement) -> Option<&Node> {
        let place = self.nodes.binary_search_by(|node| node.element.cmp(element));
        place.ok().map(|place| &self.nodes[place])
    }

    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let place = match self.nodes.binary_search_by(|node| node.element.cmp(first)) {
            Ok(place) => place,
            Err(place) => {
                let node = Node {
                    element: first.clone(),
                    is_member: false,
                    below: Set::default(),
                };
                self.nodes.insert(place, node);
                place
            }
        };
        match rest {
            [] => self.nodes[place].is_member = true,
            rest => self.nodes[place].below.insert(rest),
        }
    }

    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.node(last).is_some_and(|node| node.is_member),
            [first, rest @ ..] => self.node(first).is_some_and(|node| node.below.has(rest)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many paths are members.
    pub fn len(&self) -> usize {
        let of = |node: &Node| usize::from(node.is_member) + node.below.len();
        self.nodes.iter().map(of).sum()
    }

    /// What the set holds of a named field.
    pub fn field(&self, name: &str) -> Option<&Node> {
        let order = |node: &Node| match &node.element {
            PathElement::Field(own) => own.as_ref().cmp(name),
            // Names come first.
            _ => Ordering::Greater,
        };
        let place = self.nodes.binary_search_by(order);
        place.ok().map(|place| &self.nodes[place])
    }

    #[must_use]
    pub fn union(self, other: Set) -> Set {
        if self.is_empty() {
            return other;
        }
        let mut nodes = Vec::with_capacity(self.nodes.len() + other.nodes.len());
        let mut theirs = other.nodes.into_iter().peekable();
        for mut own in self.nodes {
            while let Some(before) = theirs.next_if(|node| node.element < own.element) {
                nodes.push(before);
            }
            if let Some(same) = theirs.next_if(|node| node.element == own.element) {
                own.is_member |= same.is_member;
                own.below = own.below.union(same.below);
            }
            nodes.push(own);
        }
        nodes.extend(theirs);
        Set { nodes }
    }

    #[must_use]
    pub fn intersection(self, other: &Set) -> Set {
        self.for_each_pair(other, |own, theirs| {
            let theirs = theirs?;
            Some(Node {
                is_member: own.is_member && theirs.is_member,
                below: own.below.intersection(&theirs.below),
                ..own
            })
        })
    }

    /// The paths that are not in the other set; what is below a removed path stays.
    #[must_use]
    pub fn difference(self, other: &Set) -> Set {
        self.for_each_pair(other, |own, theirs| {
            let Some(theirs) = theirs else {
                return Some(own);
            };
            Some(Node {
                is_member: own.is_member && !theirs.is_member,
                below: own.below.difference(&theirs.below),
                ..own
            })
        })
    }

    /// As [`Set::difference`], and without whatever is below a path of the other set.
    #[must_use]
    pub fn recursive_difference(self, other: &Set) -> Set {
        self.for_each_pair(other, |own, theirs| {
            let Some(theirs) = theirs else {
                return Some(own);
            };
            (!theirs.is_member).then(|| Node {
                below: own.below.recursive_difference(&theirs.below),
                ..own
            })
        })
    }

    /// Makes of each own node, and the other set's of the same element, the result's.
    fn for_each_pair(self, other: &Set, of: impl Fn(Node, Option<&Node>) -> Option<Node>) -> Set {
        let mut theirs = other.nodes.iter().peekable();
        let nodes = self.nodes.into_iter().filter_map(|own| {
            while theirs.next_if(|node| node.element < own.element).is_some() {}
            let same = theirs.next_if(|node| node.element == own.element);
            of(own, same).filter(|node| !node.is_idle())
        });
        Set {
            nodes: nodes.collect(),
        }
    }

    /// Adds each declared field that has something below it: such a field cannot go before what it holds.
    #[must_use]
    pub fn with_named_fields<S: Schema>(&self, schema: Option<S>) -> Set {
        let nodes = self.nodes.iter().map(|node| {
            let declared = match (&node.element, schema) {
                (PathElement::Field(name), Some(schema)) => schema.field(name),
                _ => None,
            };
            let inner = declared.or_else(|| schema.and_then(|schema| schema.element()));
            Node {
                element: node.element.clone(),
                is_member: node.is_member || (declared.is_some() && !node.below.is_empty()),
                below: node.below.with_named_fields(inner),
            }
        });
        Set {
            nodes: nodes.collect(),
        }
    }

    /// Every path, members before what is below them.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Path, paths: &mut Vec<Path>) {
        for node in self.nodes.iter().filter(|node| node.is_member) {
            let mut path = prefix.clone();
            path.push(node.element.clone());
            paths.push(path);
        }
        for node in &self.nodes {
            prefix.push(node.element.clone());
            node.below.collect(prefix, paths);
            prefix.pop();
        }
    }
}
