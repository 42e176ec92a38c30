//! Expressions as a tree.

/// A node, and the code point where users look for it: an operator's sign, a call's parenthesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub at: u32,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Box<str>),
    Bytes(Box<[u8]>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Literal(Literal),
    Ident(Box<str>),
    /// `operand.field`; a test (`has`) gives whether it is there.
    Select {
        operand: Box<Expr>,
        field: Box<str>,
        test: bool,
    },
    /// Operators too, by upstream's names: `_+_`, `_[_]`, `_?_:_`. `_&&_` and `_||_` take any number of arguments.
    Call {
        function: Box<str>,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    List(Vec<Element>),
    Map(Vec<Entry>),
    Struct {
        name: Box<str>,
        fields: Vec<Field>,
    },
    Comprehension(Box<Comprehension>),
}

/// Of a list; an optional one is left out when it is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    pub value: Expr,
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: Expr,
    pub value: Expr,
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub at: u32,
    pub name: Box<str>,
    pub value: Expr,
    pub optional: bool,
}

/// A fold: what macros like `all` become.
#[derive(Clone, Debug, PartialEq)]
pub struct Comprehension {
    pub range: Expr,
    /// The element of a list or the key of a map; with a second variable the index or the key.
    pub variable: Box<str>,
    /// With it, the element or the map's value.
    pub second: Option<Box<str>>,
    pub initial: Expr,
    /// Goes on while it holds.
    pub condition: Expr,
    pub step: Expr,
    pub result: Expr,
}

/// The variable in which a comprehension collects. No expression can name it.
pub const ACCUMULATOR: &str = "@result";

impl Expr {
    pub fn new(at: u32, kind: Kind) -> Self {
        Self { at, kind }
    }

    pub fn ident(at: u32, name: &str) -> Self {
        Self::new(at, Kind::Ident(name.into()))
    }

    pub fn accumulator(at: u32) -> Self {
        Self::ident(at, ACCUMULATOR)
    }

    pub fn literal(at: u32, literal: Literal) -> Self {
        Self::new(at, Kind::Literal(literal))
    }

    pub fn bool(at: u32, value: bool) -> Self {
        Self::literal(at, Literal::Bool(value))
    }

    pub fn call(at: u32, function: &str, args: Vec<Expr>) -> Self {
        Self::new(
            at,
            Kind::Call {
                function: function.into(),
                target: None,
                args,
            },
        )
    }

    pub fn list(at: u32, values: Vec<Expr>) -> Self {
        let elements = values.into_iter().map(|value| Element {
            value,
            optional: false,
        });
        Self::new(at, Kind::List(elements.collect()))
    }

    /// `a.b.c` if it is nothing but names.
    pub fn qualified_name(&self) -> Option<String> {
        match &self.kind {
            Kind::Ident(name) => Some(name.to_string()),
            Kind::Select {
                operand,
                field,
                test: false,
            } => Some(format!("{}.{field}", operand.qualified_name()?)),
            _ => None,
        }
    }

    /// Calls `visit` for this node and all below.
    pub fn walk<'e>(&'e self, visit: &mut dyn FnMut(&'e Expr)) {
        visit(self);
        match &self.kind {
            Kind::Literal(_) | Kind::Ident(_) => {}
            Kind::Select { operand, .. } => operand.walk(visit),
            Kind::Call { target, args, .. } => {
                for part in target.iter().map(|target| &**target).chain(args) {
                    part.walk(visit);
                }
            }
            Kind::List(elements) => elements.iter().for_each(|element| element.value.walk(visit)),
            Kind::Map(entries) => {
                for entry in entries {
                    entry.key.walk(visit);
                    entry.value.walk(visit);
                }
            }
            Kind::Struct { fields, .. } => fields.iter().for_each(|field| field.value.walk(visit)),
            Kind::Comprehension(fold) => {
                for part in [
                    &fold.range,
                    &fold.initial,
                    &fold.condition,
                    &fold.step,
                    &fold.result,
                ] {
                    part.walk(visit);
                }
            }
        }
    }
}
