//! Whether a value is what its schema says, in the words of upstream's validator.
//!
//! An update is forgiven what it leaves as it was: where old and new value are the same, nothing is judged.
//!
//! Upstream: `kube-openapi/pkg/validation/validate`, `apiserver/validation/ratcheting.go`.

use std::collections::HashMap;

use apimachinery::field::{Error, ErrorList, Path, Value as Shown};
use apimachinery::quote::quote;
use serde_json::{Number, Value};

use super::{Additional, Bound, Schema, formats};

/// Errors of a value. `name` is where it stands: empty for a whole object.
pub fn validate(value: &Value, old: Option<&Value>, schema: &Schema, name: &str) -> ErrorList {
    let mut judge = Judge::default();
    judge.visit(value, old, schema, name);
    judge.errors
}

/// A value as an error shows it.
pub fn shown(value: &Value) -> Shown {
    match value {
        Value::String(text) => text.as_str().into(),
        value => value.clone().into(),
    }
}

/// What was found so far. The number of checks that were made tells which of several schemas came closest.
#[derive(Default)]
struct Judge {
    errors: ErrorList,
    checks: usize,
}

/// What a value is called in messages.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn path(name: &str) -> Path {
    match name.trim_start_matches('.') {
        "" => Path::nil(),
        name => Path::new(name.to_owned()),
    }
}

impl Judge {
    fn invalid(&mut self, name: &str, value: impl Into<Shown>, what: &str) {
        let detail = format!("{name} in body {what}");
        self.errors.push(Error::invalid(&path(name), value, detail));
    }

    /// A complaint of several schemas together, which knows no place.
    fn composite(&mut self, why: String) {
        self.errors.push(Error::invalid(&Path::nil(), "", why));
    }

    fn merge(&mut self, other: Judge) {
        self.errors.extend(other.errors);
        self.checks += other.checks;
    }

    fn visit(&mut self, value: &Value, old: Option<&Value>, schema: &Schema, name: &str) {
        if old == Some(value) {
            return;
        }
        self.judge_type(value, schema, name);
        if !value.is_null() {
            self.judge_clauses(value, schema, name);
            match value {
                Value::String(text) => self.judge_text(text, schema, name),
                Value::Number(number) => self.judge_number(number, schema, name),
                Value::Array(items) => self.judge_items(items, old, schema, name),
                _ => {}
            }
        }
        self.judge_enum(value, schema, name);
        if value.is_object() {
            self.judge_members(value, old, schema, name);
        }
        self.checks += 1;
    }

    fn judge_type(&mut self, value: &Value, schema: &Schema, name: &str) {
        let (types, own) = (schema.types(), type_of(value));
        let fits = types.is_empty()
            || types.contains(&own)
            || (own == "integer" && types.contains(&"number"))
            || (own == "null" && schema.nullable);
        self.checks += 1;
        if fits {
            self.checks += 1;
            return;
        }
        let format = schema.limits.format.as_str();
        let (wanted, own) = match value {
            // Of what is no text, the format is what counts.
            Value::Number(number) if !format.is_empty() => (
                format.to_owned(),
                if number.is_f64() { "float64" } else { "int64" },
            ),
            _ => (types.join(","), own),
        };
        let detail = format!("{name} in body must be of type {wanted}: \"{own}\"");
        self.errors.push(Error::type_invalid(&path(name), own, detail));
    }

    fn judge_clauses(&mut self, value: &Value, schema: &Schema, name: &str) {
        let against = |schema: &Schema| {
            let mut judge = Judge::default();
            judge.visit(value, None, schema, name);
            judge
        };
        if !schema.any_of.is_empty() {
            self.judge_any(schema.any_of.iter().map(against), name);
        }
        if !schema.one_of.is_empty() {
            self.judge_one(schema.one_of.iter().map(against), name);
        }
        if !schema.all_of.is_empty() {
            let results: Vec<Judge> = schema.all_of.iter().map(against).collect();
            let valid = results.iter().filter(|result| result.errors.is_empty()).count();
            let all = results.len();
            results.into_iter().for_each(|result| self.merge(result));
            if valid != all {
                let none = if valid == 0 { ". None validated" } else { "" };
                self.composite(format!(
                    "{} must validate all the schemas (allOf){none}",
                    quote(name)
                ));
            }
        }
        if schema
            .not
            .as_deref()
            .is_some_and(|not| against(not).errors.is_empty())
        {
            self.composite(format!("{} must not validate the schema (not)", quote(name)));
        }
        self.checks += 2;
    }

    fn judge_any(&mut self, results: impl Iterator<Item = Judge>, name: &str) {
        let mut best: Option<Judge> = None;
        for result in results {
            if result.errors.is_empty() {
                self.checks += result.checks;
                return;
            }
            if best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        self.composite(format!(
            "{} must validate at least one schema (anyOf)",
            quote(name)
        ));
        best.into_iter().for_each(|best| self.merge(best));
    }

    fn judge_one(&mut self, results: impl Iterator<Item = Judge>, name: &str) {
        let (mut valid, mut first, mut best) = (0, None, None::<Judge>);
        for result in results {
            if result.errors.is_empty() {
                valid += 1;
                best = None;
                first = first.or(Some(result));
            } else if valid == 0 && best.as_ref().is_none_or(|best| result.checks > best.checks) {
                best = Some(result);
            }
        }
        if valid == 1 {
            first.into_iter().for_each(|first| self.merge(first));
            return;
        }
        let found = match valid {
            0 => "Found none valid".to_owned(),
            valid => format!("Found {valid} valid alternatives"),
        };
        self.composite(format!(
            "{} must validate one and only one schema (oneOf). {found}",
            quote(name)
        ));
        best.into_iter().for_each(|best| self.merge(best));
    }

    fn judge_text(&mut self, text: &str, schema: &Schema, name: &str) {
        let limits = &schema.limits;
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        // The first limit that does not hold is the one that is told.
        if let Some(most) = limits.max_length.filter(|most| length > *most) {
            let most = usize::try_from(most).unwrap_or(0);
            self.errors.push(Error::too_long(&path(name), most));
        } else if let Some(least) = limits.min_length.filter(|least| length < *least) {
            self.invalid(name, text, &format!("should be at least {least} chars long"));
        } else if let Some(pattern) = &limits.pattern {
            match &pattern.regex {
                Some(regex) if regex.is_match(text) => {}
                Some(_) => self.invalid(name, text, &format!("should match '{}'", pattern.text)),
                None => {
                    let what = format!("should match '{}, but pattern is invalid'", pattern.text);
                    self.invalid(name, text, &what);
                }
            }
        }
        self.checks += 1;
        let format = limits.format.as_str();
        if !format.is_empty() {
            self.checks += 1;
            if !formats::is_valid(format, text) {
                let detail = format!("{name} in body must be of type {format}: {}", quote(text));
                self.errors.push(Error::type_invalid(&path(name), text, detail));
            }
        }
    }

    fn judge_number(&mut self, number: &Number, schema: &Schema, name: &str) {
        let limits = &schema.limits;
        let value = number.as_f64().unwrap_or_default();
        if schema.kind == "integer"
            && limits.format == "int32"
            && i32::try_from(number.as_i64().unwrap_or(i64::MAX)).is_err()
        {
            self.composite(format!(
                "Checked value must be of type integer with format int32 in {name}"
            ));
        }
        let shown = || Value::Number(number.clone());
        match limits.multiple_of {
            // Integers are divided by integers.
            Some(step) if !number.is_f64() && step < 1.0 => {
                let detail = format!("factor MultipleOf declared for {name} must be positive: 0");
                self.errors.push(Error::invalid(&path(name), 0, detail));
            }
            Some(step) if !is_multiple(number, step) => {
                let what = format!("should be a multiple of {}", plain(step));
                self.invalid(name, shown(), &what);
            }
            _ => {}
        }
        match limits.minimum {
            Some(Bound {
                value: least,
                exclusive: true,
            }) if value <= least => {
                self.invalid(name, shown(), &format!("should be greater than {}", plain(least)));
            }
            Some(Bound { value: least, .. }) if value < least => {
                let what = format!("should be greater than or equal to {}", plain(least));
                self.invalid(name, shown(), &what);
            }
            _ => {}
        }
        match limits.maximum {
            Some(Bound {
                value: most,
                exclusive: true,
            }) if value >= most => {
                self.invalid(name, shown(), &format!("should be less than {}", plain(most)));
            }
            Some(Bound { value: most, .. }) if value > most => {
                let what = format!("should be less than or equal to {}", plain(most));
                self.invalid(name, shown(), &what);
            }
            _ => {}
        }
        self.checks += 2;
    }

    fn judge_items(&mut self, items: &[Value], old: Option<&Value>, schema: &Schema, name: &str) {
        let limits = &schema.limits;
        let old = old.and_then(Value::as_array);
        if let Some(inner) = &schema.items {
            let old = old
                .filter(|_| schema.list_type == "map")
                .map(|old| by_keys(old, schema));
            for (index, item) in items.iter().enumerate() {
                let find = |old: &HashMap<_, _>| old.get(&keys_of(item, schema)).copied();
                let before = old.as_ref().and_then(find);
                self.visit(item, before, inner, &format!("{name}[{index}]"));
            }
        }
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if let Some(least) = limits.min_items.filter(|least| count < *least) {
            self.invalid(name, count, &format!("should have at least {least} items"));
        }
        if let Some(most) = limits.max_items.filter(|most| count > *most) {
            let most = usize::try_from(most).unwrap_or(0);
            self.errors.push(Error::too_many(&path(name), items.len(), most));
        }
        let is_repeated = |(index, item): (usize, &Value)| items[..index].contains(item);
        if limits.unique_items && items.iter().enumerate().any(is_repeated) {
            self.invalid(name, "", "shouldn't contain duplicates");
        }
        self.checks += 2;
    }

    fn judge_enum(&mut self, value: &Value, schema: &Schema, name: &str) {
        self.checks += 1;
        let known = &schema.limits.enum_;
        if known.is_empty() || known.contains(value) || (value.is_null() && schema.nullable) {
            return;
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let known: Vec<String> = known.iter().map(text).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        self.errors
            .push(Error::not_supported(&path(name), shown(value), &known));
    }

    fn judge_members(&mut self, value: &Value, old: Option<&Value>, schema: &Schema, name: &str) {
        let Some(members) = value.as_object() else { return };
        let limits = &schema.limits;
        let count = i64::try_from(members.len()).unwrap_or(i64::MAX);
        if let Some(least) = limits.min_properties.filter(|least| count < *least) {
            self.invalid(name, count, &format!("should have at least {least} properties"));
        }
        if let Some(most) = limits.max_properties.filter(|most| count > *most) {
            let most = usize::try_from(most).unwrap_or(0);
            self.errors
                .push(Error::too_many(&path(name), members.len(), most));
        }
        for (member, inner) in members {
            let before = old.and_then(|old| old.get(member));
            match (schema.properties.get(member), &schema.additional) {
                (Some(property), _) if name.is_empty() => self.visit(inner, before, property, member),
                (Some(property), _) => self.visit(inner, before, property, &format!("{name}.{member}")),
                (None, Additional::Of(extra)) => {
                    self.visit(inner, before, extra, &format!("{name}.{member}"));
                }
                (None, Additional::None) => {
                    let detail = format!("{name}.{member} in body is a forbidden property");
                    self.errors.push(Error::invalid(&path(name), "", detail));
                }
                (None, _) => {}
            }
        }
        for required in &schema.required {
            if !members.contains_key(required) {
                let at = path(&format!("{name}.{required}"));
                self.errors.push(Error::required(&at, ""));
            }
        }
        self.checks += 1;
    }
}

/// The items of an old list by their keys. Of several with the same, the first counts.
fn by_keys<'a>(old: &'a [Value], schema: &Schema) -> HashMap<String, &'a Value> {
    let mut found = HashMap::new();
    for item in old {
        found.entry(keys_of(item, schema)).or_insert(item);
    }
    found
}

/// The keys of an item of a list that is a map, as one text.
fn keys_of(item: &Value, schema: &Schema) -> String {
    let properties = schema.items.as_ref().map(|items| &items.properties);
    let mut text = String::new();
    for key in &schema.list_keys {
        let default = || properties?.get(key)?.default.as_ref();
        if let Some(value) = item.get(key).or_else(default) {
            text.push_str(&value.to_string());
        }
        text.push('\0');
    }
    text
}

fn is_multiple(number: &Number, step: f64) -> bool {
    if let Some(value) = number.as_i64() {
        return value.checked_rem(step as i64) == Some(0);
    }
    let times = number.as_f64().unwrap_or_default() / step;
    (times - times.round()).abs() < 1e-9 * times.abs().max(1.0)
}

/// A number of a schema, without a fraction if it has none.
fn plain(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        format!("{number:.0}")
    } else {
        number.to_string()
    }
}
