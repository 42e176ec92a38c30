//! Expressions and what they give: one table a subject, through [`check`].

mod costs;
mod depth;
mod errors;
mod patches;
mod rules;
mod values;

use serde_json::json;

use crate::value::Value;
use crate::{Environment, Error, Program, Type, compile};

/// What most tests may name.
fn environment() -> Environment {
    let object = Type::object(
        "Pod",
        [
            ("name".to_owned(), Type::String),
            ("replicas".to_owned(), Type::Int),
            ("labels".to_owned(), Type::map(Type::String, Type::String)),
            ("ports".to_owned(), Type::list(Type::Int)),
            ("start".to_owned(), Type::Timestamp),
        ],
    );
    Environment::new()
        .with_bindings()
        .with("object", Type::Dyn)
        .with("pod", object)
        .with("dotted.name", Type::Int)
}

/// As the language writes it, more or less.
fn show(value: &Value<'_>) -> String {
    match value {
        Value::Optional(None) => "none".to_owned(),
        Value::Optional(Some(held)) => format!("some({})", show(held)),
        Value::Uint(value) => format!("{value}u"),
        Value::Duration(_) => format!("duration({})", value.to_json().unwrap_or_default()),
        Value::Timestamp(_) => format!("timestamp({})", value.to_json().unwrap_or_default()),
        Value::Type(name) => format!("type({name})"),
        Value::Extension(extension) => format!("{extension:?}"),
        Value::List(list) => {
            let items: Vec<_> = list.iter().map(|item| show(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let members: Vec<_> = map
                .entries()
                .iter()
                .map(|(key, value)| format!("{}: {}", show(key), show(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_json().unwrap_or_default().to_string(),
    }
}

/// The value of an expression, or what is wrong with it; its cost.
fn run(source: &str) -> (String, u64) {
    let program: Program = match compile(&environment(), source) {
        Ok(program) => program,
        Err(issues) => return (issues.to_string(), 0),
    };
    let object = json!({
        "metadata": {"name": "web", "labels": {"app": "shop"}, "generation": 3},
        "spec": {"replicas": 5, "weight": 1.5, "paused": false, "big": 1e3,
                 "containers": [{"name": "a", "image": "x:1"}, {"name": "b"}], "nothing": null},
    });
    let pod = json!({"name": "p", "replicas": 2, "labels": {"a": "1"}, "ports": [80, 443]});
    let values = [Value::json(&object), Value::json(&pod), Value::Int(7)];
    let (outcome, cost) = program.evaluate(&values, crate::PER_CALL_LIMIT);
    match outcome {
        Ok(value) => (show(&value), cost),
        Err(error @ Error::Value(_)) => (format!("error: {error}"), cost),
        Err(error) => (error.to_string(), cost),
    }
}

/// Each line is an expression and, after ` => `, what it gives.
fn check(table: &str) {
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((source, expected)) = line.rsplit_once(" => ") else {
            wrong.push(format!("not a row: {line}"));
            continue;
        };
        let (found, _) = run(source);
        if found != expected {
            wrong.push(format!("{source}\n    gives    {found}\n    expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
