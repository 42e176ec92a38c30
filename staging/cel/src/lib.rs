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
//! To check rules of a custom resource (`x-kubernetes-validations`):
//!
//! ```text
//! let schema = Schema::new(&structural_json, "rootname", true);
//! let environment = Environment::new()
//!     .with("self", schema.declared().clone())
//!     .with("oldSelf", schema.declared().clone());
//! let program = compile(&environment, "self.spec.min <= self.spec.max")?;
//! let outcome = program.evaluate(&[Value::shaped(&json, Some(&schema)), Value::shaped(&old, Some(&schema))], budget);
//! ```
//!
//! With `optionalOldSelf`, `oldSelf` is declared as `Type::optional(..)` and given as [`Value::some`] or
//! `Value::Optional(None)`.
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
mod schema;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub use cost::PER_CALL_LIMIT;
pub use environment::Environment;
pub use evaluate::{Activation, Error, Outcome};
pub use issues::{Issue, Issues};
pub use library::{Extension, authorizer};
pub use parser::is_reserved;
pub use schema::{Schema, escape};
pub use types::{Object, Type};
pub use value::{Key, List, Map, Text, Value, equal};

/// An expression ready to be evaluated, any number of times.
pub struct Program {
    node: plan::Node,
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
    let mut expr = parser::parse(source)?;
    let (output, issues) = checker::check(environment, &mut expr);
    if !issues.is_empty() {
        return Err(Issues::new(source, issues));
    }
    let Some(node) = plan::plan(environment, &expr) else {
        let message = "program instantiation failed".to_owned();
        return Err(Issues::new(source, vec![Issue { at: None, message }]));
    };
    Ok(Program { node, output })
}

impl Program {
    /// The type that the checker found.
    pub fn output(&self) -> &Type {
        &self.output
    }

    /// The value, and what it cost. It fails with [`Error::Cost`] rather than cost more than `limit`.
    pub fn evaluate<'a>(&self, activation: &dyn Activation<'a>, limit: u64) -> (Outcome<'a>, u64) {
        evaluate::evaluate(&self.node, activation, limit)
    }
}
