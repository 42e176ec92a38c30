//! `x-kubernetes-validations`: rules in the schemas of custom resources.
//!
//! A tree of [`Rules`] stands beside the schema; where the schema has no rules below it, there is none. An update that
//! leaves a value alone is not refused for what was wrong with it before: such failures become warnings.
//!
//! Upstream: `k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel`.

mod correlation;
mod field_path;

use std::collections::BTreeMap;
use std::sync::Arc;

use apimachinery::field::{Error as FieldError, Path, Value as Shown};
use serde_json::Value as Json;

use correlation::{Comparison, Items, is_same};

use crate::evaluate::Error;
use crate::{Environment, PER_CALL_LIMIT, Program, Schema, Type, Value, compile};

/// All rules together may cost so much for one object.
pub const BUDGET: u64 = 10_000_000;
/// Longer messages of expressions are not shown, in bytes.
const LONGEST_MESSAGE: usize = 5 * 1024;
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// One rule, compiled.
#[derive(Debug)]
pub struct Rule {
    source: String,
    message: String,
    reason: String,
    /// A rule about changes that also holds for new objects, which have no old value.
    optional_old_self: bool,
    /// `None`: there is nothing to evaluate.
    pub rule: Option<Result<Program, String>>,
    /// Compiled only if the rule is.
    pub message_expression: Option<Result<Program, String>>,
    message_source: String,
    /// Where in the value the error is, as fields show it.
    field_path: Option<String>,
}

const SELF: usize = 0;
const OLD_SELF: usize = 1;

impl Rule {
    /// From the JSON of a ValidationRule, about values of a schema.
    pub fn new(rule: &Json, schema: &Schema, schema_json: &Json) -> Self {
        let text = |key: &str| rule.get(key).and_then(Json::as_str).unwrap_or("").to_owned();
        let optional_old_self = rule.get("optionalOldSelf").and_then(Json::as_bool) == Some(true);
        let of = schema.declared();
        let old = match optional_old_self {
            true => Type::optional(of.clone()),
            false => of.clone(),
        };
        let environment = Environment::new().with("self", of.clone()).with("oldSelf", old);
        let (source, message_source, path) = (text("rule"), text("messageExpression"), text("fieldPath"));
        let compiled = (!source.trim().is_empty()).then(|| condition(&environment, &source));
        let wants_message = !message_source.is_empty() && matches!(compiled, Some(Ok(_)));
        Self {
            message: text("message"),
            reason: text("reason"),
            optional_old_self,
            rule: compiled,
            message_expression: wants_message.then(|| message(&environment, &message_source)),
            message_source,
            field_path: field_path::normalized(&path, schema_json).ok().flatten(),
            source,
        }
    }

    pub fn uses_old_self(&self) -> bool {
        matches!(&self.rule, Some(Ok(program)) if program.uses(OLD_SELF))
    }

    /// How errors name the rule.
    fn shown(&self) -> &str {
        match self.message.as_str() {
            "" => self.source.trim(),
            message => message.trim(),
        }
    }
}

/// Whether a rule's `fieldPath` leads somewhere in a schema.
pub fn is_field_path(path: &str, schema: &Json) -> bool {
    field_path::normalized(path, schema).is_ok()
}

fn condition(environment: &Environment, source: &str) -> Result<Program, String> {
    let program = compile(environment, source).map_err(|issues| format!("compilation failed: {issues}"))?;
    match program.output() {
        Type::Bool => Ok(program),
        _ => Err("cel expression must evaluate to a bool".to_owned()),
    }
}

fn message(environment: &Environment, source: &str) -> Result<Program, String> {
    let program = compile(environment, source)
        .map_err(|issues| format!("messageExpression compilation failed: {issues}"))?;
    match program.output() {
        Type::String => Ok(program),
        _ => Err("messageExpression must evaluate to a string".to_owned()),
    }
}

/// The rules of a schema and of what is below it.
#[derive(Debug)]
pub struct Rules {
    /// Types for this place, with what `self` is.
    schema: Option<Schema>,
    kind: String,
    list_keys: Option<Vec<String>>,
    comparison: Option<Arc<Comparison>>,
    rules: Vec<Rule>,
    all_of: Vec<Rules>,
    properties: BTreeMap<String, Rules>,
    additional: Option<Box<Rules>>,
    items: Option<Box<Rules>>,
}

/// What is wrong with an object.
#[derive(Debug, Default)]
pub struct Found {
    pub errors: Vec<FieldError>,
    /// Failures of what the update has not changed.
    pub warnings: Vec<String>,
}

/// Schemas nest no deeper.
const DEEPEST: usize = 100;

impl Rules {
    /// From the JSON of a structural schema; `None`: it has no rules. A resource's own schema has metadata.
    pub fn new(schema: &Json, is_resource: bool) -> Option<Self> {
        let comparison = Comparison::new(schema, is_resource, DEEPEST);
        Self::build(schema, schema, is_resource, comparison, 0)
    }

    /// Rules of one schema about values of another: those of `allOf` are about the values of the schema around it.
    fn build(
        rules: &Json,
        of: &Json,
        is_resource: bool,
        comparison: Option<Arc<Comparison>>,
        depth: usize,
    ) -> Option<Self> {
        if depth > DEEPEST {
            return None;
        }
        let embedded = |json: &Json| json.get("x-kubernetes-embedded-resource") == Some(&Json::Bool(true));
        let below = |key: &str, comparison: Option<&Arc<Comparison>>| {
            let (rules, of) = (rules.get(key)?, of.get(key)?);
            rules
                .is_object()
                .then(|| Self::build(rules, of, embedded(of), comparison.cloned(), depth + 1))
                .flatten()
        };
        let list = |key: &str| {
            rules
                .get(key)
                .and_then(Json::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default()
        };
        let own = list("x-kubernetes-validations");
        let schema = (!own.is_empty()).then(|| Schema::new(of, "selfType", is_resource));
        let compiled = schema
            .iter()
            .flat_map(|schema| own.iter().map(|rule| Rule::new(rule, schema, of)));
        let compiled: Vec<Rule> = compiled.collect();
        let all_of: Vec<Self> = list("allOf")
            .iter()
            .filter_map(|part| Self::build(part, of, is_resource, comparison.clone(), depth + 1))
            .collect();
        let mut properties = BTreeMap::new();
        for (name, rules) in rules
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            let Some(of) = of.get("properties").and_then(|properties| properties.get(name)) else {
                continue;
            };
            let compared = comparison
                .as_ref()
                .and_then(|comparison| comparison.members.get(name));
            if let Some(built) = Self::build(rules, of, embedded(of), compared.cloned(), depth + 1) {
                properties.insert(name.clone(), built);
            }
        }
        let compared = comparison.as_deref();
        let items = below("items", compared.and_then(|compared| compared.items.as_ref()));
        let additional = below(
            "additionalProperties",
            compared.and_then(|compared| compared.additional.as_ref()),
        );
        if compiled.is_empty()
            && all_of.is_empty()
            && properties.is_empty()
            && items.is_none()
            && additional.is_none()
        {
            return None;
        }
        Some(Self {
            schema,
            kind: of.get("type").and_then(Json::as_str).unwrap_or("").to_owned(),
            list_keys: correlation::list_keys(of),
            comparison,
            rules: compiled,
            all_of,
            properties,
            additional: additional.map(Box::new),
            items: items.map(Box::new),
        })
    }

    /// Checks an object, and the change to it from an old one. The budget is in units of cost.
    pub fn validate(&self, path: &Path, object: &Json, old: Option<&Json>, budget: u64) -> Found {
        let mut validation = Validation {
            found: Found::default(),
            budget,
        };
        let at = Place {
            value: object,
            old,
            comparison: self.comparison.as_deref(),
            parent: None,
        };
        // A budget that is used up has been told of.
        let _ended = validation.check(self, path, at);
        validation.found
    }
}

/// A value, what it was, and the same of what holds it.
#[derive(Clone, Copy)]
struct Place<'v> {
    value: &'v Json,
    old: Option<&'v Json>,
    comparison: Option<&'v Comparison>,
    parent: Option<(&'v Json, &'v Json, Option<&'v Comparison>)>,
}

impl<'v> Place<'v> {
    /// A part of the value, which has rules of its own.
    fn below(self, rules: &'v Rules, value: &'v Json, old: Option<&'v Json>) -> Self {
        let holder = self.old.map(|old| (self.value, old, self.comparison));
        Self {
            value,
            old,
            comparison: rules.comparison.as_deref(),
            parent: holder.or(self.parent),
        }
    }

    /// Whether the update leaves the value alone, or what holds it where nobody knows what it was.
    fn is_unchanged(self) -> bool {
        match (self.old, self.parent) {
            (Some(old), _) => is_same(self.comparison, self.value, old),
            (None, Some((parent, old, comparison))) => is_same(comparison, parent, old),
            (None, None) => false,
        }
    }
}

/// The budget is used up.
struct Exhausted;

struct Validation {
    found: Found,
    budget: u64,
}

impl Validation {
    fn check<'v>(&mut self, rules: &'v Rules, path: &Path, at: Place<'v>) -> Result<(), Exhausted> {
        if at.value.is_null() {
            return Ok(());
        }
        if let Some(schema) = &rules.schema {
            for rule in &rules.rules {
                self.check_rule(rules, schema, rule, path, at)?;
            }
        }
        for part in &rules.all_of {
            self.check(part, path, at)?;
        }
        match at.value {
            Json::Object(members) => {
                let old = |key: &str| at.old.and_then(|old| old.get(key));
                for (key, value) in members {
                    if let Some(additional) = &rules.additional {
                        let below = at.below(additional, value, old(key));
                        self.check(additional, &path.key(key.as_str()), below)?;
                    }
                    if let Some(property) = rules.properties.get(key) {
                        let below = at.below(property, value, old(key));
                        self.check(property, &path.child(key.clone()), below)?;
                    }
                }
            }
            Json::Array(items) => {
                let Some(of_items) = &rules.items else {
                    return Ok(());
                };
                let before = at.old.and_then(Json::as_array);
                let before = rules
                    .list_keys
                    .as_deref()
                    .zip(before)
                    .map(|(keys, old)| Items::new(keys, old));
                for (index, item) in items.iter().enumerate() {
                    let old = before.as_ref().and_then(|before| before.find(item));
                    self.check(of_items, &path.index(index), at.below(of_items, item, old))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check_rule(
        &mut self,
        rules: &Rules,
        schema: &Schema,
        rule: &Rule,
        path: &Path,
        at: Place<'_>,
    ) -> Result<(), Exhausted> {
        let invalid = |detail: String| FieldError::invalid(path, rules.kind.as_str(), detail);
        let program = match &rule.rule {
            None => return Ok(()),
            Some(Ok(program)) => program,
            Some(Err(error)) => {
                self.found
                    .errors
                    .push(invalid(format!("rule compile error: {error}")));
                return Ok(());
            }
        };
        let uses_old_self = program.uses(OLD_SELF);
        if uses_old_self && at.old.is_none() && !rule.optional_old_self {
            return Ok(());
        }
        if self.budget == 0 {
            self.found.errors.push(invalid(OUT_OF_BUDGET.to_owned()));
            return Err(Exhausted);
        }
        let values = values(schema, rule, at);
        let (outcome, cost) = program.evaluate(&values, PER_CALL_LIMIT);
        match self.budget.checked_sub(cost) {
            Some(left) => self.budget = left,
            None => {
                self.found.errors.push(invalid(OUT_OF_BUDGET.to_owned()));
                return Err(Exhausted);
            }
        }
        let shown = rule.shown();
        match outcome {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(_) => self.fail(rules, rule, path, at, &values),
            Err(error @ Error::Cost) => {
                let detail = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
                );
                self.found.errors.push(invalid(detail));
                Err(Exhausted)
            }
            Err(error) => {
                let error = error.to_string();
                self.found.errors.push(invalid(match error.starts_with("no such overload") {
                    true => format!(
                        "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
                    ),
                    false => format!("{error} evaluating rule: {shown}"),
                }));
                Ok(())
            }
        }
    }

    /// Reports a rule that does not hold.
    fn fail(
        &mut self,
        rules: &Rules,
        rule: &Rule,
        path: &Path,
        at: Place<'_>,
        values: &[Value<'_>; 2],
    ) -> Result<(), Exhausted> {
        let path = match &rule.field_path {
            Some(below) => path.child(below.clone()),
            None => path.clone(),
        };
        let unchanged = !rule.uses_old_self() && at.is_unchanged();
        let (detail, ended) = match self.message(rule, values) {
            Ok(Some(message)) => (message, Ok(())),
            Ok(None) if rule.message.is_empty() => (format!("failed rule: {}", rule.shown()), Ok(())),
            Ok(None) => (rule.message.trim().to_owned(), Ok(())),
            Err(detail) => (detail, Err(Exhausted)),
        };
        let error = match ended {
            Ok(()) => {
                let value = match rules.kind.as_str() {
                    "object" | "array" => Shown::Omitted,
                    _ => shown(at.value),
                };
                match rule.reason.as_str() {
                    "FieldValueForbidden" => FieldError::forbidden(&path, detail),
                    "FieldValueRequired" => FieldError::required(&path, detail),
                    "FieldValueDuplicate" => FieldError::duplicate(&path, value),
                    _ => FieldError::invalid(&path, value, detail),
                }
            }
            Err(_) => FieldError::invalid(&path, rules.kind.as_str(), detail),
        };
        match unchanged {
            true => self.found.warnings.push(error.to_string()),
            false => self.found.errors.push(error),
        }
        ended
    }

    /// The message that an expression makes, if it makes a good one.
    ///
    /// # Errors
    /// What to say when it costs too much.
    fn message(&mut self, rule: &Rule, values: &[Value<'_>; 2]) -> Result<Option<String>, String> {
        let Some(Ok(program)) = &rule.message_expression else {
            return Ok(None);
        };
        let (outcome, cost) = program.evaluate(values, PER_CALL_LIMIT);
        self.budget = self.budget.checked_sub(cost).ok_or(
            "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run",
        )?;
        match outcome {
            Err(Error::Cost) => Err(format!(
                "no further validation rules will be run due to call cost exceeds limit for messageExpression: {:?}",
                rule.message_source
            )),
            Ok(Value::String(text)) => {
                let text = text.trim();
                let good = !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n');
                Ok(good.then(|| text.to_owned()))
            }
            _ => Ok(None),
        }
    }
}

/// `self` and `oldSelf`, by their places.
fn values<'v>(schema: &'v Schema, rule: &Rule, at: Place<'v>) -> [Value<'v>; 2] {
    let shaped = |json| Value::shaped(json, Some(schema));
    let old = at.old.map(shaped);
    let mut values = [Value::Null, Value::Null];
    values[SELF] = shaped(at.value);
    values[OLD_SELF] = match (rule.optional_old_self, old) {
        (true, Some(old)) => Value::some(old),
        (true, None) => Value::Optional(None),
        (false, old) => old.unwrap_or(Value::Null),
    };
    values
}

fn shown(value: &Json) -> Shown {
    match value {
        Json::String(text) => Shown::String(text.clone()),
        Json::Bool(value) => Shown::Bool(*value),
        Json::Number(number) if number.is_i64() => Shown::Int(number.as_i64().unwrap_or_default()),
        other => Shown::Json(other.to_string()),
    }
}
