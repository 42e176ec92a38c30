//! Configuration files: YAML (or JSON) documents with `apiVersion` and `kind`, read strictly.
//!
//! A reader takes the fields it knows out of an [`Object`] and calls [`Object::finish`], which reports any
//! field left over by its full path: a misspelt setting must not be silently ignored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::options::parse_duration;

/// A file larger than this is not a configuration of ours.
const MAX_FILE_BYTES: u64 = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0} is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge(PathBuf),
    #[error("cannot parse YAML: {0}")]
    Syntax(String),
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Kind { api_version: String, kind: String },
    #[error("{path}: expected {expected}")]
    Type { path: String, expected: &'static str },
    #[error("{path}: {reason}")]
    Value { path: String, reason: String },
    #[error("strict decoding error: {}", unknown(.0))]
    UnknownFields(Vec<String>),
}

fn unknown(paths: &[String]) -> String {
    paths
        .iter()
        .map(|path| format!("unknown field {path:?}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A configuration document.
#[derive(Clone, Debug)]
pub struct Document {
    pub api_version: String,
    pub kind: String,
    /// Everything but `apiVersion` and `kind`.
    pub root: Object,
}

impl Document {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut root = match yaml(text)? {
            Value::Object(fields) => Object {
                path: String::new(),
                fields,
            },
            Value::Null => Object {
                path: String::new(),
                fields: Map::new(),
            },
            _ => {
                return Err(Error::Type {
                    path: "document".to_owned(),
                    expected: "an object",
                });
            }
        };
        let api_version = root.string("apiVersion")?.unwrap_or_default();
        let kind = root.string("kind")?.unwrap_or_default();
        Ok(Self {
            api_version,
            kind,
            root,
        })
    }

    /// The content, if the document is of this kind in one of these versions.
    pub fn expect(self, kind: &str, api_versions: &[&str]) -> Result<Object, Error> {
        if self.kind == kind && api_versions.contains(&self.api_version.as_str()) {
            Ok(self.root)
        } else {
            Err(Error::Kind {
                api_version: self.api_version,
                kind: self.kind,
            })
        }
    }
}

/// Reads a configuration file.
pub fn load(path: &Path) -> Result<Document, Error> {
    Document::parse(&read(path)?)
}

/// Reads a file that must be of a bounded size.
pub fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Err(Error::TooLarge(path.to_owned()));
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// A YAML document as a JSON value, with the octal integers of YAML 1.1 that Kubernetes files use.
pub fn yaml(text: &str) -> Result<Value, Error> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| Error::Syntax(error.to_string()))
}

/// The fields of an object that have not been read yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    path: String,
    fields: Map<String, Value>,
}

impl Object {
    pub fn new(path: &str, fields: Map<String, Value>) -> Self {
        Self {
            path: path.to_owned(),
            fields,
        }
    }

    /// The full path of a field, for errors of the caller's own.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// An error about a field's value.
    pub fn invalid(&self, name: &str, reason: impl Into<String>) -> Error {
        Error::Value {
            path: self.path_of(name),
            reason: reason.into(),
        }
    }

    /// Takes a field as it stands; `null` counts as absent.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    pub fn string(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.mismatch(name, "a string")),
        }
    }

    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(self.mismatch(name, "a boolean")),
        }
    }

    pub fn int(&mut self, name: &str) -> Result<Option<i64>, Error> {
        self.value(name)
            .map(|value| value.as_i64().ok_or_else(|| self.mismatch(name, "an integer")))
            .transpose()
    }

    pub fn float(&mut self, name: &str) -> Result<Option<f64>, Error> {
        self.value(name)
            .map(|value| value.as_f64().ok_or_else(|| self.mismatch(name, "a number")))
            .transpose()
    }

    /// A duration in Go's notation (`10s`).
    pub fn duration(&mut self, name: &str) -> Result<Option<Duration>, Error> {
        match self.string(name)? {
            None => Ok(None),
            Some(text) => parse_duration(&text)
                .map(Some)
                .map_err(|reason| self.invalid(name, reason)),
        }
    }

    pub fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(values) = self.values(name)? else {
            return Ok(None);
        };
        let texts = values.into_iter().map(|value| match value {
            Value::String(text) => Ok(text),
            _ => Err(self.mismatch(name, "a list of strings")),
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// A map from string to string; scalars are kept as they are written.
    pub fn map(&mut self, name: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(object) = self.object(name)? else {
            return Ok(None);
        };
        let path = self.path_of(name);
        let pairs = object.fields.into_iter().map(|(key, value)| match value {
            Value::String(text) => Ok((key, text)),
            Value::Bool(_) | Value::Number(_) => Ok((key, value.to_string())),
            _ => Err(Error::Type {
                path: format!("{path}.{key}"),
                expected: "a string",
            }),
        });
        pairs.collect::<Result<_, _>>().map(Some)
    }

    /// A nested object, which the caller must finish as well.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                path: self.path_of(name),
                fields,
            })),
            Some(_) => Err(self.mismatch(name, "an object")),
        }
    }

    pub fn objects(&mut self, name: &str) -> Result<Option<Vec<Self>>, Error> {
        let Some(values) = self.values(name)? else {
            return Ok(None);
        };
        let objects = values.into_iter().enumerate().map(|(index, value)| {
            let path = format!("{}[{index}]", self.path_of(name));
            match value {
                Value::Object(fields) => Ok(Self { path, fields }),
                _ => Err(Error::Type {
                    path,
                    expected: "an object",
                }),
            }
        });
        objects.collect::<Result<_, _>>().map(Some)
    }

    fn values(&mut self, name: &str) -> Result<Option<Vec<Value>>, Error> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(self.mismatch(name, "a list")),
        }
    }

    /// Accepts fields that upstream has and this daemon does not act on; gives those that were set.
    pub fn ignore(&mut self, names: &[&str]) -> Vec<String> {
        let mut taken = |name: &&&str| self.fields.remove(**name).is_some_and(|value| !value.is_null());
        let set: Vec<&&str> = names.iter().filter(|name| taken(name)).collect();
        set.into_iter().map(|name| self.path_of(name)).collect()
    }

    /// Every field must have been read by now.
    pub fn finish(self) -> Result<(), Error> {
        if self.fields.is_empty() {
            return Ok(());
        }
        Err(Error::UnknownFields(
            self.fields.keys().map(|name| self.path_of(name)).collect(),
        ))
    }

    fn mismatch(&self, name: &str, expected: &'static str) -> Error {
        Error::Type {
            path: self.path_of(name),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
apiVersion: thing.config.k8s.io/v1
kind: ThingConfiguration
mode: 0644
syncFrequency: 1m30s
clusterDNS: [10.96.0.10]
authentication:
  anonymous: {enabled: false}
  webook: {}
profiles:
- schedulerName: default
- schedulerNam: other
reserved: {cpu: 100m, pid: 1000}
";

    #[test]
    fn fields_are_read_by_type() {
        let mut root = Document::parse(TEXT)
            .unwrap()
            .expect("ThingConfiguration", &["thing.config.k8s.io/v1"])
            .unwrap();
        assert_eq!(root.int("mode").unwrap(), Some(0o644));
        assert_eq!(
            root.duration("syncFrequency").unwrap(),
            Some(Duration::from_secs(90))
        );
        assert_eq!(root.strings("clusterDNS").unwrap().unwrap(), ["10.96.0.10"]);
        assert_eq!(root.map("reserved").unwrap().unwrap()["pid"], "1000");
        assert_eq!(root.bool("absent").unwrap(), None);
    }

    #[test]
    fn what_is_left_over_is_an_error_with_its_path() {
        let mut root = Document::parse(TEXT).unwrap().root;
        let mut authentication = root.object("authentication").unwrap().unwrap();
        authentication.object("anonymous").unwrap();
        let error = authentication.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            r#"strict decoding error: unknown field "authentication.webook""#
        );
        let mut profile = root.objects("profiles").unwrap().unwrap().remove(1);
        assert_eq!(profile.string("schedulerName").unwrap(), None);
        let error = profile.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            r#"strict decoding error: unknown field "profiles[1].schedulerNam""#
        );
    }

    #[test]
    fn wrong_types_kinds_and_syntax_are_errors() {
        let mut root = Document::parse(TEXT).unwrap().root;
        assert_eq!(
            root.bool("syncFrequency").unwrap_err().to_string(),
            "syncFrequency: expected a boolean"
        );
        let error = Document::parse(TEXT)
            .unwrap()
            .expect("Other", &["v1"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            r#"no kind "ThingConfiguration" is registered for version "thing.config.k8s.io/v1""#
        );
        assert!(matches!(Document::parse("a: [").unwrap_err(), Error::Syntax(_)));
        assert!(matches!(
            Document::parse("a: 1\na: 2").unwrap_err(),
            Error::Syntax(_)
        ));
        assert!(matches!(Document::parse("- 1").unwrap_err(), Error::Type { .. }));
    }
}
