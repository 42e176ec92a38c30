//! The `scale` subresource: replicas that stand where a definition says.
//!
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/{etcd,validator}.go`.

use api::Custom;
use api::apiextensions::v1::CustomResourceSubresourceScale;
use api::autoscaling::v1::{Scale, ScaleSpec, ScaleStatus};
use api::meta::v1::ObjectMeta;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::status::Status;
use serde_json::{Map, Value};

/// Where the replicas of a kind stand.
pub struct Paths {
    declared: CustomResourceSubresourceScale,
}

impl Paths {
    pub fn new(declared: &CustomResourceSubresourceScale) -> Paths {
        Paths {
            declared: declared.clone(),
        }
    }

    /// An object as its Scale. What is absent counts as zero.
    pub fn scale(&self, object: &Custom) -> Scale {
        let replicas = |path: &str| {
            let found = integer(&object.content, path).ok().flatten().unwrap_or_default();
            i32::try_from(found).unwrap_or(if found < 0 { i32::MIN } else { i32::MAX })
        };
        let selector = self.declared.label_selector_path.as_deref();
        let selector = selector.and_then(|path| text(&object.content, path).ok().flatten());
        Scale {
            metadata: ObjectMeta {
                name: object.metadata.name.clone(),
                namespace: object.metadata.namespace.clone(),
                uid: object.metadata.uid.clone(),
                resource_version: object.metadata.resource_version.clone(),
                creation_timestamp: object.metadata.creation_timestamp,
                ..ObjectMeta::default()
            },
            spec: ScaleSpec {
                replicas: replicas(&self.declared.spec_replicas_path),
            },
            status: ScaleStatus {
                replicas: replicas(&self.declared.status_replicas_path),
                selector: selector.unwrap_or_default(),
            },
        }
    }

    /// Why an object has no Scale to be read.
    pub fn check(&self, object: &Custom) -> Result<(), Status> {
        let path = &self.declared.spec_replicas_path;
        match integer(&object.content, path) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Status::internal(format!(
                "the spec replicas field {path:?} does not exist"
            ))),
            Err(Unfit { why }) => Err(Status::internal(why)),
        }
    }

    /// Sets the wanted replicas.
    pub fn set(&self, object: &mut Custom, scale: &Scale) -> Result<(), Status> {
        let path = &self.declared.spec_replicas_path;
        let mut names: Vec<&str> = names(path).collect();
        let last = names.pop().unwrap_or_default();
        let mut at = &mut object.content;
        for name in names {
            let next = at.entry(name).or_insert_with(|| Value::Object(Map::new()));
            at = next.as_object_mut().ok_or_else(|| {
                Status::bad_request(format!(
                    "value cannot be set because {path} is not a map[string]interface{{}}"
                ))
            })?;
        }
        at.insert(last.to_owned(), scale.spec.replicas.into());
        Ok(())
    }

    /// Errors of the wanted replicas.
    pub fn validate_spec(&self, object: &Custom) -> ErrorList {
        validate_replicas(object, &self.declared.spec_replicas_path)
            .into_iter()
            .collect()
    }

    /// Errors of what the status says.
    pub fn validate_status(&self, object: &Custom) -> ErrorList {
        let mut errors: ErrorList = validate_replicas(object, &self.declared.status_replicas_path)
            .into_iter()
            .collect();
        if let Some(path) = &self.declared.label_selector_path
            && let Err(Unfit { why }) = text(&object.content, path)
        {
            errors.push(Error::invalid(&Path::new(path.clone()), "", why));
        }
        errors
    }
}

fn validate_replicas(object: &Custom, path: &str) -> Option<Error> {
    let at = Path::new(path.to_owned());
    match integer(&object.content, path) {
        Err(Unfit { why }) => Some(Error::invalid(&at, 0, why)),
        Ok(Some(replicas)) if replicas < 0 => {
            Some(Error::invalid(&at, replicas, "should be a non-negative integer"))
        }
        Ok(Some(replicas)) if replicas > i64::from(i32::MAX) => {
            let detail = format!("should be less than or equal to {}", i32::MAX);
            Some(Error::invalid(&at, replicas, detail))
        }
        Ok(_) => None,
    }
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('.').unwrap_or(path).split('.')
}

/// Something else stands there.
struct Unfit {
    why: String,
}

fn unfit(path: &str, value: &Value, wanted: &str) -> Unfit {
    let kind = match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let value = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    Unfit {
        why: format!("{path} accessor error: {value} is of the type {kind}, expected {wanted}"),
    }
}

fn find<'v>(content: &'v Map<String, Value>, path: &str) -> Result<Option<&'v Value>, Unfit> {
    let mut names = names(path);
    let mut found = content.get(names.next().unwrap_or_default());
    for name in names {
        found = match found {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Object(members)) => members.get(name),
            Some(other) => return Err(unfit(path, other, "map[string]interface{}")),
        };
    }
    Ok(found)
}

fn integer(content: &Map<String, Value>, path: &str) -> Result<Option<i64>, Unfit> {
    match find(content, path)? {
        None => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| unfit(path, value, "int64")),
    }
}

fn text(content: &Map<String, Value>, path: &str) -> Result<Option<String>, Unfit> {
    match find(content, path)? {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(value) => Err(unfit(path, value, "string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths() -> Paths {
        Paths::new(&CustomResourceSubresourceScale {
            spec_replicas_path: ".spec.size".to_owned(),
            status_replicas_path: ".status.size".to_owned(),
            label_selector_path: Some(".status.selector".to_owned()),
        })
    }

    fn object(content: Value) -> Custom {
        Custom {
            content: serde_json::from_value(content).expect("an object"),
            ..Custom::default()
        }
    }

    #[test]
    fn replicas_are_read_and_set() {
        let mut object = object(json!({"spec": {"size": 3}, "status": {"size": 2, "selector": "a=b"}}));
        let mut scale = paths().scale(&object);
        assert_eq!(
            (
                scale.spec.replicas,
                scale.status.replicas,
                scale.status.selector.as_str()
            ),
            (3, 2, "a=b")
        );
        scale.spec.replicas = 7;
        paths().set(&mut object, &scale).expect("an object");
        assert_eq!(object.content["spec"], json!({"size": 7}));
        object.content.remove("spec");
        assert!(paths().check(&object).is_err());
        paths().set(&mut object, &scale).expect("an object");
        assert!(paths().check(&object).is_ok());
    }

    #[test]
    fn replicas_are_numbers_that_can_be() {
        let check = |content: Value, expected: &[&str]| {
            let object = object(content);
            let mut errors = paths().validate_spec(&object);
            errors.extend(paths().validate_status(&object));
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        };
        check(json!({}), &[]);
        check(
            json!({"spec": {"size": -1}, "status": {"size": 3_000_000_000_i64}}),
            &[
                ".spec.size: Invalid value: -1: should be a non-negative integer",
                ".status.size: Invalid value: 3000000000: should be less than or equal to 2147483647",
            ],
        );
        check(
            json!({"spec": [], "status": {"selector": 1}}),
            &[
                ".spec.size: Invalid value: 0: .spec.size accessor error: [] is of the type []interface {}, expected map[string]interface{}",
                ".status.selector: Invalid value: \"\": .status.selector accessor error: 1 is of the type int64, expected string",
            ],
        );
    }
}
