//! A checked expression made ready to be evaluated: names are places, functions are code.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex_lite::Regex;

use crate::ast::{ACCUMULATOR, Comprehension, Expr, Kind, Literal};
use crate::environment::Environment;
use crate::functions::Row;
use crate::library::patches;
use crate::value::{Text, Value};

pub(crate) enum Node {
    Const(Value<'static>),
    /// A variable of a macro, counted from the outermost.
    Local(usize),
    /// A declared variable; a name with a dot costs as its parts do.
    Variable {
        slot: usize,
        cost: u64,
    },
    Select {
        operand: Box<Node>,
        field: Box<str>,
    },
    Has {
        operand: Box<Node>,
        field: Box<str>,
    },
    OptionalSelect {
        operand: Box<Node>,
        field: Box<str>,
    },
    Index {
        operands: Box<[Node; 2]>,
        optional: bool,
    },
    /// The value that decides: `false` for and, `true` for or.
    Logic {
        decisive: bool,
        operands: Vec<Node>,
    },
    If(Box<[Node; 3]>),
    /// `or` and `orValue` of optional values, which look at the second only if they need it.
    Otherwise {
        operands: Box<[Node; 2]>,
        unwrap: bool,
    },
    OptionalMap {
        target: Box<Node>,
        body: Box<Node>,
        wrap: bool,
    },
    Bind {
        value: Box<Node>,
        body: Box<Node>,
    },
    Call {
        row: &'static Row,
        args: Vec<Node>,
    },
    /// A pattern that is written out is compiled once.
    Matches {
        operand: Box<Node>,
        regex: Box<Regex>,
        cost: u64,
    },
    List(Vec<(Node, bool)>),
    Map(Vec<(Node, Node, bool)>),
    /// The fields, and the type's name if values of it bear one.
    Struct(Vec<(Box<str>, Node, bool)>, Option<Arc<str>>),
    Fold(Box<Fold>),
}

pub(crate) struct Fold {
    pub range: Node,
    pub two: bool,
    pub initial: Node,
    pub step: Step,
    pub result: Node,
}

/// What each round adds. The accumulator is the local before the round's variables.
pub(crate) enum Step {
    /// Goes on while the accumulator is not decisive.
    Quantify {
        decisive: bool,
        predicate: Node,
    },
    Append {
        filter: Option<Node>,
        value: Node,
    },
    Insert {
        filter: Option<Node>,
        key: Option<Node>,
        value: Node,
    },
    Count {
        predicate: Node,
    },
}

/// Conversions of what is written out are done once, and cost nothing; so do lists of literals.
const FOLDED: [&str; 9] = [
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "string",
    "timestamp",
    "uint",
];

fn constant_list(nodes: Vec<(Node, bool)>) -> Node {
    let constant = |(node, optional): &(Node, bool)| match node {
        Node::Const(value) if !optional => Some(value.clone()),
        _ => None,
    };
    match nodes.iter().map(constant).collect() {
        Some(items) => Node::Const(Value::list(items)),
        None => Node::List(nodes),
    }
}

/// The expression, and the places of the variables that it names. `None`: it names something that is not there, which
/// the checker does not let pass.
pub(crate) fn plan(environment: &Environment, expr: &Expr) -> Option<(Node, BTreeSet<usize>)> {
    let mut planner = Planner {
        environment,
        locals: Vec::new(),
        used: BTreeSet::new(),
    };
    let node = planner.node(expr)?;
    Some((node, planner.used))
}

struct Planner<'e> {
    environment: &'e Environment,
    locals: Vec<Box<str>>,
    used: BTreeSet<usize>,
}

fn constant(literal: &Literal) -> Value<'static> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Uint(value) => Value::Uint(*value),
        Literal::Double(value) => Value::Double(*value),
        Literal::String(text) => Value::String(Text::Shared((&**text).into())),
        Literal::Bytes(bytes) => Value::Bytes((&**bytes).into()),
    }
}

impl Planner<'_> {
    fn boxed(&mut self, expr: &Expr) -> Option<Box<Node>> {
        self.node(expr).map(Box::new)
    }

    fn nodes(&mut self, exprs: &[Expr]) -> Option<Vec<Node>> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn array<const N: usize>(&mut self, exprs: &[Expr]) -> Option<Box<[Node; N]>> {
        self.nodes(exprs)?.try_into().ok().map(Box::new)
    }

    fn node(&mut self, expr: &Expr) -> Option<Node> {
        Some(match &expr.kind {
            Kind::Literal(literal) => Node::Const(constant(literal)),
            Kind::Ident(name) => self.ident(name)?,
            Kind::Select { operand, field, test } => {
                let (operand, field) = (self.boxed(operand)?, field.clone());
                match test {
                    true => Node::Has { operand, field },
                    false => Node::Select { operand, field },
                }
            }
            Kind::Call {
                function,
                target,
                args,
            } => self.call(function, target.as_deref(), args)?,
            Kind::List(elements) => {
                let mut nodes = Vec::with_capacity(elements.len());
                for element in elements {
                    nodes.push((self.node(&element.value)?, element.optional));
                }
                constant_list(nodes)
            }
            Kind::Map(entries) => {
                let mut nodes = Vec::with_capacity(entries.len());
                for entry in entries {
                    nodes.push((self.node(&entry.key)?, self.node(&entry.value)?, entry.optional));
                }
                Node::Map(nodes)
            }
            Kind::Struct { name, fields } => {
                let mut nodes = Vec::with_capacity(fields.len());
                for field in fields {
                    nodes.push((field.name.clone(), self.node(&field.value)?, field.optional));
                }
                let name = name.trim_start_matches('.');
                Node::Struct(nodes, patches::is_type(name).then(|| name.into()))
            }
            Kind::Comprehension(fold) => self.fold(fold)?,
        })
    }

    fn ident(&mut self, name: &str) -> Option<Node> {
        if let Some(place) = self.locals.iter().rposition(|local| &**local == name) {
            return Some(Node::Local(place));
        }
        if let Some(slot) = self.environment.slot(name) {
            self.used.insert(slot);
            let cost = name.split('.').count() as u64;
            return Some(Node::Variable { slot, cost });
        }
        let named = self.environment.type_named(name)?;
        Some(Node::Const(Value::Type(named.name().into())))
    }

    fn call(&mut self, function: &str, target: Option<&Expr>, args: &[Expr]) -> Option<Node> {
        match (function, target, args) {
            ("_&&_" | "_||_", None, _) => {
                return Some(Node::Logic {
                    decisive: function == "_||_",
                    operands: self.nodes(args)?,
                });
            }
            ("_?_:_", None, _) => return Some(Node::If(self.array(args)?)),
            ("_[_]" | "_[?_]", None, _) => {
                return Some(Node::Index {
                    operands: self.array(args)?,
                    optional: function == "_[?_]",
                });
            }
            ("_?._", None, [operand, field]) => {
                let Kind::Literal(Literal::String(field)) = &field.kind else {
                    return None;
                };
                return Some(Node::OptionalSelect {
                    operand: self.boxed(operand)?,
                    field: field.clone(),
                });
            }
            ("or" | "orValue", Some(target), [other]) => {
                return Some(Node::Otherwise {
                    operands: Box::new([self.node(target)?, self.node(other)?]),
                    unwrap: function == "orValue",
                });
            }
            ("@optMap" | "@optFlatMap", None, [target, variable, body]) => {
                let target = self.boxed(target)?;
                let Kind::Ident(variable) = &variable.kind else {
                    return None;
                };
                self.locals.push(variable.clone());
                let body = self.boxed(body);
                self.locals.pop();
                return Some(Node::OptionalMap {
                    target,
                    body: body?,
                    wrap: function == "@optMap",
                });
            }
            ("@bind", None, [variable, value, body]) => {
                let value = self.boxed(value)?;
                let Kind::Ident(variable) = &variable.kind else {
                    return None;
                };
                self.locals.push(variable.clone());
                let body = self.boxed(body);
                self.locals.pop();
                return Some(Node::Bind { value, body: body? });
            }
            ("matches", ..) => {
                let mut all = target.into_iter().chain(args);
                if let (Some(text), Some(pattern)) = (all.next(), all.next())
                    && let Kind::Literal(Literal::String(pattern)) = &pattern.kind
                    && let Ok(regex) = Regex::new(pattern)
                {
                    return Some(Node::Matches {
                        operand: self.boxed(text)?,
                        regex: Box::new(regex),
                        cost: pattern.chars().count().div_ceil(4) as u64,
                    });
                }
            }
            _ => {}
        }
        let found = self.environment.function(function)?;
        let row = if target.is_some() {
            found.member?
        } else {
            found.global?
        };
        let mut nodes = Vec::with_capacity(args.len() + 1);
        for part in target.into_iter().chain(args) {
            nodes.push(self.node(part)?);
        }
        if FOLDED.contains(&function)
            && let [Node::Const(value)] = nodes.as_slice()
            && let Ok(folded) = (row.code)(std::slice::from_ref(value))
        {
            return Some(Node::Const(folded));
        }
        Some(Node::Call { row, args: nodes })
    }

    fn fold(&mut self, fold: &Comprehension) -> Option<Node> {
        let range = self.node(&fold.range)?;
        let initial = self.node(&fold.initial)?;
        self.locals.push(ACCUMULATOR.into());
        self.locals.push(fold.variable.clone());
        self.locals.extend(fold.second.clone());
        let step = self.step(&fold.step);
        self.locals.pop();
        if fold.second.is_some() {
            self.locals.pop();
        }
        let result = self.node(&fold.result);
        self.locals.pop();
        Some(Node::Fold(Box::new(Fold {
            range,
            two: fold.second.is_some(),
            initial,
            step: step?,
            result: result?,
        })))
    }

    /// Macros write no other steps.
    fn step(&mut self, step: &Expr) -> Option<Step> {
        let Kind::Call { function, args, .. } = &step.kind else {
            return None;
        };
        match (&**function, args.as_slice()) {
            ("_&&_" | "_||_", [_, predicate]) => Some(Step::Quantify {
                decisive: &**function == "_||_",
                predicate: self.node(predicate)?,
            }),
            ("_?_:_", [filter, add, _]) => {
                if let Kind::Call { function, args, .. } = &add.kind
                    && &**function == "_+_"
                    && matches!(args.get(1).map(|arg| &arg.kind), Some(Kind::Literal(_)))
                {
                    let predicate = self.node(filter)?;
                    return Some(Step::Count { predicate });
                }
                let filter = self.node(filter)?;
                self.add(Some(filter), add)
            }
            _ => self.add(None, step),
        }
    }

    fn add(&mut self, filter: Option<Node>, add: &Expr) -> Option<Step> {
        let Kind::Call { args, .. } = &add.kind else {
            return None;
        };
        Some(match args.as_slice() {
            [_, list] if is_append(add) => {
                let Kind::List(elements) = &list.kind else {
                    return None;
                };
                let value = self.node(&elements.first()?.value)?;
                Step::Append { filter, value }
            }
            [_, map] => Step::Insert {
                filter,
                key: None,
                value: self.node(map)?,
            },
            [_, key, value] => Step::Insert {
                filter,
                key: Some(self.node(key)?),
                value: self.node(value)?,
            },
            _ => return None,
        })
    }
}

fn is_append(add: &Expr) -> bool {
    matches!(&add.kind, Kind::Call { function, .. } if &**function == "_+_")
}
