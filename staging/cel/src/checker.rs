//! Types of expressions: what they give, and whether functions take what they are given.
//!
//! Gives the type of the whole. Function calls are written with their full names: `ip.isCanonical(x)` is a function
//! of one argument, `a.b` may be a variable of that name.

mod literals;
mod unify;

use std::collections::HashMap;

use crate::ast::{ACCUMULATOR, Comprehension, Element, Entry, Expr, Field, Kind, Literal};
use crate::environment::Environment;
use crate::functions::Function;
use crate::issues::Issue;
use crate::types::Type;

use unify::{Bindings, most_general};

/// Checks an expression, names resolved in place. The type is meaningless if there are issues.
pub fn check(environment: &Environment, expr: &mut Expr) -> (Type, Vec<Issue>) {
    let mut checker = Checker {
        environment,
        scopes: Vec::new(),
        bindings: Bindings::default(),
        literals: Vec::new(),
        issues: Vec::new(),
    };
    let found = checker.check(expr);
    let found = checker.bindings.resolve(&found, true);
    let mut issues = checker.issues;
    if issues.is_empty() {
        for literal in &checker.literals {
            issues.extend(literals::homogeneous(&checker.bindings, literal));
        }
        issues.extend(literals::constants(expr));
    }
    (found, issues)
}

/// The types of what a list or map is written of, to be compared when all variables are known.
struct Aggregate {
    parts: Vec<(u32, Type)>,
    /// Of a map every part is told that differs from the first, of a list one.
    is_map: bool,
}

struct Checker<'e> {
    environment: &'e Environment,
    scopes: Vec<HashMap<Box<str>, Type>>,
    bindings: Bindings,
    literals: Vec<Aggregate>,
    issues: Vec<Issue>,
}

impl Checker<'_> {
    fn report(&mut self, at: u32, message: String) -> Type {
        self.issues.push(Issue {
            at: Some(at),
            message,
        });
        Type::Error
    }

    fn undeclared(&mut self, at: u32, name: &str) -> Type {
        self.report(at, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn mismatch(&mut self, at: u32, expected: &Type, found: &Type) -> Type {
        let message = format!(
            "expected type '{}' but found '{}'",
            expected.shown(),
            found.shown()
        );
        self.report(at, message)
    }

    fn local(&self, name: &str) -> Option<&Type> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    fn variable(&self, name: &str) -> Option<Type> {
        let name = name.strip_prefix('.').unwrap_or(name);
        self.local(name).cloned().or_else(|| self.environment.ident(name))
    }

    fn check(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        match &mut expr.kind {
            Kind::Literal(literal) => of_literal(literal),
            Kind::Ident(name) => match self.variable(name) {
                Some(found) => {
                    if let Some(plain) = name.strip_prefix('.') {
                        *name = plain.into();
                    }
                    found
                }
                None => {
                    let name = name.trim_start_matches('.').to_owned();
                    self.undeclared(at, &name)
                }
            },
            Kind::Select { .. } => self.check_select(expr),
            Kind::Call { .. } => self.check_call(expr),
            Kind::List(elements) => self.check_list(elements),
            Kind::Map(entries) => self.check_map(entries),
            Kind::Struct { name, fields } => {
                let name = name.clone();
                self.check_struct(at, &name, fields)
            }
            Kind::Comprehension(fold) => self.check_fold(fold),
        }
    }

    fn check_select(&mut self, expr: &mut Expr) -> Type {
        if let Some(name) = expr.qualified_name()
            && let Some(found) = self.variable(&name)
        {
            expr.kind = Kind::Ident(name.trim_start_matches('.').into());
            return found;
        }
        let at = expr.at;
        let Kind::Select { operand, field, test } = &mut expr.kind else {
            return Type::Error;
        };
        let operand = self.check(operand);
        let found = self.field(at, &operand, field, false);
        if *test {
            Type::Bool
        } else {
            self.bindings.resolve(&found, false)
        }
    }

    /// The type of a field of something.
    fn field(&mut self, at: u32, operand: &Type, field: &str, optional: bool) -> Type {
        let operand = self.bindings.resolve(operand, false);
        let (target, unwrapped) = match operand.unwrapped() {
            Some(held) => (held.clone(), true),
            None => (operand, false),
        };
        let found = match &target {
            Type::Map(_, value) => (**value).clone(),
            Type::Object(object) => match object.field(field) {
                Some(found) => found,
                None => self.report(at, format!("undefined field '{field}'")),
            },
            Type::Param(_) => {
                self.bindings.assign(&Type::Dyn, &target);
                Type::Dyn
            }
            Type::Dyn | Type::Error => Type::Dyn,
            _ => {
                let message = format!("type '{}' does not support field selection", target.shown());
                self.report(at, message);
                Type::Dyn
            }
        };
        if unwrapped || optional {
            Type::optional(found)
        } else {
            found
        }
    }

    fn check_call(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        let Kind::Call {
            function,
            target,
            args,
        } = &mut expr.kind
        else {
            return Type::Error;
        };
        match &**function {
            "_?._" => return self.check_optional_select(at, args),
            "@bind" => return self.check_bind(args),
            "@optMap" | "@optFlatMap" => return self.check_optional_map(at, &function.clone(), args),
            _ => {}
        }
        // A template is filled with values of any types.
        let aggregates = self.literals.len();
        let mut types: Vec<Type> = args.iter_mut().map(|arg| self.check(arg)).collect();
        if &**function == "format" {
            self.literals.truncate(aggregates);
        }
        if let Some(receiver) = target {
            let qualified = receiver
                .qualified_name()
                .map(|prefix| format!("{prefix}.{function}"));
            if let Some(qualified) = qualified
                && let Some(found) = self.environment.function(qualified.trim_start_matches('.'))
            {
                *function = found.name.into();
                *target = None;
                return self.resolve(at, found, false, &types, args);
            }
            types.insert(0, self.check(receiver));
        }
        let name = function.trim_start_matches('.').to_owned();
        match self.environment.function(&name) {
            Some(found) => {
                *function = found.name.into();
                self.resolve(at, found, target.is_some(), &types, args)
            }
            None => self.undeclared(at, &name),
        }
    }

    fn check_optional_select(&mut self, at: u32, args: &mut [Expr]) -> Type {
        let [operand, field] = args else {
            return Type::Error;
        };
        let Kind::Literal(Literal::String(field)) = &field.kind else {
            return self.report(at, "unsupported optional field selection".to_owned());
        };
        let operand = self.check(operand);
        let found = self.field(at, &operand, field, true);
        self.bindings.resolve(&found, false)
    }

    fn check_bind(&mut self, args: &mut [Expr]) -> Type {
        let [variable, value, body] = args else {
            return Type::Error;
        };
        let value = self.check(value);
        let Kind::Ident(variable) = &variable.kind else {
            return Type::Error;
        };
        self.scopes.push(HashMap::from([(variable.clone(), value)]));
        let found = self.check(body);
        self.scopes.pop();
        found
    }

    fn check_optional_map(&mut self, at: u32, function: &str, args: &mut [Expr]) -> Type {
        let [target, variable, body] = args else {
            return Type::Error;
        };
        let target = self.check(target);
        let target = self.bindings.resolve(&target, false);
        let held = match target.unwrapped() {
            Some(held) => held.clone(),
            None if target.is_dyn_or_error() => Type::Dyn,
            None => {
                let shown = target.shown();
                self.report(
                    at,
                    format!("found no matching overload for 'hasValue' applied to '{shown}.()'"),
                )
            }
        };
        let Kind::Ident(variable) = &variable.kind else {
            return Type::Error;
        };
        self.scopes.push(HashMap::from([(variable.clone(), held)]));
        let found = self.check(body);
        self.scopes.pop();
        if function == "@optMap" {
            return Type::optional(found);
        }
        let wanted = Type::optional(self.bindings.fresh());
        if !self.bindings.assign(&found, &wanted) {
            return self.mismatch(body.at, &wanted, &found);
        }
        self.bindings.resolve(&found, false)
    }

    /// The result of a call, by the signatures that fit.
    fn resolve(&mut self, at: u32, function: &Function, member: bool, types: &[Type], args: &[Expr]) -> Type {
        if matches!(function.name, "_&&_" | "_||_") {
            for (found, arg) in types.iter().zip(args) {
                if !self.bindings.assign(found, &Type::Bool) {
                    self.mismatch(arg.at, &Type::Bool, found);
                }
            }
            return Type::Bool;
        }
        let mut result: Option<Type> = None;
        for signature in function
            .signatures
            .iter()
            .filter(|signature| signature.member == member)
        {
            let mut fresh = Bindings::default();
            for variable in &signature.variables {
                let stands_for = self.bindings.fresh();
                fresh.assign(&stands_for, variable);
            }
            let params: Vec<_> = signature
                .params
                .iter()
                .map(|param| fresh.resolve(param, false))
                .collect();
            if !self.bindings.assign_all(types, &params) {
                continue;
            }
            let given = self
                .bindings
                .resolve(&fresh.resolve(&signature.result, false), false);
            result = Some(match result {
                Some(earlier) if earlier != Type::Dyn && given != earlier => Type::Dyn,
                Some(earlier) => earlier,
                None => given,
            });
        }
        result.unwrap_or_else(|| {
            let shown: Vec<_> = types
                .iter()
                .map(|found| self.bindings.resolve(found, true).shown())
                .collect();
            let shown = match (member, shown.split_first()) {
                (true, Some((receiver, args))) => format!("{receiver}.({})", args.join(", ")),
                _ => format!("({})", shown.join(", ")),
            };
            let name = function.name;
            self.report(
                at,
                format!("found no matching overload for '{name}' applied to '{shown}'"),
            )
        })
    }

    /// What an optional element adds: it has to be optional.
    fn unwrap_optional(&mut self, at: u32, found: Type) -> Type {
        let resolved = self.bindings.resolve(&found, false);
        match resolved.unwrapped() {
            Some(held) => held.clone(),
            None if resolved.is_dyn_or_error() => found,
            None => self.mismatch(at, &Type::optional(resolved.clone()), &resolved),
        }
    }

    /// The type of two elements of an aggregate together; that they differ is told when all is known.
    fn join(&mut self, earlier: Option<Type>, found: Type) -> Type {
        match earlier {
            None => found,
            Some(earlier) if self.bindings.assign(&earlier, &found) => most_general(&earlier, &found),
            Some(_) => Type::Dyn,
        }
    }

    fn check_list(&mut self, elements: &mut [Element]) -> Type {
        let mut joined = None;
        let mut parts = Vec::new();
        for element in elements {
            let at = element.value.at;
            let mut found = self.check(&mut element.value);
            if element.optional {
                found = self.unwrap_optional(at, found);
            }
            parts.push((at, found.clone()));
            joined = Some(self.join(joined, found));
        }
        self.literals.push(Aggregate { parts, is_map: false });
        Type::list(joined.unwrap_or_else(|| self.bindings.fresh()))
    }

    fn check_map(&mut self, entries: &mut [Entry]) -> Type {
        let (mut keys, mut values) = (None, None);
        let (mut key_parts, mut value_parts) = (Vec::new(), Vec::new());
        for entry in entries {
            let at = entry.key.at;
            let found = self.check(&mut entry.key);
            key_parts.push((at, found.clone()));
            keys = Some(self.join(keys, found));
            let at = entry.value.at;
            let mut found = self.check(&mut entry.value);
            if entry.optional {
                found = self.unwrap_optional(at, found);
            }
            value_parts.push((at, found.clone()));
            values = Some(self.join(values, found));
        }
        self.literals.push(Aggregate {
            parts: key_parts,
            is_map: true,
        });
        self.literals.push(Aggregate {
            parts: value_parts,
            is_map: true,
        });
        let keys = keys.unwrap_or_else(|| self.bindings.fresh());
        Type::map(keys, values.unwrap_or_else(|| self.bindings.fresh()))
    }

    fn check_struct(&mut self, at: u32, name: &str, fields: &mut [Field]) -> Type {
        let Some(found) = self.variable(name) else {
            return self.undeclared(at, name.trim_start_matches('.'));
        };
        let object = match &found {
            Type::Type(Some(of)) => match &**of {
                Type::Object(object) => object.clone(),
                other => {
                    let wrong = self.report(at, format!("'{}' is not a message type", other.name()));
                    for field in fields {
                        self.report(field.at, format!("undefined field '{}'", field.name));
                    }
                    return wrong;
                }
            },
            other => return self.report(at, format!("'{}' is not a type", other.name())),
        };
        for field in fields {
            let mut found = self.check(&mut field.value);
            let Some(wanted) = object.field(&field.name) else {
                self.report(field.at, format!("undefined field '{}'", field.name));
                continue;
            };
            if field.optional {
                found = self.unwrap_optional(field.value.at, found);
            }
            if !self.bindings.assign(&wanted, &found) {
                let message = format!(
                    "expected type of field '{}' is '{}' but provided type is '{}'",
                    field.name,
                    wanted.shown(),
                    self.bindings.resolve(&found, false).shown()
                );
                self.report(field.at, message);
            }
        }
        Type::Object(object)
    }

    fn check_fold(&mut self, fold: &mut Comprehension) -> Type {
        let range = self.check(&mut fold.range);
        let initial = self.check(&mut fold.initial);
        let range = self.bindings.resolve(&range, false);
        self.scopes
            .push(HashMap::from([(ACCUMULATOR.into(), initial.clone())]));
        let (first, second) = match (&range, fold.second.is_some()) {
            (Type::List(element), false) => ((**element).clone(), Type::Dyn),
            (Type::List(element), true) => (Type::Int, (**element).clone()),
            (Type::Map(key, value), _) => ((**key).clone(), (**value).clone()),
            (Type::Dyn | Type::Error | Type::Param(_), _) => {
                self.bindings.assign(&Type::Dyn, &range);
                (Type::Dyn, Type::Dyn)
            }
            _ => {
                let message = format!(
                    "expression of type '{}' cannot be range of a comprehension (must be list, map, or dynamic)",
                    range.shown()
                );
                self.report(fold.range.at, message);
                (Type::Error, Type::Error)
            }
        };
        let mut scope = HashMap::from([(fold.variable.clone(), first)]);
        if let Some(name) = &fold.second {
            scope.insert(name.clone(), second);
        }
        self.scopes.push(scope);
        let condition = self.check(&mut fold.condition);
        self.require(fold.condition.at, &Type::Bool, &condition);
        let step = self.check(&mut fold.step);
        self.require(fold.step.at, &initial, &step);
        self.scopes.pop();
        let result = self.check(&mut fold.result);
        self.scopes.pop();
        self.bindings.resolve(&result, false)
    }

    fn require(&mut self, at: u32, wanted: &Type, found: &Type) {
        if !self.bindings.assign(wanted, found) {
            self.mismatch(at, wanted, found);
        }
    }
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Null => Type::Null,
        Literal::Bool(_) => Type::Bool,
        Literal::Int(_) => Type::Int,
        Literal::Uint(_) => Type::Uint,
        Literal::Double(_) => Type::Double,
        Literal::String(_) => Type::String,
        Literal::Bytes(_) => Type::Bytes,
    }
}
