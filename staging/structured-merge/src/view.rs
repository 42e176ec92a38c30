//! Values as their JSON shows them, however they are held: as trees, or still encoded.

use crate::managers::Error;
use crate::path::Name;
use serde_json::Value;
use std::borrow::Cow;

/// A value: cheap to copy, usually a reference into a document.
pub trait View: Copy {
    /// Whether the value is held as a tree. What has no type is compared as one.
    const IS_TREE: bool;

    fn form(self) -> Form;

    /// Null, or a map or list without parts.
    fn is_empty(self) -> bool;

    /// Whether both are surely the same; equal values may be missed where finding that out is costly.
    fn is_same(self, other: Self) -> bool;

    /// The members of two maps, either of which may be missing or no map at all, but for those that are the same.
    fn pairs(old: Option<Self>, new: Option<Self>) -> Result<Vec<Pair<Self>>, Error>;

    /// The items of a list; none of anything else.
    fn items(self) -> Result<Vec<Self>, Error>;

    fn member(self, name: &str) -> Result<Option<Self>, Error>;

    fn to_tree(self) -> Result<Value, Error>;

    fn equals(self, other: Self) -> Result<bool, Error> {
        Ok(self.is_same(other) || (!Self::IS_TREE && self.to_tree()? == other.to_tree()?))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Null,
    Scalar,
    List,
    Map,
}

/// A member of two maps.
pub struct Pair<V> {
    pub name: Name,
    pub old: Option<V>,
    pub new: Option<V>,
}

impl View for &Value {
    const IS_TREE: bool = true;

    fn form(self) -> Form {
        match self {
            Value::Null => Form::Null,
            Value::Array(_) => Form::List,
            Value::Object(_) => Form::Map,
            _ => Form::Scalar,
        }
    }

    fn is_empty(self) -> bool {
        match self {
            Value::Null => true,
            Value::Object(members) => members.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        }
    }

    fn is_same(self, other: Self) -> bool {
        self == other
    }

    fn pairs(old: Option<Self>, new: Option<Self>) -> Result<Vec<Pair<Self>>, Error> {
        let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
        let pair = |name: &String, old, new| Pair {
            name: Cow::Owned(name.clone()),
            old,
            new,
        };
        let mut pairs = Vec::new();
        for (name, before) in old.into_iter().flatten() {
            let after = new.and_then(|new| new.get(name));
            // Most members of most objects are equal.
            if after != Some(before) {
                pairs.push(pair(name, Some(before), after));
            }
        }
        for (name, after) in new.into_iter().flatten() {
            if !old.is_some_and(|old| old.contains_key(name)) {
                pairs.push(pair(name, None, Some(after)));
            }
        }
        Ok(pairs)
    }

    fn items(self) -> Result<Vec<Self>, Error> {
        Ok(self.as_array().into_iter().flatten().collect())
    }

    fn member(self, name: &str) -> Result<Option<Self>, Error> {
        Ok(self.get(name))
    }

    fn to_tree(self) -> Result<Value, Error> {
        Ok(self.clone())
    }
}
