//! What a manager owns: in the form that it was stored in until it has to change.

use crate::fields_v1::common;
use crate::managers::Error;
use crate::set::Set;
use crate::splice::splice;
use std::borrow::Cow;

/// A set of fields, written or read.
#[derive(Clone, Debug)]
pub enum Share {
    /// As `fieldsV1` states it.
    Written(Vec<u8>),
    Read(Set),
}

impl Default for Share {
    fn default() -> Self {
        Self::Read(Set::default())
    }
}

impl From<Set> for Share {
    fn from(set: Set) -> Self {
        Self::Read(set)
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl Eq for Share {}

impl Share {
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Written(json) => json == b"{}",
            Self::Read(set) => set.is_empty(),
        }
    }

    pub fn to_set(&self) -> Result<Cow<'_, Set>, Error> {
        match self {
            Self::Written(json) => Ok(Cow::Owned(Set::from_json(json)?)),
            Self::Read(set) => Ok(Cow::Borrowed(set)),
        }
    }

    pub fn into_set(self) -> Result<Set, Error> {
        match self {
            Self::Written(json) => Ok(Set::from_json(&json)?),
            Self::Read(set) => Ok(set),
        }
    }

    pub fn to_json(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Written(json) => Cow::Borrowed(json),
            Self::Read(set) => Cow::Owned(set.to_json()),
        }
    }

    pub fn into_json(self) -> Vec<u8> {
        match self {
            Self::Written(json) => json,
            Self::Read(set) => set.to_json(),
        }
    }

    /// Takes fields away. A share that has none of them stays as it is written.
    pub fn remove(&mut self, fields: &Set) -> Result<(), Error> {
        if let Self::Written(json) = self
            && (fields.is_empty() || common(json, fields)? == 0)
        {
            return Ok(());
        }
        let set = std::mem::take(self).into_set()?;
        *self = Self::Read(set.difference(fields));
        Ok(())
    }

    /// Adds fields. A share that has all of them stays as it is written; into another one they are put in between, if
    /// that can be done without reading it.
    pub fn add(&mut self, fields: Set) -> Result<(), Error> {
        if let Self::Written(json) = self {
            if fields.is_empty() || common(json, &fields)? == fields.len() {
                return Ok(());
            }
            if let Some(all) = splice(json, &fields) {
                *json = all;
                return Ok(());
            }
        }
        let set = std::mem::take(self).into_set()?;
        *self = Self::Read(set.union(fields));
        Ok(())
    }
}
