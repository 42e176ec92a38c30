//! What a MutatingAdmissionPolicy changes, as its expressions say.

use api::admissionregistration::v1;
use cel::authorizer::Check;
use cel::{JSON_PATCH, List, Map, Value};
use serde_json::{Value as Json, json};

use crate::expressions::conditions::{OUT_OF_BUDGET, resulted};
use crate::expressions::inputs::{Failure, Inputs};
use crate::expressions::{BUDGET, Compiled, Compiler};
use crate::policies::definition::{Binding, Constraints, Policy, Rules, Stated};

/// Whole numbers up to here are written as such, whether they were computed as integers or not.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The mutations of one policy.
pub struct Mutations {
    pub all: Vec<Mutation>,
    /// Whether it mutates again what later ones have changed.
    pub is_reinvoked: bool,
}

pub struct Mutation {
    source: String,
    compiled: Compiled,
    read: fn(&Value<'_>) -> Result<Change, String>,
}

/// What an expression gives.
#[derive(Debug, PartialEq)]
pub enum Change {
    /// To be laid over the object.
    Configuration(Json),
    /// A JSON patch.
    Operations(Json),
}

impl Rules for Mutations {
    type Policy = v1::MutatingAdmissionPolicy;
    type Binding = v1::MutatingAdmissionPolicyBinding;

    const RESOURCES: &'static [(&'static str, &'static str)] = &[
        ("admissionregistration.k8s.io", "mutatingadmissionpolicies"),
        ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"),
    ];

    fn policy(policy: &v1::MutatingAdmissionPolicy) -> Policy<Self> {
        let spec = &policy.spec;
        let stated = Stated {
            metadata: &policy.metadata,
            failure_policy: spec.failure_policy.as_deref(),
            param_kind: spec.param_kind.as_deref(),
            constraints: spec.match_constraints.as_deref(),
            variables: &spec.variables,
            conditions: &spec.match_conditions,
        };
        Policy::new(&stated, |compiler| Self {
            all: spec
                .mutations
                .iter()
                .filter_map(|mutation| Mutation::new(mutation, compiler))
                .collect(),
            is_reinvoked: spec.reinvocation_policy == "IfNeeded",
        })
    }

    fn binding(binding: &v1::MutatingAdmissionPolicyBinding) -> Binding {
        let spec = &binding.spec;
        Binding {
            name: binding.metadata.name.clone(),
            policy: spec.policy_name.clone(),
            param_ref: spec.param_ref.as_deref().cloned(),
            constraints: spec.match_resources.as_deref().map(Constraints::new),
            actions: Vec::new(),
        }
    }
}

impl Mutation {
    /// `None` for one that validation does not let through.
    fn new(mutation: &v1::Mutation, compiler: &Compiler) -> Option<Self> {
        let (source, compiled, read): (_, _, fn(&Value<'_>) -> _) = match mutation.patch_type.as_str() {
            "ApplyConfiguration" => {
                let source = &mutation.apply_configuration.as_ref()?.expression;
                (source, compiler.configuration(source), configuration)
            }
            "JSONPatch" => {
                let source = &mutation.json_patch.as_ref()?.expression;
                (source, compiler.json_patch(source), operations)
            }
            _ => return None,
        };
        Some(Self {
            source: source.clone(),
            compiled,
            read,
        })
    }

    /// What is to change, or why that cannot be told.
    ///
    /// # Errors
    /// A check that the authorizer has to answer first.
    pub fn evaluate(&self, inputs: &Inputs<'_>) -> Result<Result<Change, String>, Box<Check>> {
        let program = match &self.compiled {
            Ok(program) => program,
            Err(error) => return Ok(Err(error.clone())),
        };
        let mut budget = BUDGET;
        Ok(match inputs.evaluate(program, &mut budget) {
            Ok(value) => (self.read)(&value),
            Err(Failure::Unanswered(check)) => return Err(check),
            Err(Failure::OutOfBudget) => Err(OUT_OF_BUDGET.to_owned()),
            Err(Failure::Expression(error)) => Err(resulted(&self.source, &error)),
        })
    }
}

fn configuration(value: &Value<'_>) -> Result<Change, String> {
    check_places(value)?;
    let json = plain(value).ok_or_else(|| format!("invalid return type: {}", value.type_name()))?;
    Ok(Change::Configuration(json))
}

fn operations(value: &Value<'_>) -> Result<Change, String> {
    let Value::List(list) = value else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    };
    let operations = list.iter().map(|item| operation(&item));
    Ok(Change::Operations(Json::Array(
        operations.collect::<Result<_, _>>()?,
    )))
}

fn operation(value: &Value<'_>) -> Result<Json, String> {
    let members = match value {
        Value::Map(map) if map.made_as() == Some(JSON_PATCH) => map,
        other => {
            return Err(format!(
                "type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch, got element of {}",
                other.type_name()
            ));
        }
    };
    let text = |field: &str| match members.field(field) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.to_string()),
        Some(other) => Err(format!(
            "unexpected type {} for JSONPatchType '{field}' field",
            other.type_name()
        )),
    };
    let mut operation = json!({ "op": text("op")?, "path": text("path")? });
    let from = text("from")?;
    if !from.is_empty() {
        operation["from"] = from.into();
    }
    if let Some(value) = members.field("value") {
        check_places(&value)?;
        operation["value"] = plain(&value).ok_or_else(|| {
            format!(
                "JSONPath valueExpression evaluated to a type that could not marshal to JSON: {}",
                value.type_name()
            )
        })?;
    }
    Ok(operation)
}

/// A value as JSON; a whole number is an integer, as fields want it.
fn plain(value: &Value<'_>) -> Option<Json> {
    let mut json = value.to_json()?;
    write_whole(&mut json);
    Some(json)
}

fn write_whole(json: &mut Json) {
    match json {
        Json::Array(items) => items.iter_mut().for_each(write_whole),
        Json::Object(members) => members.values_mut().for_each(write_whole),
        Json::Number(number) if number.is_f64() => {
            if let Some(value) = number.as_f64()
                && value.fract() == 0.0
                && value.abs() <= LARGEST_WHOLE
            {
                *json = Json::from(value as i64);
            }
        }
        _ => {}
    }
}

/// Within an object that an expression has made, the names of types tell the places where they stand.
fn check_places(value: &Value<'_>) -> Result<(), String> {
    let Value::Map(map) = value else { return Ok(()) };
    let Some(root) = map.made_as() else { return Ok(()) };
    let mut wrong = Vec::new();
    visit(value, root, &mut wrong);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("type mismatch: {}", wrong.join("\n")))
    }
}

fn visit(value: &Value<'_>, place: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Map(map @ Map::Made(name, _)) => {
            if **name != *place {
                wrong.push(format!(
                    "unexpected type name {name:?}, expected {place:?}, which matches field name path from root Object type"
                ));
            }
            for (field, value) in map.entries() {
                visit(&value, &format!("{place}.{field}"), wrong);
            }
        }
        Value::Map(map @ Map::Shared(_)) => {
            for (_, value) in map.entries() {
                visit(&value, place, wrong);
            }
        }
        Value::List(list @ List::Shared(_)) => list.iter().for_each(|item| visit(&item, place, wrong)),
        // What expressions have not made has no such types within.
        _ => {}
    }
}
