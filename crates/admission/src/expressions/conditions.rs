//! `matchConditions`: whether a webhook or a policy is about a request after all.

use api::admissionregistration::v1::MatchCondition;
use cel::Value;

use super::inputs::{Failure, Inputs};
use super::{CONDITIONS_BUDGET, Compiled, Compiler};

/// What becomes of a request when an expression fails: `failurePolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    Fail,
    Ignore,
}

impl OnFailure {
    pub fn from_field(field: Option<&str>) -> Self {
        match field {
            Some("Ignore") => Self::Ignore,
            _ => Self::Fail,
        }
    }

    /// Of a webhook that is passed over, or not, when something fails.
    pub fn of(fails_open: bool) -> Self {
        if fails_open { Self::Ignore } else { Self::Fail }
    }
}

/// The conditions of a webhook or policy, compiled once.
#[derive(Debug, Default)]
pub struct Conditions {
    all: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    source: String,
    compiled: Compiled,
}

/// What conditions say.
#[derive(Debug)]
pub enum Verdict {
    Matches,
    Excluded,
    /// They fail, and so does the request.
    Fails(String),
    /// Ask, and decide again.
    Unanswered(Box<cel::authorizer::Check>),
}

impl Conditions {
    /// Of a policy, with its names; of a webhook, with `Compiler::new(false)`.
    pub fn new(conditions: &[MatchCondition], compiler: &Compiler) -> Self {
        let all = conditions.iter().map(|condition| Condition {
            source: condition.expression.clone(),
            compiled: compiler.condition(&condition.expression),
        });
        Self { all: all.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One that is false excludes, whatever the others say; else one that fails counts.
    pub fn decide(&self, inputs: &Inputs<'_>, on_failure: OnFailure) -> Verdict {
        let mut budget = CONDITIONS_BUDGET;
        let mut failures = Vec::new();
        for condition in &self.all {
            let value = match &condition.compiled {
                Ok(program) => inputs.evaluate(program, &mut budget),
                Err(error) => Err(Failure::Expression(format!("compilation error: {error}"))),
            };
            match value {
                Ok(Value::Bool(false)) => return Verdict::Excluded,
                Ok(_) => {}
                Err(Failure::Unanswered(check)) => return Verdict::Unanswered(check),
                Err(Failure::OutOfBudget) => return failed(OUT_OF_BUDGET.to_owned(), on_failure),
                Err(Failure::Expression(error)) if condition.compiled.is_err() => failures.push(error),
                Err(Failure::Expression(error)) => failures.push(resulted(&condition.source, &error)),
            }
        }
        match failures.as_slice() {
            [] => Verdict::Matches,
            [only] => failed(only.clone(), on_failure),
            several => failed(format!("[{}]", several.join(", ")), on_failure),
        }
    }
}

fn failed(message: String, on_failure: OnFailure) -> Verdict {
    match on_failure {
        OnFailure::Fail => Verdict::Fails(message),
        OnFailure::Ignore => Verdict::Excluded,
    }
}

pub const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// The words for an expression that failed.
pub fn resulted(source: &str, error: &str) -> String {
    format!("expression '{source}' resulted in error: {error}")
}
