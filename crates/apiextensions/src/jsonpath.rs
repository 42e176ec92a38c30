//! Paths into documents: as much of JSONPath as definitions may use for columns.
//!
//! Upstream: `k8s.io/client-go/util/jsonpath`.

use serde_json::Value;

/// Parts of one path.
const MAX_STEPS: usize = 100;

/// A path that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    /// All members, or all items.
    All,
    /// From the end if it is negative.
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    /// This value and all below it.
    Below,
    Filter(Box<Filter>),
}

/// Which items are taken.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    path: JsonPath,
    /// Compared with; `None`: there must be something at the path.
    test: Option<(Comparison, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::Unequal),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl JsonPath {
    /// Reads a path such as `.spec.ports[*].port`; `None`: it is none.
    pub fn parse(text: &str) -> Option<JsonPath> {
        let mut steps = Vec::new();
        let mut rest = text.trim().trim_start_matches(['$', '@']);
        while !rest.is_empty() {
            if steps.len() >= MAX_STEPS {
                return None;
            }
            rest = match rest.strip_prefix('.') {
                Some(after) if after.starts_with('.') => {
                    steps.push(Step::Below);
                    take_member(&after[1..], &mut steps)?
                }
                Some(after) if after.starts_with('[') || after.is_empty() => after,
                Some(after) => take_member(after, &mut steps)?,
                None if rest.starts_with('[') => take_brackets(rest, &mut steps)?,
                None => take_member(rest, &mut steps)?,
            };
        }
        Some(JsonPath(steps))
    }

    /// All values at the path; `None` if it leads past the end of a list.
    pub fn find<'v>(&self, document: &'v Value) -> Option<Vec<&'v Value>> {
        let mut found = vec![document];
        for step in &self.0 {
            let mut next = Vec::new();
            for value in found {
                step.take(value, &mut next)?;
            }
            found = next;
        }
        Some(found)
    }
}

/// A name up to the next dot or bracket; a backslash takes what follows as it is.
fn take_member<'t>(text: &'t str, steps: &mut Vec<Step>) -> Option<&'t str> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '.' | '[' => {
                steps.push(member(name));
                return Some(&text[at..]);
            }
            letter => name.push(letter),
        }
    }
    steps.push(member(name));
    Some("")
}

fn member(name: String) -> Step {
    if name == "*" {
        Step::All
    } else {
        Step::Member(name)
    }
}

fn take_brackets<'t>(text: &'t str, steps: &mut Vec<Step>) -> Option<&'t str> {
    let end = closing(text)?;
    let (inner, rest) = (text[1..end].trim(), &text[end + 1..]);
    let step = if inner == "*" {
        Step::All
    } else if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        Step::Filter(Box::new(filter(condition)?))
    } else if let Some(name) = quoted(inner) {
        Step::Member(name)
    } else if let Some((start, end)) = inner.split_once(':') {
        let bound = |text: &str| match text.trim() {
            "" => Some(None),
            number => number.parse().ok().map(Some),
        };
        Step::Slice(bound(start)?, bound(end)?)
    } else {
        Step::Index(inner.parse().ok()?)
    };
    steps.push(step);
    Some(rest)
}

/// Where the bracket closes that a text begins with.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, letter) in text.char_indices() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            (_, Some(_)) => {}
            ('\'' | '"', None) => quote = Some(letter),
            ('[', None) => depth += 1,
            (']', None) => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<String> {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'')
        .or_else(|| inner('"'))
        .map(|name| name.replace('\\', ""))
}

fn filter(condition: &str) -> Option<Filter> {
    for (sign, comparison) in COMPARISONS {
        if let Some((path, value)) = condition.split_once(sign) {
            let value = value.trim();
            let value = match quoted(value) {
                Some(text) => Value::String(text),
                None => serde_json::from_str(value).ok()?,
            };
            return Some(Filter {
                path: JsonPath::parse(path.trim())?,
                test: Some((comparison, value)),
            });
        }
    }
    Some(Filter {
        path: JsonPath::parse(condition.trim())?,
        test: None,
    })
}

impl Step {
    fn take<'v>(&self, value: &'v Value, found: &mut Vec<&'v Value>) -> Option<()> {
        match (self, value) {
            (Step::Member(name), value) => found.extend(value.get(name)),
            (Step::All, Value::Object(members)) => found.extend(members.values()),
            (Step::All, Value::Array(items)) => found.extend(items),
            (Step::Index(index), Value::Array(items)) => found.push(items.get(place(*index, items.len())?)?),
            (Step::Slice(start, end), Value::Array(items)) => {
                let bound = |bound: Option<i64>, default: usize| match bound {
                    Some(bound) => place(bound, items.len()),
                    None => Some(default),
                };
                let (start, end) = (bound(*start, 0)?, bound(*end, items.len())?);
                found.extend(items.get(start..end.min(items.len()))?);
            }
            (Step::Filter(filter), Value::Array(items)) => {
                found.extend(items.iter().filter(|item| filter.matches(item)));
            }
            (Step::Below, value) => descend(value, found),
            _ => {}
        }
        Some(())
    }
}

fn place(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

fn descend<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    found.push(value);
    match value {
        Value::Object(members) => members.values().for_each(|member| descend(member, found)),
        Value::Array(items) => items.iter().for_each(|item| descend(item, found)),
        _ => {}
    }
}

impl Filter {
    fn matches(&self, item: &Value) -> bool {
        let found = self.path.find(item).unwrap_or_default();
        let Some(first) = found.first() else { return false };
        let Some((comparison, value)) = &self.test else {
            return true;
        };
        let order = match (first, value) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => a.partial_cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.partial_cmp(b),
            _ => None,
        };
        match comparison {
            Comparison::Equal => order.is_some_and(|order| order.is_eq()),
            Comparison::Unequal => order.is_some_and(|order| order.is_ne()),
            Comparison::Less => order.is_some_and(|order| order.is_lt()),
            Comparison::LessOrEqual => order.is_some_and(|order| order.is_le()),
            Comparison::Greater => order.is_some_and(|order| order.is_gt()),
            Comparison::GreaterOrEqual => order.is_some_and(|order| order.is_ge()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_found() {
        let document = json!({
            "spec": {"ports": [{"port": 80, "name": "a"}, {"port": 443, "name": "b"}], "x.y/z": 1},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
        });
        let check = |path: &str, expected: Value| {
            let found = JsonPath::parse(path).and_then(|path| path.find(&document));
            let found = found.map_or(Value::Null, |found| json!(found));
            assert_eq!(found, expected, "{path}");
        };
        check(".spec.ports[0].port", json!([80]));
        check(".spec.ports[-1].port", json!([443]));
        check(".spec.ports[*].port", json!([80, 443]));
        check(".spec.ports[0:1].name", json!(["a"]));
        check(".spec.ports[7].port", Value::Null);
        check(r".spec.x\.y/z", json!([1]));
        check(".spec['x.y/z']", json!([1]));
        check(".nothing.here", json!([]));
        check("..port", json!([80, 443]));
        check(
            r#".status.conditions[?(@.type=="Ready")].status"#,
            json!(["True"]),
        );
        check(".spec.ports[?(@.port > 100)].name", json!(["b"]));
        check(".status.conditions[?(@.nope)].status", json!([]));
        check(".spec[", Value::Null);
    }
}
