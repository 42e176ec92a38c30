//! Calls that are read as something else: `has`, `all`, `map` and their like.

use crate::ast::{ACCUMULATOR, Comprehension, Expr, Kind, Literal};
use crate::issues::Issue;

type Expanded<T = Expr> = Result<T, Issue>;

fn issue<T>(at: u32, message: &str) -> Expanded<T> {
    Err(Issue {
        at: Some(at),
        message: message.to_owned(),
    })
}

/// What a call stands for; itself, mostly.
pub fn expand(at: u32, name: &str, target: Option<Expr>, args: Vec<Expr>) -> Expanded {
    match (name, target, args.len()) {
        ("has", None, 1) => has(args),
        ("all" | "exists" | "existsOne" | "exists_one", Some(target), 2 | 3) => {
            quantifier(at, name, target, args)
        }
        ("map", Some(target), 2 | 3) => map(at, target, args),
        ("filter", Some(target), 2) => filter(at, target, args),
        ("transformList" | "transformMap" | "transformMapEntry", Some(target), 3 | 4) => {
            transform(at, name, target, args)
        }
        ("optMap" | "optFlatMap", Some(target), 2) => optional(at, name, target, args),
        (_, target, _) => Ok(Expr::new(
            at,
            Kind::Call {
                function: name.into(),
                target: target.map(Box::new),
                args,
            },
        )),
    }
}

fn has(args: Vec<Expr>) -> Expanded {
    let Some(arg) = args.into_iter().next() else {
        return issue(0, "invalid argument to has() macro");
    };
    match arg.kind {
        Kind::Select {
            operand,
            field,
            test: false,
        } => Ok(Expr::new(
            arg.at,
            Kind::Select {
                operand,
                field,
                test: true,
            },
        )),
        _ => issue(arg.at, "invalid argument to has() macro"),
    }
}

/// The name of an iteration variable.
fn variable(expr: &Expr, otherwise: &str) -> Expanded<Box<str>> {
    match &expr.kind {
        Kind::Ident(name) if &**name == ACCUMULATOR || &**name == "__result__" => {
            issue(expr.at, "iteration variable overwrites accumulator variable")
        }
        Kind::Ident(name) => Ok(name.clone()),
        _ => issue(expr.at, otherwise),
    }
}

/// One or two variables, and the arguments after them.
struct Split {
    variable: Box<str>,
    second: Option<Box<str>>,
    rest: Vec<Expr>,
}

fn split(mut args: Vec<Expr>, two: bool, otherwise: &str) -> Expanded<Split> {
    let rest = args.split_off(if two { 2 } else { 1 });
    let first = variable(&args[0], otherwise)?;
    let second = match args.get(1) {
        Some(expr) => Some(variable(expr, otherwise)?),
        None => None,
    };
    if let Some(expr) = args.get(1)
        && second.as_ref() == Some(&first)
    {
        return issue(expr.at, &format!("duplicate variable name: {first}"));
    }
    Ok(Split {
        variable: first,
        second,
        rest,
    })
}

struct Fold {
    initial: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

fn fold(at: u32, range: Expr, variable: Box<str>, second: Option<Box<str>>, fold: Fold) -> Expr {
    Expr::new(
        at,
        Kind::Comprehension(Box::new(Comprehension {
            range,
            variable,
            second,
            initial: fold.initial,
            condition: fold.condition,
            step: fold.step,
            result: fold.result,
        })),
    )
}

fn quantifier(at: u32, name: &str, target: Expr, args: Vec<Expr>) -> Expanded {
    let two = args.len() == 3;
    let Split {
        variable,
        second,
        mut rest,
    } = split(args, two, "argument must be a simple name")?;
    let predicate = rest.remove(0);
    let accumulator = || Expr::accumulator(at);
    let call = |function: &str, args| Expr::call(at, function, args);
    let parts = match name {
        "all" => Fold {
            initial: Expr::bool(at, true),
            condition: call("@not_strictly_false", vec![accumulator()]),
            step: call("_&&_", vec![accumulator(), predicate]),
            result: accumulator(),
        },
        "exists" => Fold {
            initial: Expr::bool(at, false),
            condition: call("@not_strictly_false", vec![call("!_", vec![accumulator()])]),
            step: call("_||_", vec![accumulator(), predicate]),
            result: accumulator(),
        },
        _ => {
            let one = || Expr::literal(at, Literal::Int(1));
            let more = call("_+_", vec![accumulator(), one()]);
            Fold {
                initial: Expr::literal(at, Literal::Int(0)),
                condition: Expr::bool(at, true),
                step: call("_?_:_", vec![predicate, more, accumulator()]),
                result: call("_==_", vec![accumulator(), one()]),
            }
        }
    };
    Ok(fold(at, target, variable, second, parts))
}

/// Collects in a list or map, with a filter or without.
fn collect(at: u32, initial: Expr, filter: Option<Expr>, add: Expr) -> Fold {
    let step = match filter {
        Some(filter) => Expr::call(at, "_?_:_", vec![filter, add, Expr::accumulator(at)]),
        None => add,
    };
    Fold {
        initial,
        condition: Expr::bool(at, true),
        step,
        result: Expr::accumulator(at),
    }
}

fn append(at: u32, value: Expr) -> Expr {
    let list = Expr::list(at, vec![value]);
    Expr::call(at, "_+_", vec![Expr::accumulator(at), list])
}

fn map(at: u32, target: Expr, args: Vec<Expr>) -> Expanded {
    let Split {
        variable, mut rest, ..
    } = split(args, false, "argument is not an identifier")?;
    let value = rest.pop().unwrap_or_else(|| Expr::bool(at, true));
    let parts = collect(at, Expr::list(at, Vec::new()), rest.pop(), append(at, value));
    Ok(fold(at, target, variable, None, parts))
}

fn filter(at: u32, target: Expr, args: Vec<Expr>) -> Expanded {
    let Split {
        variable, mut rest, ..
    } = split(args, false, "argument is not an identifier")?;
    let element = Expr::ident(at, &variable);
    let parts = collect(at, Expr::list(at, Vec::new()), rest.pop(), append(at, element));
    Ok(fold(at, target, variable, None, parts))
}

fn transform(at: u32, name: &str, target: Expr, args: Vec<Expr>) -> Expanded {
    let Split {
        variable,
        second,
        mut rest,
    } = split(args, true, "argument must be a simple name")?;
    let value = rest.pop().unwrap_or_else(|| Expr::bool(at, true));
    let filter = rest.pop();
    let empty_map = || Expr::new(at, Kind::Map(Vec::new()));
    let (initial, add) = match name {
        "transformList" => (Expr::list(at, Vec::new()), append(at, value)),
        "transformMap" => {
            let args = vec![Expr::accumulator(at), Expr::ident(at, &variable), value];
            (empty_map(), Expr::call(at, "cel.@mapInsert", args))
        }
        _ => {
            let args = vec![Expr::accumulator(at), value];
            (empty_map(), Expr::call(at, "cel.@mapInsert", args))
        }
    };
    let parts = collect(at, initial, filter, add);
    Ok(fold(at, target, variable, second, parts))
}

/// `x.optMap(v, f(v))`: the optional of `f` of what `x` holds. A call of its own, as `x` must not be copied: a chain
/// would grow to no end.
fn optional(at: u32, name: &str, target: Expr, mut args: Vec<Expr>) -> Expanded {
    if !matches!(args[0].kind, Kind::Ident(_)) {
        let message = format!("{name}() variable name must be a simple identifier");
        return issue(args[0].at, &message);
    }
    args.insert(0, target);
    Ok(Expr::call(at, &format!("@{name}"), args))
}

/// `cel.bind(x, value, body)`.
pub fn bind(at: u32, args: Vec<Expr>) -> Expanded {
    let named = args.len() == 3 && matches!(args[0].kind, Kind::Ident(_));
    if !named {
        let at = args.first().map_or(at, |first| first.at);
        return issue(at, "cel.bind() variable names must be simple identifiers");
    }
    Ok(Expr::call(at, "@bind", args))
}
