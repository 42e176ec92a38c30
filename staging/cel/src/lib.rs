//! The Common Expression Language as Kubernetes uses it: admission policies, match conditions, rules of custom
//! resources, selectors of devices.
//!
//! Reading order: [`Environment`] (what an expression may name), [`compile`] (text to [`Program`], or [`Issues`]),
//! [`Program::evaluate`] (values to a value), [`Value`], [`Schema`] (custom objects with types). Inside: `lexer`,
//! `parser` with `macros`, `checker`, `plan`, `evaluate`, `cost`, and `library`, one file a subject, all functions in
//! tables.
//!
//! **Nothing that a user writes ends a daemon or holds it up**: expressions nest to a limit, evaluation has a budget of
//! cost, patterns match in linear time, strings grow to a limit.
//!
//! [`rules`] checks objects by the `x-kubernetes-validations` of a structural schema:
//!
//! ```text
//! let rules = Rules::new(&schema_json, true);                    // once per version of a definition
//! let found = rules.validate(&Path::nil(), &object, old.as_ref(), rules::BUDGET);
//! // found.errors refuse; found.warnings are failures of what an update leaves alone
//! ```
//!
//! and [`rules::Rule::new`] compiles one rule over a [`Schema`], for the validation of definitions.
//!
//! It knows nothing of kinds, HTTP or stores; who may do what is asked through [`authorizer::Answers`].
//!
//! Upstream: `github.com/google/cel-go`, `k8s.io/apiserver/pkg/cel`.

mod ast;
mod checker;
mod cost;
mod environment;
mod evaluate;
mod functions;
mod issues;
mod lexer;
mod library;
mod macros;
mod parser;
mod plan;
pub mod rules;
mod schema;
mod types;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use cost::PER_CALL_LIMIT;
pub use environment::Environment;
pub use evaluate::{Activation, Error, Outcome};
pub use issues::{Issue, Issues};
pub use library::patches::{JSON_PATCH, OBJECT};
pub use library::{Extension, authorizer};
pub use parser::is_reserved;
pub use schema::{Schema, escape};
pub use types::{Object, Type};
pub use value::{Key, List, Map, Text, Value, equal};

/// An expression ready to be evaluated, any number of times.
pub struct Program {
    node: plan::Node,
    used: BTreeSet<usize>,
    output: Type,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// Reads and checks an expression.
pub fn compile(environment: &Environment, source: &str) -> Result<Program, Issues> {
    let mut expr = parser::parse(source, environment.bindings)?;
    let (output, issues) = checker::check(environment, &mut expr);
    if !issues.is_empty() {
        return Err(Issues::new(source, issues));
    }
    let Some((node, used)) = plan::plan(environment, &expr) else {
        let message = "program instantiation failed".to_owned();
        return Err(Issues::new(source, vec![Issue { at: None, message }]));
    };
    Ok(Program { node, used, output })
}

impl Program {
    /// The type that the checker found.
    pub fn output(&self) -> &Type {
        &self.output
    }

    /// Whether it names the variable of a place.
    pub fn uses(&self, slot: usize) -> bool {
        self.used.contains(&slot)
    }

    /// The value, and what it cost. It fails with [`Error::Cost`] rather than cost more than `limit`.
    pub fn evaluate<'a>(&self, activation: &dyn Activation<'a>, limit: u64) -> (Outcome<'a>, u64) {
        evaluate::evaluate(&self.node, activation, limit)
    }
}
