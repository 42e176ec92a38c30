//! Field errors: which field of an object is wrong, and why, in upstream's words.
//!
//! Upstream: `k8s.io/apimachinery/pkg/util/validation/field`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::quote::quote;

mod value;

pub use value::Value;

/// A path from the root of an object to a field, such as `spec.containers[0].image`.
///
/// A shared list from the leaf up: a child costs one small allocation, and the text is only made for an error.
#[derive(Clone, Debug, Default)]
pub struct Path(Option<Arc<Node>>);

#[derive(Debug)]
struct Node {
    parent: Option<Arc<Node>>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Name(Cow<'static, str>),
    Index(usize),
    Key(String),
}

impl Path {
    pub fn new(name: impl Into<Cow<'static, str>>) -> Path {
        Path::nil().child(name)
    }

    /// The path of the whole object. Upstream prints it as `<nil>`.
    pub const fn nil() -> Path {
        Path(None)
    }

    /// The field `name` of the struct at this path.
    pub fn child(&self, name: impl Into<Cow<'static, str>>) -> Path {
        self.step(Step::Name(name.into()))
    }

    /// An element of the list at this path.
    pub fn index(&self, index: usize) -> Path {
        self.step(Step::Index(index))
    }

    /// A value of the map at this path.
    pub fn key(&self, key: impl Into<String>) -> Path {
        self.step(Step::Key(key.into()))
    }

    fn step(&self, step: Step) -> Path {
        Path(Some(Arc::new(Node {
            parent: self.0.clone(),
            step,
        })))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = Vec::new();
        let mut at = self.0.as_deref();
        while let Some(node) = at {
            steps.push(&node.step);
            at = node.parent.as_deref();
        }
        if steps.is_empty() {
            return f.write_str("<nil>");
        }
        for (position, step) in steps.iter().rev().enumerate() {
            match step {
                // As upstream prints a step that has neither name nor index.
                Step::Name(name) if name.is_empty() => f.write_str("[]")?,
                Step::Name(name) if position == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

/// Why a field is wrong. The names are those of a Status cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TooFew,
    Internal,
    TypeInvalid,
    TooShort,
}

impl ErrorType {
    /// The cause type in a Status.
    pub const fn cause(self) -> &'static str {
        match self {
            ErrorType::NotFound => "FieldValueNotFound",
            ErrorType::Required => "FieldValueRequired",
            ErrorType::Duplicate => "FieldValueDuplicate",
            ErrorType::Invalid => "FieldValueInvalid",
            ErrorType::NotSupported => "FieldValueNotSupported",
            ErrorType::Forbidden => "FieldValueForbidden",
            ErrorType::TooLong => "FieldValueTooLong",
            ErrorType::TooMany => "FieldValueTooMany",
            ErrorType::TooFew => "FieldValueTooFew",
            ErrorType::Internal => "InternalError",
            ErrorType::TypeInvalid => "FieldValueTypeInvalid",
            ErrorType::TooShort => "FieldValueTooShort",
        }
    }

    const fn shows_value(self) -> bool {
        !matches!(
            self,
            ErrorType::Required
                | ErrorType::Forbidden
                | ErrorType::TooLong
                | ErrorType::TooShort
                | ErrorType::Internal
        )
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorType::NotFound => "Not found",
            ErrorType::Required => "Required value",
            ErrorType::Duplicate => "Duplicate value",
            ErrorType::Invalid | ErrorType::TypeInvalid => "Invalid value",
            ErrorType::NotSupported => "Unsupported value",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::TooLong => "Too long",
            ErrorType::TooMany => "Too many",
            ErrorType::TooFew => "Too few",
            ErrorType::Internal => "Internal error",
            ErrorType::TooShort => "Too short",
        })
    }
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    pub type_: ErrorType,
    pub field: String,
    pub value: Value,
    pub detail: String,
}

/// Every wrong field of an object, in the order in which they were found.
pub type ErrorList = Vec<Error>;

impl Error {
    fn new(type_: ErrorType, path: &Path, value: Value, detail: impl Into<String>) -> Error {
        Error {
            type_,
            field: path.to_string(),
            value,
            detail: detail.into(),
        }
    }

    pub fn not_found(path: &Path, value: impl Into<Value>) -> Error {
        Error::new(ErrorType::NotFound, path, value.into(), "")
    }

    pub fn required(path: &Path, detail: impl Into<String>) -> Error {
        Error::new(ErrorType::Required, path, Value::Omitted, detail)
    }

    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Error {
        Error::new(ErrorType::Duplicate, path, value.into(), "")
    }

    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(ErrorType::Invalid, path, value.into(), detail)
    }

    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(ErrorType::TypeInvalid, path, value.into(), detail)
    }

    /// `supported` in the order in which the message lists them.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Error {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let quoted: Vec<String> = supported.iter().map(|value| quote(value)).collect();
            format!("supported values: {}", quoted.join(", "))
        };
        Error::new(ErrorType::NotSupported, path, value.into(), detail)
    }

    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Error {
        Error::new(ErrorType::Forbidden, path, Value::Omitted, detail)
    }

    /// A value changed that may not change once set.
    pub fn immutable(path: &Path, value: impl Into<Value>) -> Error {
        Error::invalid(path, value, IMMUTABLE)
    }

    /// More than `max` bytes.
    pub fn too_long(path: &Path, max: usize) -> Error {
        Error::new(
            ErrorType::TooLong,
            path,
            Value::Omitted,
            format!("may not be more than {}", counted(max, "byte")),
        )
    }

    /// More than `max` characters.
    pub fn too_long_characters(path: &Path, max: usize) -> Error {
        Error::new(
            ErrorType::TooLong,
            path,
            Value::Omitted,
            format!("may not be more than {}", counted(max, "character")),
        )
    }

    pub fn too_short(path: &Path, min: usize) -> Error {
        Error::new(
            ErrorType::TooShort,
            path,
            Value::Omitted,
            format!("must be at least {}", counted(min, "character")),
        )
    }

    pub fn too_many(path: &Path, actual: usize, max: usize) -> Error {
        let detail = format!("must have at most {}", counted(max, "item"));
        Error::new(ErrorType::TooMany, path, Value::from(actual), detail)
    }

    pub fn too_few(path: &Path, actual: usize, min: usize) -> Error {
        let detail = format!("must have at least {}", counted(min, "item"));
        Error::new(ErrorType::TooFew, path, Value::from(actual), detail)
    }

    pub fn internal(path: &Path, detail: impl Into<String>) -> Error {
        Error::new(ErrorType::Internal, path, Value::Omitted, detail)
    }

    /// The message without the field.
    pub fn body(&self) -> String {
        let mut out = self.type_.to_string();
        if self.type_.shows_value()
            && let Some(value) = self.value.shown()
        {
            out.push_str(": ");
            out.push_str(&value);
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

/// The detail of an error about a value that may not change once set.
pub const IMMUTABLE: &str = "field is immutable";

fn counted(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

/// All messages as one, each once: `a` or `[a, b]`; `None` without errors.
pub fn aggregate(errors: &[Error]) -> Option<String> {
    let mut messages: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        let message = error.to_string();
        if !messages.contains(&message) {
            messages.push(message);
        }
    }
    match messages.len() {
        0 => None,
        1 => messages.pop(),
        _ => Some(format!("[{}]", messages.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_upstream() {
        let containers = Path::new("spec").child("containers");
        assert_eq!(
            containers.index(0).child("env").key("a.b").to_string(),
            "spec.containers[0].env[a.b]"
        );
        assert_eq!(Path::nil().to_string(), "<nil>");
        assert_eq!(Path::nil().key("x").to_string(), "[x]");
        assert_eq!(Path::new("").to_string(), "[]");
    }

    #[test]
    fn errors_print_as_upstream() {
        let path = Path::new("f");
        for (error, text) in [
            (
                Error::required(&path, "must be set"),
                "f: Required value: must be set",
            ),
            (
                Error::invalid(&path, "a\"b", "bad"),
                r#"f: Invalid value: "a\"b": bad"#,
            ),
            (Error::invalid(&path, 3_i32, "bad"), "f: Invalid value: 3: bad"),
            (
                Error::invalid(&path, None::<i64>, "bad"),
                "f: Invalid value: null: bad",
            ),
            (
                Error::not_supported(&path, "x", &["a", "b"]),
                r#"f: Unsupported value: "x": supported values: "a", "b""#,
            ),
            (Error::duplicate(&path, true), "f: Duplicate value: true"),
            (
                Error::too_long(&path, 1),
                "f: Too long: may not be more than 1 byte",
            ),
            (
                Error::too_many(&path, 9, 8),
                "f: Too many: 9: must have at most 8 items",
            ),
            (Error::forbidden(&path, ""), "f: Forbidden"),
            (Error::not_found(&path, "x"), r#"f: Not found: "x""#),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn aggregate_drops_repeated_messages() {
        let (a, b) = (
            Error::required(&Path::new("a"), ""),
            Error::required(&Path::new("b"), ""),
        );
        assert_eq!(aggregate(&[]), None);
        assert_eq!(
            aggregate(&[a.clone(), a.clone()]).as_deref(),
            Some("a: Required value")
        );
        assert_eq!(
            aggregate(&[a, b]).as_deref(),
            Some("[a: Required value, b: Required value]")
        );
    }
}
