//! Tokens to a tree.
//!
//! What is nested deeper than [`DEEPEST`] is refused, so that no later walk over a tree runs out of stack. The first
//! error of grammar ends the parse: what follows from it tells users little.

mod literal;

use crate::ast::{Element, Entry, Expr, Field, Kind, Literal};
use crate::issues::{Issue, Issues};
use crate::lexer::{Lexeme, Token, tokens};
use crate::macros;

/// Levels of nesting: parentheses, operands of operators, steps of a chain like `a.b.c`.
const DEEPEST: u32 = 250;
/// Longer expressions are not read, in code points.
const LONGEST: usize = 100_000;

/// What may follow where a value has to stand.
const VALUE: &str = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "null",
    "return",
    "true",
    "var",
    "void",
    "while",
];

struct Operator {
    sign: &'static str,
    function: &'static str,
    binds: u8,
}

const OR: u8 = 1;
const AND: u8 = 2;

const fn operator(sign: &'static str, function: &'static str, binds: u8) -> Operator {
    Operator {
        sign,
        function,
        binds,
    }
}

const OPERATORS: &[Operator] = &[
    operator("||", "_||_", OR),
    operator("&&", "_&&_", AND),
    operator("<", "_<_", 3),
    operator("<=", "_<=_", 3),
    operator(">=", "_>=_", 3),
    operator(">", "_>_", 3),
    operator("==", "_==_", 3),
    operator("!=", "_!=_", 3),
    operator("in", "@in", 3),
    operator("+", "_+_", 4),
    operator("-", "_-_", 4),
    operator("*", "_*_", 5),
    operator("/", "_/_", 5),
    operator("%", "_%_", 5),
];

/// Whether a name may not be a variable's.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// The expression, macros expanded; `cel.bind` among them if there are bindings.
pub fn parse(source: &str, bindings: bool) -> Result<Expr, Issues> {
    let size = source.chars().count();
    if size > LONGEST {
        let message = format!("expression code point size exceeds limit: size: {size}, limit {LONGEST}");
        return Err(Issues::new(source, vec![Issue { at: None, message }]));
    }
    let (tokens, issues) = tokens(source);
    let mut parser = Parser {
        tokens,
        next: 0,
        depth: 0,
        bindings,
        issues,
    };
    let parsed = parser.start();
    if let Err(Stop(issue)) = &parsed {
        parser.issues.push(issue.clone());
    }
    match parsed {
        Ok(expr) if parser.issues.is_empty() => Ok(expr),
        _ => Err(Issues::new(source, parser.issues)),
    }
}

/// Ends a parse.
struct Stop(Issue);

type Parsed<T = Expr> = Result<T, Stop>;

struct Parser<'s> {
    tokens: Vec<Lexeme<'s>>,
    next: usize,
    depth: u32,
    bindings: bool,
    issues: Vec<Issue>,
}

fn stop<T>(at: u32, message: String) -> Parsed<T> {
    Err(Stop(Issue {
        at: Some(at),
        message,
    }))
}

impl<'s> Parser<'s> {
    fn peek(&self) -> Lexeme<'s> {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Lexeme<'s> {
        // The last token is the end, and stays.
        self.tokens[(self.next + by).min(self.tokens.len() - 1)]
    }

    fn bump(&mut self) -> Lexeme<'s> {
        let lexeme = self.peek();
        self.next += 1;
        lexeme
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek().token, Token::Sign(found) if found == sign)
    }

    fn eat(&mut self, sign: &str) -> Option<Lexeme<'s>> {
        self.is(sign).then(|| self.bump())
    }

    /// A problem that does not end the parse.
    fn report(&mut self, at: u32, message: impl Into<String>) {
        self.issues.push(Issue {
            at: Some(at),
            message: message.into(),
        });
    }

    fn unexpected<T>(&self, expecting: &str) -> Parsed<T> {
        let found = self.peek();
        let text = found.text.replace('\n', "\\n");
        let message = format!("Syntax error: mismatched input '{text}' expecting {expecting}");
        stop(found.at, message)
    }

    fn expect(&mut self, sign: &str) -> Parsed<Lexeme<'s>> {
        match self.eat(sign) {
            Some(lexeme) => Ok(lexeme),
            // What could go on after the sign is only told that the sign is missing.
            None if self.peek().token == Token::End && matches!(sign, ")" | "]") => {
                let at = self.peek().at;
                stop(at, format!("Syntax error: missing '{sign}' at '<EOF>'"))
            }
            None => self.unexpected(&format!("'{sign}'")),
        }
    }

    /// The end of a list or map, where another element may follow.
    fn expect_end(&mut self, sign: &str) -> Parsed<()> {
        match self.eat(sign) {
            Some(_) => Ok(()),
            None => self.unexpected(&format!("{{'{sign}', ','}}")),
        }
    }

    fn name(&mut self) -> Parsed<Lexeme<'s>> {
        match self.peek().token {
            Token::Ident => Ok(self.bump()),
            _ => self.unexpected("IDENTIFIER"),
        }
    }

    /// A field's name. One in backquotes is no syntax here.
    fn field_name(&mut self) -> Parsed<&'s str> {
        let found = self.peek();
        match found.token {
            Token::Ident => Ok(self.bump().text),
            Token::Escaped => {
                self.report(found.at, "unsupported syntax: '`'");
                Ok(self.bump().text)
            }
            token => {
                let text = if token == Token::End { "" } else { found.text };
                let message = format!("Syntax error: no viable alternative at input '.{text}'");
                stop(found.at, message)
            }
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.descend(1)?;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Takes levels; the caller gives them back.
    fn descend(&mut self, levels: u32) -> Parsed<()> {
        self.depth += levels;
        if self.depth > DEEPEST {
            let message = format!("expression recursion limit exceeded: {DEEPEST}");
            return Err(Stop(Issue { at: None, message }));
        }
        Ok(())
    }

    fn start(&mut self) -> Parsed {
        let expr = self.expr()?;
        if self.peek().token == Token::End {
            return Ok(expr);
        }
        if self.ahead(1).token == Token::End {
            let found = self.peek();
            let message = format!("Syntax error: extraneous input '{}' expecting <EOF>", found.text);
            return stop(found.at, message);
        }
        self.unexpected("<EOF>")
    }

    fn expr(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.operators(OR)?;
            let Some(question) = parser.eat("?") else {
                return Ok(condition);
            };
            let yes = parser.operators(OR)?;
            parser.expect(":")?;
            let no = parser.expr()?;
            Ok(Expr::call(question.at, "_?_:_", vec![condition, yes, no]))
        })
    }

    /// Operands joined by operators that bind at least so strongly.
    fn operators(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        let mut levels = 0;
        // The operator whose operands are gathered into one call.
        let mut gathered = "";
        while let Some(operator) = self.operator(least) {
            let at = self.bump().at;
            if gathered == operator.function
                && let Kind::Call { args, .. } = &mut left.kind
            {
                args.push(self.operators(operator.binds + 1)?);
                continue;
            }
            self.descend(1)?;
            levels += 1;
            let right = self.operators(operator.binds + 1)?;
            left = Expr::call(at, operator.function, vec![left, right]);
            gathered = if operator.binds <= AND {
                operator.function
            } else {
                ""
            };
        }
        self.depth -= levels;
        Ok(left)
    }

    fn operator(&self, least: u8) -> Option<&'static Operator> {
        let Token::Sign(sign) = self.peek().token else {
            return None;
        };
        OPERATORS
            .iter()
            .find(|operator| operator.sign == sign && operator.binds >= least)
    }

    fn unary(&mut self) -> Parsed {
        let first = self.peek();
        let sign = match first.token {
            Token::Sign(sign @ ("!" | "-")) => sign,
            _ => return self.member(),
        };
        if sign == "-" && matches!(self.ahead(1).token, Token::Int | Token::Float) {
            return self.member();
        }
        let mut count = 0;
        while self.eat(sign).is_some() {
            count += 1;
        }
        let operand = self.member()?;
        let function = if sign == "!" { "!_" } else { "-_" };
        Ok(match count % 2 {
            0 => operand,
            _ => Expr::call(first.at, function, vec![operand]),
        })
    }

    fn member(&mut self) -> Parsed {
        let mut expr = self.primary()?;
        let mut levels = 0;
        loop {
            if let Some(dot) = self.eat(".") {
                expr = self.select(expr, dot.at)?;
            } else if let Some(open) = self.eat("[") {
                let optional = self.eat("?").is_some();
                let index = self.expr()?;
                self.expect("]")?;
                let function = if optional { "_[?_]" } else { "_[_]" };
                expr = Expr::call(open.at, function, vec![expr, index]);
            } else {
                break;
            }
            self.descend(1)?;
            levels += 1;
        }
        self.depth -= levels;
        Ok(expr)
    }

    fn select(&mut self, operand: Expr, at: u32) -> Parsed {
        if self.eat("?").is_some() {
            let place = self.peek().at;
            let field = Expr::literal(place, Literal::String(self.field_name()?.into()));
            return Ok(Expr::call(at, "_?._", vec![operand, field]));
        }
        let is_call = self.peek().token == Token::Ident && matches!(self.ahead(1).token, Token::Sign("("));
        let name = self.field_name()?;
        if !is_call {
            return Ok(Expr::new(
                at,
                Kind::Select {
                    operand: Box::new(operand),
                    field: name.into(),
                    test: false,
                },
            ));
        }
        let open = self.expect("(")?.at;
        let args = self.arguments()?;
        self.call(open, name, Some(operand), args)
    }

    /// A call, or what its macro says.
    fn call(&mut self, at: u32, name: &str, target: Option<Expr>, args: Vec<Expr>) -> Parsed {
        let binds = self.bindings
            && name == "bind"
            && target
                .as_ref()
                .is_some_and(|target| target.kind == Kind::Ident("cel".into()));
        let expanded = match binds {
            true => macros::bind(at, args),
            false => macros::expand(at, name, target, args),
        };
        match expanded {
            Ok(expr) => Ok(expr),
            Err(issue) => {
                self.issues.push(issue);
                Ok(Expr::literal(at, Literal::Null))
            }
        }
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        let mut args = Vec::new();
        if self.eat(")").is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if self.eat(",").is_none() {
                self.expect(")")?;
                return Ok(args);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let first = self.peek();
        match first.token {
            Token::Sign("(") => {
                self.bump();
                let expr = self.expr()?;
                self.expect(")")?;
                Ok(expr)
            }
            Token::Sign("[") => self.list(),
            Token::Sign("{") => self.map(),
            Token::Sign(".") | Token::Ident => self.named(),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Parsed {
        let first = self.peek();
        let negative = self.eat("-").is_some();
        let lexeme = self.peek();
        match literal::read(lexeme, negative) {
            Some(Ok(value)) => {
                self.bump();
                Ok(Expr::literal(first.at, value))
            }
            Some(Err(message)) => {
                self.bump();
                self.report(first.at, message);
                Ok(Expr::literal(first.at, Literal::Null))
            }
            None if self.is_misplaced() => {
                let text = first.text;
                stop(
                    first.at,
                    format!("Syntax error: extraneous input '{text}' expecting {VALUE}"),
                )
            }
            None => self.unexpected(VALUE),
        }
    }

    /// Whether what follows the token would do here.
    fn is_misplaced(&self) -> bool {
        let starts = |token| match token {
            Token::End | Token::Escaped => false,
            Token::Sign(sign) => VALUE.contains(&format!("'{sign}'")),
            _ => true,
        };
        self.peek().token != Token::End && starts(self.ahead(1).token)
    }

    fn list(&mut self) -> Parsed {
        let at = self.bump().at;
        let mut elements = Vec::new();
        while !self.is("]") {
            let optional = self.eat("?").is_some();
            let value = self.expr()?;
            elements.push(Element { value, optional });
            if self.eat(",").is_none() {
                break;
            }
        }
        self.expect_end("]")?;
        Ok(Expr::new(at, Kind::List(elements)))
    }

    fn map(&mut self) -> Parsed {
        let at = self.bump().at;
        let mut entries = Vec::new();
        while !self.is("}") {
            let optional = self.eat("?").is_some();
            let key = self.expr()?;
            self.expect(":")?;
            let value = self.expr()?;
            entries.push(Entry { key, value, optional });
            if self.eat(",").is_none() {
                break;
            }
        }
        self.expect_end("}")?;
        Ok(Expr::new(at, Kind::Map(entries)))
    }

    /// A variable, a call, or a message by its name: `a.b.C{field: value}`.
    fn named(&mut self) -> Parsed {
        let start = self.peek().at;
        let dot = if self.eat(".").is_some() { "." } else { "" };
        let ident = self.name()?;
        if let Some(open) = self.eat("(") {
            if is_reserved(ident.text) {
                self.report(start, format!("reserved identifier: {}", ident.text));
            }
            let args = self.arguments()?;
            return self.call(open.at, &format!("{dot}{}", ident.text), None, args);
        }
        if let Some(steps) = self.message_steps() {
            let mut name = format!("{dot}{}", ident.text);
            for _ in 0..steps {
                self.bump();
                name = format!("{name}.{}", self.name()?.text);
            }
            return self.message(&name);
        }
        if is_reserved(ident.text) {
            self.report(start, format!("reserved identifier: {}", ident.text));
        }
        Ok(Expr::ident(start, &format!("{dot}{}", ident.text)))
    }

    /// How many `.name` stand before a `{`, if one does.
    fn message_steps(&self) -> Option<usize> {
        let mut steps = 0;
        loop {
            match (self.ahead(steps * 2).token, self.ahead(steps * 2 + 1).token) {
                (Token::Sign("{"), _) => return Some(steps),
                (Token::Sign("."), Token::Ident) => steps += 1,
                _ => return None,
            }
        }
    }

    fn message(&mut self, name: &str) -> Parsed {
        let at = self.expect("{")?.at;
        let mut fields = Vec::new();
        while !self.is("}") {
            let optional = self.eat("?").is_some();
            let name = match self.peek().token {
                Token::Ident | Token::Escaped => self.bump().text.trim_matches('`'),
                _ => return self.unexpected("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}"),
            };
            let colon = self.expect(":")?.at;
            let value = self.expr()?;
            fields.push(Field {
                at: colon,
                name: name.into(),
                value,
                optional,
            });
            if self.eat(",").is_none() {
                break;
            }
        }
        self.expect_end("}")?;
        let name = name.into();
        Ok(Expr::new(at, Kind::Struct { name, fields }))
    }
}
