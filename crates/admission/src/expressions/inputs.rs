//! The values of names in one request.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use api::Message;
use api::core::v1::Namespace;
use cel::authorizer::{Authorizer, Resource, ResourceCheck, Subject};
use cel::{Activation, Error, Extension, Outcome, PER_CALL_LIMIT, Program, Value};
use serde_json::{Value as Json, json};

use super::answers::Known;
use super::{Compiled, slot};
use crate::Attributes;
use crate::matching::ServedAs;

/// The documents that a request is about.
#[derive(Debug, Default)]
pub struct Documents {
    /// Null on a delete.
    pub object: Json,
    /// Null on a create.
    pub old: Json,
    pub request: Json,
    /// Null for what is in no namespace.
    pub namespace: Json,
}

/// The `request` of expressions: what a webhook would be sent of it, without the objects.
pub fn request(attributes: &Attributes<'_>, form: &ServedAs) -> Json {
    let kind = |kind: &apimachinery::gvk::GroupVersionKind| json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let resource = |resource: &apimachinery::gvk::GroupVersionResource| json!({"group": resource.group, "version": resource.version, "resource": resource.resource});
    let user = attributes.user;
    let mut user_info = json!({"username": user.name});
    let mut request = json!({
        "uid": "",
        "kind": kind(&form.kind),
        "resource": resource(&form.resource),
        "requestKind": kind(&attributes.kind),
        "requestResource": resource(&attributes.resource),
        "operation": attributes.operation.as_str(),
        "dryRun": attributes.dry_run,
        "options": serde_json::from_slice::<Json>(attributes.options).unwrap_or_default(),
    });
    let set = |of: &mut Json, key: &str, value: Json, empty: bool| {
        if !empty {
            of[key] = value;
        }
    };
    set(&mut user_info, "uid", json!(user.uid), user.uid.is_empty());
    set(
        &mut user_info,
        "groups",
        json!(user.groups),
        user.groups.is_empty(),
    );
    set(&mut user_info, "extra", json!(user.extra), user.extra.is_empty());
    request["userInfo"] = user_info;
    for (key, text) in [
        ("subResource", attributes.subresource),
        ("requestSubResource", attributes.subresource),
        ("name", attributes.name),
        ("namespace", attributes.namespace),
    ] {
        set(&mut request, key, json!(text), text.is_empty());
    }
    request
}

/// The `namespaceObject` of expressions: without owners and managers.
pub fn namespace(namespace: &Namespace) -> Json {
    let mut seen = namespace.clone();
    seen.metadata.owner_references.clear();
    seen.metadata.managed_fields.clear();
    serde_json::from_slice(&seen.to_json()).unwrap_or_default()
}

/// Evaluates the expressions of one policy, with one parameter, in one request.
pub struct Inputs<'a> {
    documents: &'a Documents,
    params: &'a Json,
    variables: &'a [(String, Compiled)],
    /// Values of variables, once they were asked for.
    found: RefCell<Vec<Option<Result<Value<'a>, String>>>>,
    /// What variables cost since somebody looked.
    spent: Cell<u64>,
    answers: Arc<Known>,
    requested: Resource,
}

impl<'a> Inputs<'a> {
    pub fn new(
        attributes: &Attributes<'_>,
        documents: &'a Documents,
        params: &'a Json,
        variables: &'a [(String, Compiled)],
        answers: &Arc<Known>,
    ) -> Self {
        Self {
            documents,
            params,
            variables,
            found: RefCell::new(variables.iter().map(|_| None).collect()),
            spent: Cell::new(0),
            answers: answers.clone(),
            requested: Resource {
                group: attributes.resource.group.clone(),
                resource: attributes.resource.resource.clone(),
                subresource: attributes.subresource.to_owned(),
                namespace: attributes.namespace.to_owned(),
                name: attributes.name.to_owned(),
                ..Resource::default()
            },
        }
    }

    fn authorizer(&self) -> Authorizer {
        Authorizer {
            answers: self.answers.clone(),
            subject: Subject::Requester,
        }
    }

    /// The value of an expression; it and the variables that it needed are paid from the budget.
    ///
    /// # Errors
    /// Of the expression, see [`Failure`].
    pub fn evaluate(&self, program: &Program, budget: &mut u64) -> Result<Value<'a>, Failure> {
        let (outcome, cost) = program.evaluate(self, PER_CALL_LIMIT);
        let cost = cost.saturating_add(self.spent.take());
        match budget.checked_sub(cost) {
            Some(left) => *budget = left,
            None => return Err(Failure::OutOfBudget),
        }
        outcome.map_err(|error| match error {
            Error::Unanswered(check) => Failure::Unanswered(check),
            error => Failure::Expression(error.to_string()),
        })
    }

    fn variable(&self, index: usize) -> Outcome<'a> {
        if let Some(Some(found)) = self.found.borrow().get(index) {
            return found.clone().map_err(Error::Value);
        }
        let Some((name, compiled)) = self.variables.get(index) else {
            return Err(Error::Value("no such attribute(s): variables".to_owned()));
        };
        let found = match compiled {
            Err(error) => Err(format!("composited variable {name:?} fails to compile: {error}")),
            Ok(program) => {
                let (outcome, cost) = program.evaluate(self, PER_CALL_LIMIT);
                self.spent.set(self.spent.get().saturating_add(cost));
                match outcome {
                    Err(error @ Error::Unanswered(_)) => return Err(error),
                    outcome => outcome
                        .map_err(|error| format!("composited variable {name:?} fails to evaluate: {error}")),
                }
            }
        };
        if let Some(place) = self.found.borrow_mut().get_mut(index) {
            *place = Some(found.clone());
        }
        found.map_err(Error::Value)
    }
}

/// Why an expression gives no value.
#[derive(Debug)]
pub enum Failure {
    Expression(String),
    /// No more expressions are evaluated.
    OutOfBudget,
    /// Ask, and evaluate again.
    Unanswered(Box<cel::authorizer::Check>),
}

impl<'a> Activation<'a> for Inputs<'a> {
    fn resolve(&self, slot: usize) -> Outcome<'a> {
        Ok(match slot {
            slot::OBJECT => Value::json(&self.documents.object),
            slot::OLD_OBJECT => Value::json(&self.documents.old),
            slot::NAMESPACE => Value::json(&self.documents.namespace),
            slot::REQUEST => Value::json(&self.documents.request),
            slot::PARAMS => Value::json(self.params),
            slot::AUTHORIZER => Value::Extension(Extension::Authorizer(self.authorizer())),
            slot::REQUEST_RESOURCE => Value::Extension(Extension::ResourceCheck(Arc::new(ResourceCheck {
                authorizer: self.authorizer(),
                resource: self.requested.clone(),
            }))),
            // As a whole it only says which variables there are.
            slot::VARIABLES => Value::object(
                self.variables
                    .iter()
                    .map(|(name, _)| (name.as_str(), Value::Null)),
            ),
            slot => return self.variable(slot - slot::FIRST_VARIABLE),
        })
    }
}
