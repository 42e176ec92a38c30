//! Whether a node is one of those that a pod selects.

use crate::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

/// Whether the node satisfies the pod's `nodeSelector` and its required node affinity.
pub fn pod_matches_node(spec: &PodSpec, node: &Node) -> bool {
    let labels = &node.metadata.labels;
    if !spec
        .node_selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
    {
        return false;
    }
    let affinity = spec
        .affinity
        .as_deref()
        .and_then(|affinity| affinity.node_affinity.as_deref());
    match affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_deref()) {
        None => true,
        Some(selector) => selector_matches(selector, node),
    }
}

/// Whether any term matches; a selector without terms matches nothing.
pub fn selector_matches(selector: &NodeSelector, node: &Node) -> bool {
    selector
        .node_selector_terms
        .iter()
        .any(|term| term_matches(term, node))
}

/// Whether every requirement of the term holds; a term without requirements matches nothing.
pub fn term_matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let empty = term.match_expressions.is_empty() && term.match_fields.is_empty();
    let label = |key: &str| node.metadata.labels.get(key).map(String::as_str);
    let field = |key: &str| (key == "metadata.name").then_some(node.metadata.name.as_str());
    !empty
        && term
            .match_expressions
            .iter()
            .all(|requirement| holds(requirement, label(&requirement.key)))
        && term
            .match_fields
            .iter()
            .all(|requirement| holds(requirement, field(&requirement.key)))
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = |value: &str| requirement.values.iter().any(|wanted| wanted == value);
    let compared = || {
        let bound: i64 = requirement.values.first()?.parse().ok()?;
        Some((value?.parse::<i64>().ok()?, bound))
    };
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(value, bound)| value > bound),
        "Lt" => compared().is_some_and(|(value, bound)| value < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_hold_by_operator() {
        let check = |key: &str, operator: &str, values: &[&str], expected: bool| {
            let mut node = Node::default();
            node.metadata.labels.insert("disk".into(), "ssd".into());
            node.metadata.labels.insert("cores".into(), "8".into());
            let requirement = NodeSelectorRequirement {
                key: key.into(),
                operator: operator.into(),
                values: values.iter().map(|v| (*v).to_owned()).collect(),
            };
            let term = NodeSelectorTerm {
                match_expressions: vec![requirement],
                match_fields: Vec::new(),
            };
            assert_eq!(
                term_matches(&term, &node),
                expected,
                "{key} {operator} {values:?}"
            );
        };
        check("disk", "In", &["hdd", "ssd"], true);
        check("disk", "NotIn", &["ssd"], false);
        check("absent", "NotIn", &["x"], true);
        check("absent", "Exists", &[], false);
        check("absent", "DoesNotExist", &[], true);
        check("cores", "Gt", &["4"], true);
        check("cores", "Lt", &["8"], false);
        check("disk", "Gt", &["1"], false);
    }

    #[test]
    fn a_term_without_requirements_matches_nothing() {
        assert!(!term_matches(&NodeSelectorTerm::default(), &Node::default()));
        assert!(!selector_matches(&NodeSelector::default(), &Node::default()));
        assert!(pod_matches_node(&PodSpec::default(), &Node::default()));
    }
}
