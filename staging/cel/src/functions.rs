//! What functions there are: their names, signatures, costs and code.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::cost::Cost;
use crate::evaluate::Outcome;
use crate::library;
use crate::types::Type;
use crate::value::Value;

/// The code of a function. A receiver is the first argument. The checker leaves arguments of unknown type unchecked:
/// what does not fit is `no such overload`.
pub type Code = for<'a> fn(&[Value<'a>]) -> Outcome<'a>;

/// One row of a library's table: the name and signatures like `string.(string) -> bool` for receivers,
/// `(list(A), int) -> A` for the others. Capital letters are type variables.
pub struct Row {
    pub name: &'static str,
    pub signatures: &'static [&'static str],
    pub cost: Cost,
    pub code: Code,
}

pub struct Function {
    pub name: &'static str,
    pub signatures: Vec<Signature>,
    /// What of the table's rows bear this name: the one that takes a receiver, and the one that does not.
    pub member: Option<&'static Row>,
    pub global: Option<&'static Row>,
}

pub struct Signature {
    pub member: bool,
    pub params: Vec<Type>,
    pub result: Type,
    pub variables: Vec<Type>,
}

/// All functions that Kubernetes offers to expressions, by name.
pub fn all() -> &'static HashMap<&'static str, Function> {
    static ALL: OnceLock<HashMap<&'static str, Function>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: HashMap<&'static str, Function> = HashMap::new();
        for row in library::TABLES.iter().copied().flatten() {
            let function = all.entry(row.name).or_insert_with(|| Function {
                name: row.name,
                signatures: Vec::new(),
                member: None,
                global: None,
            });
            for text in row.signatures {
                let signature = signature(text);
                match signature.member {
                    true => function.member = Some(row),
                    false => function.global = Some(row),
                }
                function.signatures.push(signature);
            }
        }
        all
    })
}

fn signature(text: &str) -> Signature {
    let (receiver, rest) = match text.split_once(".(") {
        Some((receiver, rest)) => (Some(receiver), rest),
        None => (None, text.strip_prefix('(').unwrap_or(text)),
    };
    let (params, result) = rest.rsplit_once(") -> ").unwrap_or((rest, "dyn"));
    let mut found: Vec<Type> = receiver.iter().map(|text| of(text)).collect();
    found.extend(parts(params).into_iter().map(of));
    let mut variables: Vec<Type> = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| word.len() == 1 && word.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(Type::param)
        .collect();
    variables.dedup();
    Signature {
        member: receiver.is_some(),
        params: found,
        result: of(result),
        variables,
    }
}

/// Splits at commas outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        found.push(last);
    }
    found
}

fn of(text: &str) -> Type {
    if let Some((name, held)) = text.split_once('(') {
        let held: Vec<Type> = parts(held.strip_suffix(')').unwrap_or(held))
            .into_iter()
            .map(of)
            .collect();
        return match (name, held.as_slice()) {
            ("list", [element]) => Type::list(element.clone()),
            ("map", [key, value]) => Type::map(key.clone(), value.clone()),
            ("optional", [held]) => Type::optional(held.clone()),
            ("type", [held]) => Type::Type(Some(held.clone().into())),
            _ => Type::Dyn,
        };
    }
    match text {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "null" => Type::Null,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "quantity" => Type::opaque("kubernetes.Quantity"),
        "semver" => Type::opaque("kubernetes.Semver"),
        "url" => Type::opaque("kubernetes.URL"),
        "format" => Type::opaque("kubernetes.NamedFormat"),
        "ip" => Type::opaque("net.IP"),
        "cidr" => Type::opaque("net.CIDR"),
        "authorizer" => Type::opaque(library::authorizer::AUTHORIZER),
        "pathCheck" => Type::opaque(library::authorizer::PATH_CHECK),
        "groupCheck" => Type::opaque(library::authorizer::GROUP_CHECK),
        "resourceCheck" => Type::opaque(library::authorizer::RESOURCE_CHECK),
        "decision" => Type::opaque(library::authorizer::DECISION),
        variable if variable.len() == 1 => Type::param(variable),
        _ => Type::Dyn,
    }
}
