//! `$(VAR)` references. Upstream: `third_party/forked/golang/expansion`.

use std::collections::BTreeMap;

/// Replaces `$(NAME)` by what `lookup` gives and `$$` by `$`; what it doesn't know stays as it is.
pub fn expand(input: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut output = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        output.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            output.push('$');
            rest = tail;
        } else if let Some((name, tail)) = after.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match lookup(name) {
                Some(value) => output.push_str(&value),
                None => output.push_str(&format!("$({name})")),
            }
            rest = tail;
        } else {
            output.push('$');
            rest = after;
        }
    }
    output.push_str(rest);
    output
}

pub fn expand_all(inputs: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
    inputs
        .iter()
        .map(|input| expand(input, |name| env.get(name).cloned()))
        .collect()
}

/// The names that a text refers to.
pub fn references(input: &str) -> Vec<String> {
    let names = std::cell::RefCell::new(Vec::new());
    expand(input, |name| {
        names.borrow_mut().push(name.to_owned());
        None
    });
    names.into_inner()
}

/// Text for a message: without control characters.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands() {
        let env = BTreeMap::from([
            ("A".to_owned(), "one".to_owned()),
            ("B".to_owned(), "$(A)".to_owned()),
        ]);
        for (input, output) in [
            ("$(A)", "one"),
            ("$(A)-$(A)", "one-one"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$one"),
            ("$(NOPE)", "$(NOPE)"),
            ("$(A", "$(A"),
            ("$A", "$A"),
            ("cost: $", "cost: $"),
            ("$()", "$()"),
            ("a$$b", "a$b"),
        ] {
            assert_eq!(expand(input, |name| env.get(name).cloned()), output, "{input}");
        }
        assert_eq!(references("$(A) $$(B) $(C"), ["A"]);
    }
}
