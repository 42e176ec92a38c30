//! What somebody may do: `authorizer.group('apps').resource('deployments').check('create').allowed()`.

use std::fmt;
use std::sync::Arc;

use apimachinery::validation::{name_is_dns_label, name_is_dns_subdomain};

use super::{Extension, overload, wrong};
use crate::cost::Cost;
use crate::evaluate::{Error, Outcome};
use crate::functions::Row;
use crate::value::Value;

pub const AUTHORIZER: &str = "kubernetes.authorization.Authorizer";
pub const PATH_CHECK: &str = "kubernetes.authorization.PathCheck";
pub const GROUP_CHECK: &str = "kubernetes.authorization.GroupCheck";
pub const RESOURCE_CHECK: &str = "kubernetes.authorization.ResourceCheck";
pub const DECISION: &str = "kubernetes.authorization.Decision";

pub(super) const TABLE: &[Row] = &[
    Row {
        name: "path",
        signatures: &["authorizer.(string) -> pathCheck"],
        cost: Cost::Fixed(1),
        code: path,
    },
    Row {
        name: "group",
        signatures: &["authorizer.(string) -> groupCheck"],
        cost: Cost::Fixed(1),
        code: group,
    },
    Row {
        name: "serviceAccount",
        signatures: &["authorizer.(string, string) -> authorizer"],
        cost: Cost::Fixed(1),
        code: service_account,
    },
    Row {
        name: "resource",
        signatures: &["groupCheck.(string) -> resourceCheck"],
        cost: Cost::Fixed(1),
        code: resource,
    },
    Row {
        name: "subresource",
        signatures: &["resourceCheck.(string) -> resourceCheck"],
        cost: Cost::Fixed(1),
        code: |args| with(args, |check, text| check.subresource = text),
    },
    Row {
        name: "namespace",
        signatures: &["resourceCheck.(string) -> resourceCheck"],
        cost: Cost::Fixed(1),
        code: |args| with(args, |check, text| check.namespace = text),
    },
    Row {
        name: "name",
        signatures: &["resourceCheck.(string) -> resourceCheck"],
        cost: Cost::Fixed(1),
        code: |args| with(args, |check, text| check.name = text),
    },
    Row {
        name: "fieldSelector",
        signatures: &["resourceCheck.(string) -> resourceCheck"],
        cost: Cost::Selector,
        code: |args| with(args, |check, text| check.field_selector = text),
    },
    Row {
        name: "labelSelector",
        signatures: &["resourceCheck.(string) -> resourceCheck"],
        cost: Cost::Selector,
        code: |args| with(args, |check, text| check.label_selector = text),
    },
    Row {
        name: "check",
        signatures: &[
            "pathCheck.(string) -> decision",
            "resourceCheck.(string) -> decision",
        ],
        cost: Cost::Fixed(350_000),
        code: check,
    },
    Row {
        name: "allowed",
        signatures: &["decision.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |decision| Value::Bool(decision.allowed)),
    },
    Row {
        name: "reason",
        signatures: &["decision.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |decision| Value::text(decision.reason.as_str())),
    },
    Row {
        name: "errored",
        signatures: &["decision.() -> bool"],
        cost: Cost::Fixed(1),
        code: |args| of(args, |decision| Value::Bool(decision.error.is_some())),
    },
    Row {
        name: "error",
        signatures: &["decision.() -> string"],
        cost: Cost::Fixed(1),
        code: |args| {
            of(args, |decision| {
                Value::text(decision.error.as_deref().unwrap_or(""))
            })
        },
    },
];

/// Whose rights are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Whoever makes the request.
    #[default]
    Requester,
    ServiceAccount {
        namespace: String,
        name: String,
    },
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    pub subject: Subject,
    pub verb: String,
    pub of: Target,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Path(String),
    Resource(Resource),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resource {
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    /// As written: the one who answers parses it.
    pub field_selector: String,
    pub label_selector: String,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// Knows answers. Evaluation does not wait: what is not known yet ends it, to be begun anew with the answer.
pub trait Answers: Send + Sync {
    fn answer(&self, check: &Check) -> Option<Decision>;
}

#[derive(Clone)]
pub struct Authorizer {
    pub answers: Arc<dyn Answers>,
    pub subject: Subject,
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct PathCheck {
    authorizer: Authorizer,
    path: String,
}

#[derive(Debug)]
pub struct GroupCheck {
    authorizer: Authorizer,
    group: String,
}

#[derive(Clone, Debug)]
pub struct ResourceCheck {
    pub authorizer: Authorizer,
    pub resource: Resource,
}

fn path<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Authorizer(_)), Value::String(path)] if path.trim().is_empty() => {
            wrong("path must not be empty")
        }
        [
            Value::Extension(Extension::Authorizer(authorizer)),
            Value::String(path),
        ] => {
            let check = PathCheck {
                authorizer: authorizer.clone(),
                path: path.to_string(),
            };
            Ok(Value::Extension(Extension::PathCheck(Arc::new(check))))
        }
        _ => overload(),
    }
}

fn group<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [
            Value::Extension(Extension::Authorizer(authorizer)),
            Value::String(group),
        ] => {
            let check = GroupCheck {
                authorizer: authorizer.clone(),
                group: group.to_string(),
            };
            Ok(Value::Extension(Extension::GroupCheck(Arc::new(check))))
        }
        _ => overload(),
    }
}

fn service_account<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let [
        Value::Extension(Extension::Authorizer(authorizer)),
        Value::String(namespace),
        Value::String(name),
    ] = args
    else {
        return overload();
    };
    if !name_is_dns_subdomain(name, false).is_empty() {
        return wrong("Invalid service account name");
    }
    if !name_is_dns_label(namespace, false).is_empty() {
        return wrong("Invalid service account namespace");
    }
    Ok(Value::Extension(Extension::Authorizer(Authorizer {
        answers: authorizer.answers.clone(),
        subject: Subject::ServiceAccount {
            namespace: namespace.to_string(),
            name: name.to_string(),
        },
    })))
}

fn resource<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    match args {
        [
            Value::Extension(Extension::GroupCheck(_)),
            Value::String(resource),
        ] if resource.trim().is_empty() => wrong("resource must not be empty"),
        [
            Value::Extension(Extension::GroupCheck(check)),
            Value::String(resource),
        ] => {
            let resource = Resource {
                group: check.group.clone(),
                resource: resource.to_string(),
                ..Resource::default()
            };
            let authorizer = check.authorizer.clone();
            let check = ResourceCheck { authorizer, resource };
            Ok(Value::Extension(Extension::ResourceCheck(Arc::new(check))))
        }
        _ => overload(),
    }
}

fn with<'a>(args: &[Value<'a>], set: fn(&mut Resource, String)) -> Outcome<'a> {
    match args {
        [
            Value::Extension(Extension::ResourceCheck(check)),
            Value::String(text),
        ] => {
            let mut check = (**check).clone();
            set(&mut check.resource, text.to_string());
            Ok(Value::Extension(Extension::ResourceCheck(Arc::new(check))))
        }
        _ => overload(),
    }
}

fn check<'a>(args: &[Value<'a>]) -> Outcome<'a> {
    let (authorizer, of, verb) = match args {
        [Value::Extension(Extension::PathCheck(check)), Value::String(verb)] => {
            (&check.authorizer, Target::Path(check.path.clone()), verb)
        }
        [
            Value::Extension(Extension::ResourceCheck(check)),
            Value::String(verb),
        ] => (&check.authorizer, Target::Resource(check.resource.clone()), verb),
        _ => return overload(),
    };
    let check = Check {
        subject: authorizer.subject.clone(),
        verb: verb.to_string(),
        of,
    };
    match authorizer.answers.answer(&check) {
        Some(decision) => Ok(Value::Extension(Extension::Decision(Arc::new(decision)))),
        None => Err(Error::Unanswered(Box::new(check))),
    }
}

fn of<'a>(args: &[Value<'a>], part: fn(&Decision) -> Value<'a>) -> Outcome<'a> {
    match args {
        [Value::Extension(Extension::Decision(decision))] => Ok(part(decision)),
        _ => overload(),
    }
}
