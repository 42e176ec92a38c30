//! Encoded objects as structured-merge sees values: what is compared is not decoded for it.

use std::borrow::Cow;

use api::codec::parts::{self, Part, members, whole};
use api::types::Type;
use api::wire::{self, DecodeError};
use serde_json::Value;
use structured_merge::managers::Error;
use structured_merge::{Form, Name, Pair, View};

/// A value of an encoded object.
#[derive(Clone, Copy)]
pub enum Encoded<'a> {
    /// The object.
    Whole(&'static Type, &'a [u8]),
    Part(Part<'a>),
}

fn unreadable(error: DecodeError) -> Error {
    Error::Value(error.to_string())
}

impl<'a> Encoded<'a> {
    /// The message that the value is; without bytes: a zero one.
    fn message(self) -> Option<(&'static Type, Option<wire::Value<'a>>)> {
        match self {
            Self::Whole(ty, proto) => Some((ty, Some(whole(proto)))),
            Self::Part(part) => part.message(),
        }
    }

    /// A message's members by their slots; none of what is no message.
    fn members(value: Option<Self>) -> Result<Vec<Option<Part<'a>>>, Error> {
        match value.and_then(Self::message) {
            Some((ty, message)) => members(ty, message).map_err(unreadable),
            None => Ok(Vec::new()),
        }
    }

    fn entries(value: Option<Self>) -> Result<Vec<(&'a [u8], Part<'a>)>, Error> {
        match value {
            Some(Self::Part(part)) => part.entries().map_err(unreadable),
            _ => Ok(Vec::new()),
        }
    }
}

impl View for Encoded<'_> {
    const IS_TREE: bool = false;

    fn form(self) -> Form {
        match self {
            Self::Whole(..) => Form::Map,
            Self::Part(part) => match part.form() {
                parts::Form::Null => Form::Null,
                parts::Form::List => Form::List,
                parts::Form::Map => Form::Map,
                // Documents are compared as trees or as leaves.
                parts::Form::Scalar | parts::Form::Document => Form::Scalar,
            },
        }
    }

    fn is_empty(self) -> bool {
        match self.form() {
            Form::Null => true,
            Form::Scalar => false,
            // What repeated fields have is on the wire.
            Form::List => false,
            Form::Map => match self.message() {
                Some(_) => Self::members(Some(self)).is_ok_and(|members| members.iter().all(Option::is_none)),
                None => false,
            },
        }
    }

    fn is_same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Whole(_, a), Self::Whole(_, b)) => a == b,
            (Self::Part(a), Self::Part(b)) => a.is_same(&b),
            _ => false,
        }
    }

    fn pairs(old: Option<Self>, new: Option<Self>) -> Result<Vec<Pair<Self>>, Error> {
        if old.or(new).and_then(Self::message).is_some() {
            return member_pairs(&Self::members(old)?, &Self::members(new)?);
        }
        entry_pairs(&Self::entries(old)?, &Self::entries(new)?)
    }

    fn items(self) -> Result<Vec<Self>, Error> {
        match self {
            Self::Part(part) if self.form() == Form::List => {
                let items = part.items().map_err(unreadable)?;
                Ok(items.into_iter().map(Self::Part).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    fn member(self, name: &str) -> Result<Option<Self>, Error> {
        let Some((ty, _)) = self.message() else {
            return Ok(None);
        };
        let Some((slot, _)) = ty.member(name, &mut 0) else {
            return Ok(None);
        };
        Ok(Self::members(Some(self))?[slot].map(Self::Part))
    }

    fn to_tree(self) -> Result<Value, Error> {
        if let Self::Part(part) = self {
            if let Some(text) = part.text() {
                return Ok(Value::from(text));
            }
            if let Some(number) = part.integer() {
                return Ok(Value::from(number));
            }
        }
        let mut json = Vec::new();
        match self {
            Self::Whole(ty, proto) => api::codec::proto_to_json(None, ty, proto, &mut json),
            Self::Part(part) => part.write_json(&mut json),
        }
        .map_err(unreadable)?;
        serde_json::from_slice(&json).map_err(|error| Error::Value(error.to_string()))
    }
}

/// The members of two messages of a type that are not the same. `kind` and `apiVersion`, which are not among them,
/// never differ.
fn member_pairs<'a>(
    old: &[Option<Part<'a>>],
    new: &[Option<Part<'a>>],
) -> Result<Vec<Pair<Encoded<'a>>>, Error> {
    let pair = |slot: usize| {
        let at = |members: &[Option<Part<'a>>]| -> Option<Part<'a>> { members.get(slot).copied().flatten() };
        let (old, new) = (at(old), at(new));
        pair(Cow::Borrowed(old.or(new)?.field.name), old, new)
    };
    Ok((0..old.len().max(new.len())).filter_map(pair).collect())
}

/// Unless both are the same.
fn pair<'a>(name: Name, old: Option<Part<'a>>, new: Option<Part<'a>>) -> Option<Pair<Encoded<'a>>> {
    let is_same = matches!((&old, &new), (Some(old), Some(new)) if old.is_same(new));
    (!is_same).then(|| Pair {
        name,
        old: old.map(Encoded::Part),
        new: new.map(Encoded::Part),
    })
}

fn entry_pairs<'a>(
    old: &[(&'a [u8], Part<'a>)],
    new: &[(&'a [u8], Part<'a>)],
) -> Result<Vec<Pair<Encoded<'a>>>, Error> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut pairs = Vec::new();
    loop {
        let key = match (old.peek(), new.peek()) {
            (Some((old, _)), Some((new, _))) => *old.min(new),
            (Some((key, _)), None) | (None, Some((key, _))) => *key,
            (None, None) => return Ok(pairs),
        };
        let before = old.next_if(|(other, _)| *other == key).map(|(_, part)| *part);
        let after = new.next_if(|(other, _)| *other == key).map(|(_, part)| *part);
        let name = Cow::Owned(String::from_utf8_lossy(key).into_owned());
        pairs.extend(pair(name, before, after));
    }
}

#[cfg(test)]
mod tests;
