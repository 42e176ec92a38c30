//! What is wrong with a document, in the words of upstream's reader, and where as it counts lines.
//!
//! That reader finds problems while it cuts the text into tokens, or while it puts tokens together. The former are
//! told with the line's number, the latter with the number of lines before it; the first line is not told.

/// In which of its two stages upstream's reader finds a problem.
#[derive(Clone, Copy)]
enum Stage {
    Tokens,
    Structure,
}

use Stage::{Structure, Tokens};

/// What this reader calls a problem, what upstream's does, and the stage where that finds it.
const PROBLEMS: &[(&str, &str, Stage)] = &[
    (
        "mapping values are not allowed in this context",
        "mapping values are not allowed in this context",
        Tokens,
    ),
    (
        "tabs disallowed",
        "found character that cannot start any token",
        Tokens,
    ),
    (
        "unexpected character",
        "found character that cannot start any token",
        Tokens,
    ),
    (
        "did not find expected '-' indicator",
        "did not find expected '-' indicator",
        Structure,
    ),
    (
        "did not find expected key",
        "did not find expected key",
        Structure,
    ),
    (
        "invalid trailing content after double-quoted scalar",
        "did not find expected key",
        Structure,
    ),
    (
        "invalid trailing content after single-quoted scalar",
        "did not find expected key",
        Structure,
    ),
    (
        "misplaced bracket",
        "did not find expected node content",
        Structure,
    ),
    (
        "found unknown escape character",
        "found unknown escape character",
        Tokens,
    ),
    (
        "did not find expected hexadecimal number",
        "did not find expected hexdecimal number",
        Tokens,
    ),
];

/// The whole message.
pub fn describe(error: &serde_saphyr::Error, text: &str) -> String {
    let line = error
        .location()
        .and_then(|location| usize::try_from(location.line()).ok())
        .unwrap_or(1);
    let column = error
        .location()
        .and_then(|location| usize::try_from(location.column()).ok())
        .unwrap_or(1);
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    if let Some(number) = said.strip_prefix("non-finite float `") {
        let number = match number.split('`').next().unwrap_or_default().to_ascii_lowercase() {
            number if number.ends_with("nan") => "NaN",
            number if number.starts_with('-') => "-Inf",
            _ => "+Inf",
        };
        return format!("json: unsupported value: {number}");
    }
    let at = text.lines().nth(line - 1).unwrap_or_default();
    let rest: String = at.chars().skip(column.saturating_sub(1)).collect();
    format!("yaml: {}", worded(said, line, &rest, text))
}

fn worded(said: &str, line: usize, rest: &str, text: &str) -> String {
    let end = text.matches('\n').count();
    let lines = text.lines().count();
    if said.contains("unexpected character") && rest.starts_with(|char: char| char.is_control()) {
        return "control characters are not allowed".to_owned();
    }
    if said.starts_with("alias references unknown anchor") {
        let name: String = rest
            .trim_start_matches('*')
            .chars()
            .take_while(|char| !char.is_whitespace() && !",[]{}".contains(*char))
            .collect();
        return format!("unknown anchor '{name}' referenced");
    }
    if said.starts_with("invalid !!binary base64") {
        return "!!binary value contains invalid base64 data".to_owned();
    }
    if said.starts_with("unclosed bracket '['") {
        return told("did not find expected ',' or ']'", lines);
    }
    if said.starts_with("unclosed bracket") {
        return told("did not find expected ',' or '}'", lines);
    }
    if said.starts_with("illegal placement of ':'") {
        let before = text.lines().take(line - 1).collect::<String>();
        let closing = if before.rfind('[') > before.rfind('{') {
            ']'
        } else {
            '}'
        };
        return told(&format!("did not find expected ',' or '{closing}'"), line - 1);
    }
    // What is never closed is found out at the end of the text.
    if said.starts_with("unclosed quote") || said.starts_with("invalid indentation in multiline quoted") {
        return told(
            "found unexpected end of stream",
            if end == 0 { 0 } else { end + 1 },
        );
    }
    // That a line is no key is found out on the next one.
    if said.starts_with("simple key expected ':'") {
        return told("could not find expected ':'", line + 1);
    }
    if said.contains("<document start>") && text.starts_with('%') {
        return told("found unknown directive name", 0);
    }
    match PROBLEMS.iter().find(|(own, ..)| said.contains(own)) {
        Some((_, problem, Tokens)) => told(problem, if line == 1 { 0 } else { line }),
        Some((_, problem, Structure)) => told(problem, line - 1),
        None => told(said, line),
    }
}

fn told(problem: &str, line: usize) -> String {
    match line {
        0 => problem.to_owned(),
        line => format!("line {line}: {problem}"),
    }
}
