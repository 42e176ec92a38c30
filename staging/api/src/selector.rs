//! Label selectors of API objects, compiled.

use apimachinery::field::Path;
use apimachinery::labels::{Error, Operator, Requirement, Selector};

use crate::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// The selector that `matchLabels` and `matchExpressions` make together; one without either matches everything.
///
/// # Errors
/// A key, operator or value that validation would not let through.
pub fn from_label_selector(selector: &LabelSelector) -> Result<Selector, Error> {
    let path = Path::default();
    let labels = selector.match_labels.iter();
    let equals =
        labels.map(|(key, value)| Requirement::new(key, Operator::Equals, vec![value.clone()], &path));
    let expressions = selector
        .match_expressions
        .iter()
        .map(|expression| requirement(expression, &path));
    let requirements: Vec<_> = equals.chain(expressions).collect::<Result<_, _>>()?;
    Ok(Selector::from_requirements(requirements))
}

fn requirement(expression: &LabelSelectorRequirement, path: &Path) -> Result<Requirement, Error> {
    let operator = match expression.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => {
            return Err(Error::Syntax(format!(
                "\"{other}\" is not a valid label selector operator"
            )));
        }
    };
    Requirement::new(&expression.key, operator, expression.values.clone(), path)
}

/// A selector in the words of upstream's events and conditions.
pub fn shown(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else {
        return "nil".to_owned();
    };
    let labels: String = selector
        .match_labels
        .iter()
        .map(|(key, value)| format!("{key}: {value},"))
        .collect();
    let expressions: String = selector
        .match_expressions
        .iter()
        .map(|expression| {
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
                expression.key,
                expression.operator,
                expression.values.join(" ")
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_must_hold() {
        let mut selector = LabelSelector::default();
        assert!(from_label_selector(&selector).is_ok_and(|s| s.is_everything()));
        selector.match_labels.insert("app".into(), "web".into());
        selector.match_expressions.push(LabelSelectorRequirement {
            key: "tier".into(),
            operator: "NotIn".into(),
            values: vec!["test".into()],
        });
        let compiled = from_label_selector(&selector).expect("valid");
        let check = |labels: &[(&str, &str)], expected: bool| {
            let labels = labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            assert_eq!(compiled.matches(&labels), expected, "{labels:?}");
        };
        check(&[("app", "web")], true);
        check(&[("app", "web"), ("tier", "test")], false);
        check(&[("tier", "prod")], false);
        selector.match_expressions[0].operator = "Near".into();
        assert!(from_label_selector(&selector).is_err());
    }
}
