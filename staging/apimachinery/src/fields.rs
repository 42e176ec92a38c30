//! Field selectors, such as `spec.nodeName=a,status.phase!=Running`.
//!
//! Upstream: `k8s.io/apimachinery/pkg/fields`.

use std::fmt;

/// Why a selector is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("invalid selector: '{selector}'; can't understand '{term}'")]
    Term { selector: String, term: String },
    #[error("invalid field selector: invalid escape sequence: {0}")]
    Escape(String),
    /// Upstream prints the character as its number.
    #[error("invalid field selector: unescaped character in value: {}", u32::from(*.0))]
    Unescaped(char),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Equals,
    NotEquals,
}

/// One field, and the value that it has or must not have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    pub field: String,
    pub operator: Operator,
    pub value: String,
}

/// A conjunction of requirements, or the selector that matches nothing at all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// `None` matches nothing.
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

    /// `field=value`
    pub fn equals(field: impl Into<String>, value: impl Into<String>) -> Selector {
        Selector::from_requirements(vec![Requirement {
            field: field.into(),
            operator: Operator::Equals,
            value: value.into(),
        }])
    }

    pub const fn from_requirements(requirements: Vec<Requirement>) -> Selector {
        Selector {
            requirements: Some(requirements),
        }
    }

    /// Parses the form of a `fieldSelector` parameter.
    pub fn parse(text: &str) -> Result<Selector, Error> {
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let terms = terms.into_iter().filter(|term| !term.is_empty());
        let requirements: Result<Vec<_>, _> = terms.map(|term| parse_term(text, term)).collect();
        Ok(Selector::from_requirements(requirements?))
    }

    /// This selector and another one.
    pub fn and(mut self, other: Selector) -> Selector {
        match (&mut self.requirements, other.requirements) {
            (Some(own), Some(others)) => own.extend(others),
            _ => return Selector::nothing(),
        }
        self
    }

    /// Whether the fields match; a field that is absent counts as empty.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> Option<&'a str>) -> bool {
        let Some(requirements) = &self.requirements else {
            return false;
        };
        requirements.iter().all(|own| {
            let equal = field(&own.field).unwrap_or_default() == own.value;
            equal == (own.operator == Operator::Equals)
        })
    }

    /// The value that `field` must have, if the selector says so.
    pub fn requires_exact_match(&self, field: &str) -> Option<&str> {
        let mut requirements = self.requirements.as_deref()?.iter();
        let found = requirements.find(|own| own.operator == Operator::Equals && own.field == field)?;
        Some(&found.value)
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.as_ref().is_some_and(Vec::is_empty)
    }

    pub fn is_nothing(&self) -> bool {
        self.requirements.is_none()
    }

    /// Empty for the selectors of everything and of nothing.
    pub fn requirements(&self) -> &[Requirement] {
        self.requirements.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = match self.operator {
            Operator::Equals => "=",
            Operator::NotEquals => "!=",
        };
        write!(f, "{}{operator}{}", self.field, escape_value(&self.value))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements().iter().enumerate() {
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

/// The terms between commas; an escaped comma belongs to its term.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn parse_term(selector: &str, term: &str) -> Result<Requirement, Error> {
    let unknown = || Error::Term {
        selector: selector.to_owned(),
        term: term.to_owned(),
    };
    // A `!` that starts no operator is part of the field's name.
    let at = first_operator(term).ok_or_else(unknown)?;
    let (field, rest) = term.split_at(at);
    let (operator, value) = if let Some(value) = rest.strip_prefix("!=") {
        (Operator::NotEquals, value)
    } else {
        (
            Operator::Equals,
            rest.strip_prefix("==")
                .or_else(|| rest.strip_prefix('='))
                .ok_or_else(unknown)?,
        )
    };
    Ok(Requirement {
        field: field.to_owned(),
        operator,
        value: unescape_value(value)?,
    })
}

fn first_operator(term: &str) -> Option<usize> {
    let not_equals = term.find("!=");
    let equals = term.find('=');
    match (not_equals, equals) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A literal as the value of a field selector.
pub fn escape_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | ',' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The literal that a field selector's value stands for.
pub fn unescape_value(value: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                Some(next) => return Err(Error::Escape(format!("\\{next}"))),
                None => return Err(Error::Escape("\\".to_owned())),
            },
            ',' | '=' => return Err(Error::Unescaped(c)),
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match Selector::parse(text) {
            Ok(selector) => selector.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "for {text:?}");
    }

    #[test]
    fn parses_and_prints_canonically() {
        check("", "");
        check("b==2,a!=1", "a!=1,b=2");
        check("x=a\\,b\\=c\\\\", "x=a\\,b\\=c\\\\");
        check("x!y=z", "x!y=z");
        check("x", "invalid selector: 'x'; can't understand 'x'");
        check(
            "x=a=b",
            "invalid field selector: unescaped character in value: 61",
        );
        check("x=\\q", "invalid field selector: invalid escape sequence: \\q");
    }

    #[test]
    fn matches_fields() {
        let selector = Selector::parse("spec.nodeName=a,status.phase!=Failed").unwrap();
        let node = |name: &'static str| move |field: &str| (field == "spec.nodeName").then_some(name);
        assert!(selector.matches(node("a")));
        assert!(!selector.matches(node("b")));
        assert_eq!(selector.requires_exact_match("spec.nodeName"), Some("a"));
        assert_eq!(selector.requires_exact_match("status.phase"), None);
        assert!(!Selector::nothing().matches(|_| None));
        assert!(Selector::parse("gone=").unwrap().matches(|_| None));
    }
}
