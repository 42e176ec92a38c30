//! `fieldPath` of rules: `.spec['a b'].c`.

use apimachinery::field::Path;
use serde_json::Value as Json;

/// The path as errors show it; `None` for an empty one.
///
/// # Errors
/// It does not lead to a field of the schema.
pub(super) fn normalized(text: &str, schema: &Json) -> Result<Option<String>, &'static str> {
    let (mut rest, mut schema, mut path) = (text, schema, Path::nil());
    while !rest.is_empty() {
        let (name, after) = step(rest)?;
        rest = after;
        if let Some(properties) = schema.get("properties") {
            schema = properties.get(&name).ok_or(NO_FIELD)?;
            path = path.child(name);
        } else {
            schema = schema
                .get("additionalProperties")
                .filter(|of| of.is_object())
                .ok_or(NO_FIELD)?;
            path = path.key(name);
        }
    }
    Ok((!text.is_empty()).then(|| path.to_string()))
}

const NO_FIELD: &str = "does not refer to a valid field";

/// The name of the first step, and what follows it.
fn step(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(rest) = text.strip_prefix('.') {
        let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
        return match end {
            0 => Err("unexpected end of JSON path"),
            end => Ok((rest[..end].to_owned(), &rest[end..])),
        };
    }
    let rest = text.strip_prefix("['").ok_or("expected [ or .")?;
    let (mut name, mut chars) = (String::new(), rest.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '\'' => {
                let after = rest[at + 1..].strip_prefix(']').ok_or("expected ]")?;
                return Ok((name, after));
            }
            '\\' => name.push(match chars.next() {
                Some((_, 'a')) => '\u{7}',
                Some((_, 'b')) => '\u{8}',
                Some((_, 'f')) => '\u{c}',
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                Some((_, 'v')) => '\u{b}',
                Some((_, plain @ ('\'' | '\\'))) => plain,
                _ => return Err("invalid string literal"),
            }),
            char => name.push(char),
        }
    }
    Err("unexpected end of JSON path")
}
