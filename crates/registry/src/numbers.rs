//! Numbers and percentages with bounds.

use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::int_or_string::IntOrString;
use apimachinery::validation::is_valid_percent;

use crate::resources::NEGATIVE;

/// An error if a number is negative.
pub fn nonnegative(value: impl Into<i64>, path: &Path) -> Option<Error> {
    let value = value.into();
    (value < 0).then(|| Error::invalid(path, value, NEGATIVE))
}

/// Errors of fields of one struct that may not be negative.
pub fn all_nonnegative<const N: usize>(fields: [(&'static str, i64); N], path: &Path) -> ErrorList {
    fields
        .into_iter()
        .filter_map(|(name, value)| nonnegative(value, &path.child(name)))
        .collect()
}

/// An error if a number is not above zero.
pub fn positive(value: impl Into<i64>, path: &Path) -> Option<Error> {
    let value = value.into();
    (value <= 0).then(|| Error::invalid(path, value, "must be greater than 0"))
}

/// A count that may not exceed another of the same status.
pub fn not_more_than(value: i32, bound: i32, path: &Path, detail: &str) -> Option<Error> {
    (value > bound).then(|| Error::invalid(path, value, detail))
}

/// As errors show it: JSON.
pub fn shown(value: &IntOrString) -> Value {
    match value {
        IntOrString::Int(number) => Value::from(*number),
        IntOrString::String(text) => Value::from(Some(text.as_str())),
    }
}

/// A number that is not negative, or a percentage.
pub fn int_or_percent(value: &IntOrString, path: &Path) -> ErrorList {
    match value {
        IntOrString::Int(number) => nonnegative(*number, path).into_iter().collect(),
        IntOrString::String(text) => is_valid_percent(text)
            .into_iter()
            .map(|message| Error::invalid(path, shown(value), message))
            .collect(),
    }
}

/// The number, or that of the percentage.
pub fn plain_value(value: &IntOrString) -> i64 {
    match value {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(text) => percent(text).unwrap_or_else(|| text.parse().unwrap_or(0)),
    }
}

fn percent(text: &str) -> Option<i64> {
    is_valid_percent(text)
        .is_empty()
        .then(|| text.trim_end_matches('%').parse().unwrap_or(i64::MAX))
}

/// An error for a percentage above 100.
pub fn at_most_100_percent(value: &IntOrString, path: &Path) -> Option<Error> {
    let IntOrString::String(text) = value else {
        return None;
    };
    let excessive = percent(text).is_some_and(|percent| percent > 100);
    excessive.then(|| Error::invalid(path, shown(value), "must not be greater than 100%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages() {
        let path = Path::new("p");
        let text = |text: &str| IntOrString::String(text.to_owned());
        assert_eq!(plain_value(&text("25%")), 25);
        assert!(at_most_100_percent(&text("101%"), &path).is_some());
        assert!(at_most_100_percent(&IntOrString::Int(200), &path).is_none());
        assert_eq!(
            int_or_percent(&text("x"), &path)[0].to_string(),
            "p: Invalid value: \"x\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        );
    }
}
