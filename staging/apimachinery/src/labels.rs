//! Label selectors: the requirements that a set of labels meets or not, and their text form.
//!
//! Upstream: `k8s.io/apimachinery/pkg/labels`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use crate::field::{self, ErrorList, Path};
use crate::validation;

mod parser;

#[cfg(test)]
mod tests;

/// Why a selector is not one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The text does not follow the grammar.
    #[error("{0}")]
    Syntax(String),
    /// A requirement has a wrong key, operator or values.
    #[error("{}", field::aggregate(.0).unwrap_or_default())]
    Requirement(ErrorList),
}

/// How a requirement relates its key and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition on one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A checked requirement. Errors name `key` and `values[…]` below `path`.
    pub fn new(
        key: &str,
        operator: Operator,
        values: Vec<String>,
        path: &Path,
    ) -> Result<Requirement, Error> {
        let mut errors = ErrorList::new();
        errors.extend(check_key(key, &path.child("key")));
        let values_path = path.child("values");
        let shown = || field::Value::from(values.as_slice());
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => errors.push(field::Error::invalid(
                &values_path,
                shown(),
                "for 'in', 'notin' operators, values set can't be empty",
            )),
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => errors
                .push(field::Error::invalid(
                    &values_path,
                    shown(),
                    "exact-match compatibility requires one single value",
                )),
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                errors.push(field::Error::invalid(
                    &values_path,
                    shown(),
                    "values set must be empty for exists and does not exist",
                ))
            }
            Operator::GreaterThan | Operator::LessThan => {
                check_comparison(&values, &values_path, &mut errors)
            }
            _ => {}
        }
        for (index, value) in values.iter().enumerate() {
            let messages = validation::is_valid_label_value(value);
            if !messages.is_empty() {
                let path = values_path.index(index).key(key);
                errors.push(field::Error::invalid(&path, value, messages.join("; ")));
            }
        }
        if !errors.is_empty() {
            return Err(Error::Requirement(errors));
        }
        Ok(Requirement {
            key: key.to_owned(),
            operator,
            values,
        })
    }

    /// `key=value`, unchecked: the server rejects what is not a label.
    pub fn equals(key: impl Into<String>, value: impl Into<String>) -> Requirement {
        Requirement {
            key: key.into(),
            operator: Operator::Equals,
            values: vec![value.into()],
        }
    }

    /// `key`, unchecked.
    pub fn exists(key: impl Into<String>) -> Requirement {
        Requirement {
            key: key.into(),
            operator: Operator::Exists,
            values: Vec::new(),
        }
    }

    /// `!key`, unchecked.
    pub fn does_not_exist(key: impl Into<String>) -> Requirement {
        Requirement {
            key: key.into(),
            operator: Operator::DoesNotExist,
            values: Vec::new(),
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn operator(&self) -> Operator {
        self.operator
    }

    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether a label with the requirement's key and this value (`None`: no such label) meets it.
    pub fn matches(&self, value: Option<&str>) -> bool {
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => {
                value.is_some_and(|value| self.has(value))
            }
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(|value| self.has(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let actual = value.and_then(parse_int);
                let bound = self.values.first().and_then(|value| parse_int(value));
                match (actual, bound) {
                    (Some(actual), Some(bound)) if self.operator == Operator::GreaterThan => actual > bound,
                    (Some(actual), Some(bound)) => actual < bound,
                    _ => false,
                }
            }
        }
    }

    fn has(&self, value: &str) -> bool {
        self.values.iter().any(|own| own == value)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        let mut sorted: Vec<Cow<'_, str>> = self
            .values
            .iter()
            .map(|value| Cow::Borrowed(value.as_str()))
            .collect();
        sorted.sort();
        let values = sorted.join(",");
        match self.operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// Go's `ParseInt(_, 10, 64)`.
fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn check_key(key: &str, path: &Path) -> Option<field::Error> {
    let messages = validation::is_qualified_name(key);
    (!messages.is_empty()).then(|| field::Error::invalid(path, key, messages.join("; ")))
}

fn check_comparison(values: &[String], path: &Path, errors: &mut ErrorList) {
    if values.len() != 1 {
        let detail = "for 'Gt', 'Lt' operators, exactly one value is required";
        errors.push(field::Error::invalid(path, values, detail));
    }
    for (index, value) in values.iter().enumerate() {
        if parse_int(value).is_none() {
            let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
            errors.push(field::Error::invalid(&path.index(index), value, detail));
        }
    }
}

/// A conjunction of requirements, or the selector that matches nothing at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Sorted by key; `None` matches nothing.
    requirements: Option<Vec<Requirement>>,
}

impl Default for Selector {
    fn default() -> Selector {
        Selector::everything()
    }
}

impl Selector {
    pub const fn everything() -> Selector {
        Selector {
            requirements: Some(Vec::new()),
        }
    }

    pub const fn nothing() -> Selector {
        Selector { requirements: None }
    }

    /// Parses the form of a `labelSelector` parameter, such as `app=web,tier in (a,b),!canary`.
    pub fn parse(text: &str) -> Result<Selector, Error> {
        parser::parse(text, &Path::nil()).map(Selector::from_requirements)
    }

    /// Exactly these labels, unchecked; everything if there are none.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = (&'a String, &'a String)>) -> Selector {
        let requirements = labels
            .into_iter()
            .map(|(key, value)| Requirement::equals(key, value));
        Selector::from_requirements(requirements.collect())
    }

    pub fn from_requirements(mut requirements: Vec<Requirement>) -> Selector {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Selector {
            requirements: Some(requirements),
        }
    }

    /// This selector and one requirement more.
    pub fn with(self, requirement: Requirement) -> Selector {
        match self.requirements {
            None => Selector::nothing(),
            Some(mut requirements) => {
                requirements.push(requirement);
                Selector::from_requirements(requirements)
            }
        }
    }

    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// Matches labels that are kept in some other form.
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        match &self.requirements {
            None => false,
            Some(requirements) => requirements.iter().all(|own| own.matches(label(&own.key))),
        }
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    pub fn is_nothing(&self) -> bool {
        self.requirements.is_none()
    }

    /// `None` for the selector that matches nothing.
    pub fn requirements(&self) -> Option<&[Requirement]> {
        self.requirements.as_deref()
    }

    /// The one value that `key` must have, if there is exactly one.
    pub fn requires_exact_match(&self, key: &str) -> Option<&str> {
        let own = self.requirements()?.iter().find(|own| own.key == key)?;
        match (own.operator, own.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().flatten().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Selector, Error> {
        Selector::parse(text)
    }
}
