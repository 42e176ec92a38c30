//! Values of expressions, at a bounded cost.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cost;
use crate::library::authorizer::Check;
use crate::plan::{Fold, Node, Step};
use crate::value::{Key, List, Map, Value};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong with the values.
    #[error("{0}")]
    Value(String),
    #[error("operation cancelled: actual cost limit exceeded")]
    Cost,
    /// The expression asks whether somebody may do something, and nobody knows yet: find out and evaluate again.
    #[error("an authorization check is not answered")]
    Unanswered(Box<Check>),
}

impl Error {
    pub(crate) fn overload() -> Self {
        Self::Value("no such overload".to_owned())
    }

    /// Whether `true || error` is true: not if evaluation has to end.
    fn yields(&self) -> bool {
        matches!(self, Self::Value(_))
    }
}

pub type Outcome<'a> = Result<Value<'a>, Error>;

/// Values of the declared variables.
pub trait Activation<'a> {
    /// By the place in which the environment declared it.
    fn resolve(&self, slot: usize) -> Outcome<'a>;
}

impl<'a> Activation<'a> for [Value<'a>] {
    fn resolve(&self, slot: usize) -> Outcome<'a> {
        let missing = || Error::Value("no such attribute(s)".to_owned());
        self.get(slot).cloned().ok_or_else(missing)
    }
}

impl<'a, const N: usize> Activation<'a> for [Value<'a>; N] {
    fn resolve(&self, slot: usize) -> Outcome<'a> {
        self.as_slice().resolve(slot)
    }
}

/// Evaluates; also gives what it cost.
pub(crate) fn evaluate<'a>(node: &Node, activation: &dyn Activation<'a>, limit: u64) -> (Outcome<'a>, u64) {
    let mut evaluator = Evaluator {
        activation,
        locals: Vec::new(),
        cost: 0,
        limit,
    };
    let outcome = evaluator.node(node);
    (outcome, evaluator.cost)
}

struct Evaluator<'e, 'a> {
    activation: &'e dyn Activation<'a>,
    locals: Vec<Value<'a>>,
    cost: u64,
    limit: u64,
}

fn no_such_key(key: &Value<'_>) -> Error {
    Error::Value(format!("no such key: {key}"))
}

impl<'a> Evaluator<'_, 'a> {
    fn charge(&mut self, cost: u64) -> Result<(), Error> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit {
            Err(Error::Cost)
        } else {
            Ok(())
        }
    }

    fn node(&mut self, node: &Node) -> Outcome<'a> {
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Local(place) => {
                self.charge(1)?;
                Ok(self.locals[*place].clone())
            }
            Node::Variable { slot, cost } => {
                self.charge(*cost)?;
                self.activation.resolve(*slot)
            }
            Node::Select { operand, field } => {
                let operand = self.node(operand)?;
                self.charge(1)?;
                select(operand, field)
            }
            Node::Has { operand, field } => {
                let operand = self.node(operand)?;
                has(&operand, field)
            }
            Node::OptionalSelect { operand, field } => {
                let operand = self.node(operand)?;
                self.charge(1)?;
                Ok(Value::Optional(find(&operand, field).map(Arc::new)))
            }
            Node::Index { operands, optional } => self.index(operands, *optional),
            Node::Logic { decisive, operands } => self.logic(*decisive, operands),
            Node::If(parts) => match self.node(&parts[0])? {
                Value::Bool(true) => self.node(&parts[1]),
                Value::Bool(false) => self.node(&parts[2]),
                _ => Err(Error::overload()),
            },
            Node::Otherwise { operands, unwrap } => match self.node(&operands[0])? {
                Value::Optional(Some(held)) if *unwrap => Ok((*held).clone()),
                Value::Optional(None) => self.node(&operands[1]),
                value @ Value::Optional(Some(_)) => Ok(value),
                _ => Err(Error::overload()),
            },
            Node::OptionalMap { target, body, wrap } => self.optional_map(target, body, *wrap),
            Node::Bind { value, body } => {
                let value = self.node(value)?;
                self.locals.push(value);
                let result = self.node(body);
                self.locals.pop();
                result
            }
            Node::Call { row, args } => {
                let args = self.nodes(args)?;
                let result = (row.code)(&args);
                self.charge(row.cost.of(&args, result.as_ref().ok()))?;
                result
            }
            Node::Matches { operand, regex, cost } => {
                let operand = self.node(operand)?;
                let text = cost::text_size(&operand);
                self.charge(text.saturating_mul(*cost))?;
                match operand {
                    Value::String(text) => Ok(Value::Bool(regex.is_match(&text))),
                    _ => Err(Error::overload()),
                }
            }
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Struct(fields, name) => self.object(fields, name.as_ref()),
            Node::Fold(fold) => self.fold(fold),
        }
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<Vec<Value<'a>>, Error> {
        nodes.iter().map(|node| self.node(node)).collect()
    }

    fn logic(&mut self, decisive: bool, operands: &[Node]) -> Outcome<'a> {
        let mut failure = None;
        for operand in operands {
            match self.node(operand) {
                Ok(Value::Bool(value)) if value == decisive => return Ok(Value::Bool(decisive)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or_else(|| Some(Error::overload())),
                Err(error) if error.yields() => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    fn index(&mut self, operands: &[Node; 2], optional: bool) -> Outcome<'a> {
        let operand = self.node(&operands[0])?;
        let index = self.node(&operands[1])?;
        self.charge(1)?;
        let (operand, unwrapped) = match operand {
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(held)) => ((*held).clone(), true),
            operand => (operand, false),
        };
        let found = at(&operand, &index);
        match found {
            Ok(value) if optional || unwrapped => Ok(Value::some(value)),
            Err(Lookup::Absent(_)) if optional || unwrapped => Ok(Value::Optional(None)),
            Err(Lookup::Absent(error) | Lookup::Wrong(error)) => Err(error),
            Ok(value) => Ok(value),
        }
    }

    fn optional_map(&mut self, target: &Node, body: &Node, wrap: bool) -> Outcome<'a> {
        let target = self.node(target)?;
        self.charge(1)?;
        match target {
            Value::Optional(None) => Ok(Value::Optional(None)),
            Value::Optional(Some(held)) => {
                self.charge(1)?;
                self.locals.push((*held).clone());
                let result = self.node(body);
                self.locals.pop();
                if wrap { result.map(Value::some) } else { result }
            }
            _ => Err(Error::overload()),
        }
    }

    /// What an optional element adds, if it is there.
    fn optional(value: Value<'a>, what: &str) -> Result<Option<Value<'a>>, Error> {
        match value {
            Value::Optional(held) => Ok(held.map(|held| (*held).clone())),
            other => Err(Error::Value(format!(
                "cannot initialize optional {what} from non-optional value {other}"
            ))),
        }
    }

    fn list(&mut self, elements: &[(Node, bool)]) -> Outcome<'a> {
        let mut items = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let value = self.node(element)?;
            match optional {
                true => items.extend(Self::optional(value, "list element")?),
                false => items.push(value),
            }
        }
        self.charge(cost::LIST)?;
        Ok(Value::list(items))
    }

    fn map(&mut self, entries: &[(Node, Node, bool)]) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for (key, value, optional) in entries {
            let key = self.node(key)?;
            let value = self.node(value)?;
            let value = match optional {
                true => Self::optional(value, &format!("entry '{key}'"))?,
                false => Some(value),
            };
            let Some(value) = value else { continue };
            insert(&mut map, key, value)?;
        }
        self.charge(cost::MAP)?;
        Ok(Value::Map(Map::Shared(Arc::new(map))))
    }

    fn object(&mut self, fields: &[(Box<str>, Node, bool)], name: Option<&Arc<str>>) -> Outcome<'a> {
        let mut map = BTreeMap::new();
        for (name, node, optional) in fields {
            let value = self.node(node)?;
            let value = match optional {
                true => Self::optional(value, &format!("entry '{name}'"))?,
                false => Some(value),
            };
            let Some(value) = value else { continue };
            insert(&mut map, Value::text(&**name), value)?;
        }
        self.charge(cost::STRUCT)?;
        let map = Arc::new(map);
        Ok(Value::Map(match name {
            Some(name) => Map::Made(name.clone(), map),
            None => Map::Shared(map),
        }))
    }

    fn fold(&mut self, fold: &Fold) -> Outcome<'a> {
        let range = self.node(&fold.range)?;
        let initial = self.node(&fold.initial)?;
        let depth = self.locals.len();
        self.locals.push(initial);
        let outcome = match range {
            Value::List(list) => self.rounds(fold, Rounds::List(list)),
            Value::Map(map) => self.rounds(fold, Rounds::Map(map.entries())),
            _ => Err(Error::overload()),
        };
        let outcome = match outcome {
            Ok(accumulated) => {
                self.locals.truncate(depth);
                self.locals.push(accumulated);
                self.node(&fold.result)
            }
            Err(error) => Err(error),
        };
        self.locals.truncate(depth);
        outcome
    }

    fn rounds(&mut self, fold: &Fold, rounds: Rounds<'a>) -> Outcome<'a> {
        let depth = self.locals.len();
        let mut state = State::default();
        for index in 0..rounds.len() {
            let Some((first, second)) = rounds.get(index, fold.two) else {
                break;
            };
            self.locals.push(first);
            self.locals.extend(second);
            let go_on = self.round(&fold.step, &mut state);
            self.locals.truncate(depth);
            if !go_on? {
                break;
            }
        }
        state.finish(&fold.step)
    }

    /// One round; whether another one is to follow.
    fn round(&mut self, step: &Step, state: &mut State<'a>) -> Result<bool, Error> {
        match step {
            Step::Quantify { decisive, predicate } => {
                self.charge(if *decisive { 4 } else { 3 })?;
                match self.node(predicate) {
                    Ok(Value::Bool(value)) if value == *decisive => {
                        state.decided = true;
                        return Ok(false);
                    }
                    Ok(Value::Bool(_)) => {}
                    Ok(_) => state.fail(Error::overload()),
                    Err(error) if error.yields() => state.fail(error),
                    Err(error) => return Err(error),
                }
            }
            Step::Append { filter, value } => {
                if self.passes(filter.as_ref())? {
                    self.charge(2 + cost::LIST)?;
                    let value = self.node(value)?;
                    state.items.push(value);
                }
            }
            Step::Insert { filter, key, value } => {
                if self.passes(filter.as_ref())? {
                    self.charge(2)?;
                    let key = key.as_ref().map(|key| self.node(key)).transpose()?;
                    let value = self.node(value)?;
                    match (key, value) {
                        (Some(key), value) => insert(&mut state.map, key, value)?,
                        (None, Value::Map(more)) => {
                            for (key, value) in more.entries() {
                                insert(&mut state.map, key, value)?;
                            }
                        }
                        (None, _) => return Err(Error::overload()),
                    }
                }
            }
            Step::Count { predicate } => {
                if self.passes(Some(predicate))? {
                    self.charge(1)?;
                    state.count += 1;
                }
            }
        }
        Ok(true)
    }

    fn passes(&mut self, filter: Option<&Node>) -> Result<bool, Error> {
        let Some(filter) = filter else { return Ok(true) };
        let passes = self.node(filter)?;
        self.charge(1)?;
        match passes {
            Value::Bool(passes) => Ok(passes),
            _ => Err(Error::overload()),
        }
    }
}

enum Rounds<'a> {
    List(List<'a>),
    Map(Vec<(Value<'a>, Value<'a>)>),
}

impl<'a> Rounds<'a> {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Map(entries) => entries.len(),
        }
    }

    /// The variables of a round.
    fn get(&self, index: usize, two: bool) -> Option<(Value<'a>, Option<Value<'a>>)> {
        Some(match self {
            Self::List(list) if two => (Value::Int(index as i64), Some(list.get(index)?)),
            Self::List(list) => (list.get(index)?, None),
            Self::Map(entries) => {
                let (key, value) = entries.get(index)?;
                (key.clone(), two.then(|| value.clone()))
            }
        })
    }
}

/// What rounds collect.
#[derive(Default)]
struct State<'a> {
    decided: bool,
    failure: Option<Error>,
    items: Vec<Value<'a>>,
    map: BTreeMap<Key, (Value<'a>, Value<'a>)>,
    count: i64,
}

impl<'a> State<'a> {
    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    fn finish(self, step: &Step) -> Outcome<'a> {
        match step {
            Step::Quantify { decisive, .. } if self.decided => Ok(Value::Bool(*decisive)),
            Step::Quantify { decisive, .. } => self.failure.map_or(Ok(Value::Bool(!decisive)), Err),
            Step::Append { .. } => Ok(Value::list(self.items)),
            Step::Insert { .. } => Ok(Value::Map(Map::Shared(Arc::new(self.map)))),
            Step::Count { .. } => Ok(Value::Int(self.count)),
        }
    }
}

fn insert<'a>(
    map: &mut BTreeMap<Key, (Value<'a>, Value<'a>)>,
    key: Value<'a>,
    value: Value<'a>,
) -> Result<(), Error> {
    let Some(place) = Key::of(&key) else {
        return Err(Error::Value(format!("unsupported key type: {}", key.type_name())));
    };
    let shown = key.to_string();
    if map.insert(place, (key, value)).is_some() {
        return Err(Error::Value(format!("insert failed: key {shown} already exists")));
    }
    Ok(())
}

/// A member, if there are members and it is one.
fn find<'a>(operand: &Value<'a>, field: &str) -> Option<Value<'a>> {
    match operand {
        Value::Map(map) => map.field(field),
        Value::Optional(Some(held)) => find(held, field),
        _ => None,
    }
}

fn select<'a>(operand: Value<'a>, field: &str) -> Outcome<'a> {
    if let Value::Optional(_) = operand {
        return Ok(Value::Optional(find(&operand, field).map(Arc::new)));
    }
    find(&operand, field).ok_or_else(|| match operand {
        Value::List(_) => Error::Value("unsupported index type 'string' in list".to_owned()),
        _ => Error::Value(format!("no such key: {field}")),
    })
}

fn has<'a>(operand: &Value<'_>, field: &str) -> Outcome<'a> {
    match operand {
        Value::List(_) => Err(Error::Value("unsupported index type 'string' in list".to_owned())),
        _ => Ok(Value::Bool(find(operand, field).is_some())),
    }
}

/// Why there is nothing at an index.
enum Lookup {
    Absent(Error),
    Wrong(Error),
}

fn at<'a>(operand: &Value<'a>, index: &Value<'a>) -> Result<Value<'a>, Lookup> {
    match operand {
        Value::Map(map) => match index {
            Value::Null | Value::List(_) | Value::Map(_) => {
                let message = format!("unsupported key type: {}", index.type_name());
                Err(Lookup::Wrong(Error::Value(message)))
            }
            _ => map.get(index).ok_or_else(|| Lookup::Absent(no_such_key(index))),
        },
        Value::List(list) => {
            let wrong = |message: String| Err(Lookup::Wrong(Error::Value(message)));
            let place = match (index, Key::of(index)) {
                (Value::Int(_) | Value::Uint(_) | Value::Double(_), Some(Key::Int(place))) => place,
                (Value::Double(_), _) => return wrong(format!("unsupported index value {index} in list")),
                _ => return wrong(format!("unsupported index type '{}' in list", index.type_name())),
            };
            let found = usize::try_from(place).ok().and_then(|place| list.get(place));
            found.ok_or_else(|| Lookup::Absent(Error::Value(format!("index out of bounds: {place}"))))
        }
        _ => Err(Lookup::Absent(no_such_key(index))),
    }
}
