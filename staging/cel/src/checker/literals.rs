//! What is known of literals before they are evaluated.

use crate::ast::{Expr, Kind, Literal};
use crate::issues::Issue;
use crate::library;

use super::Aggregate;
use super::unify::Bindings;

/// The elements of a list, the keys and the values of a map are each of one type.
pub(super) fn homogeneous(bindings: &Bindings, aggregate: &Aggregate) -> Vec<Issue> {
    let mut parts = aggregate
        .parts
        .iter()
        .map(|(at, part)| (*at, bindings.resolve(part, true)));
    let Some((_, first)) = parts.next() else {
        return Vec::new();
    };
    let wrong = parts.filter(|(_, part)| *part != first).map(|(at, part)| Issue {
        at: Some(at),
        message: format!("expected type '{}' but found '{}'", first.shown(), part.shown()),
    });
    wrong
        .take(if aggregate.is_map { usize::MAX } else { 1 })
        .collect()
}

/// Durations, timestamps and patterns that are written out are well-formed.
pub(super) fn constants(expr: &Expr) -> Vec<Issue> {
    let mut issues = Vec::new();
    expr.walk(&mut |expr| {
        let Kind::Call { function, args, .. } = &expr.kind else {
            return;
        };
        let Some(arg) = args.first() else { return };
        let Kind::Literal(literal) = &arg.kind else {
            return;
        };
        let good = match (&**function, literal) {
            ("duration", Literal::String(text)) => library::time::parse_duration(text).is_some(),
            ("timestamp", Literal::String(text)) => library::time::parse_timestamp(text).is_some(),
            ("timestamp", Literal::Int(seconds)) => jiff::Timestamp::from_second(*seconds).is_ok(),
            ("matches", Literal::String(text)) => regex_lite::Regex::new(text).is_ok(),
            _ => true,
        };
        if !good {
            issues.push(Issue {
                at: Some(arg.at),
                message: format!("invalid {function} argument"),
            });
        }
    });
    issues
}
