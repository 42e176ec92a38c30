//! What else the conditions of a definition say: whether its schemas are structural, and whether Kubernetes' own groups
//! are used with approval.
//!
//! Pure. Upstream: `apiextensions-apiserver/pkg/controller/{nonstructuralschema,apiapproval}`.

use api::apiextensions::v1::{CustomResourceDefinition, CustomResourceDefinitionCondition as Condition};
use registry::extensions::approval::{self, Approval};
use registry::extensions::violations;

use crate::conditions::{APPROVAL_POLICY_CONFORMANT, NON_STRUCTURAL_SCHEMA, condition, find, is_same};

/// Conditions that a definition does not say so yet, by type; `None`: it is to have none of that type.
pub fn outdated(definition: &CustomResourceDefinition) -> Vec<(&'static str, Option<Condition>)> {
    let mut wanted = vec![(NON_STRUCTURAL_SCHEMA, structure(definition))];
    // A group never changes: who has the condition keeps having it.
    if let Some(condition) = approved(definition) {
        wanted.push((APPROVAL_POLICY_CONFORMANT, Some(condition)));
    }
    wanted.retain(|(kind, wanted)| match (find(definition, kind), wanted) {
        (Some(known), Some(wanted)) => !is_same(known, wanted),
        (known, wanted) => known.is_some() != wanted.is_some(),
    });
    wanted
}

fn structure(definition: &CustomResourceDefinition) -> Option<Condition> {
    match violations(definition) {
        Err(why) => Some(Condition {
            status: "Unknown".to_owned(),
            ..condition(NON_STRUCTURAL_SCHEMA, true, "StructuralError", &why)
        }),
        Ok(errors) => {
            let mut lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            lines.dedup();
            let message = match &lines[..] {
                [] => return None,
                [one] => one.clone(),
                more => format!("[{}]", more.join(", ")),
            };
            Some(condition(NON_STRUCTURAL_SCHEMA, true, "Violations", &message))
        }
    }
}

fn approved(definition: &CustomResourceDefinition) -> Option<Condition> {
    let approval = approval::of(definition)?;
    let reason = match approval {
        Approval::Missing => "MissingAnnotation",
        Approval::Bypassed => "UnapprovedAnnotation",
        Approval::Approved => "ApprovedAnnotation",
        Approval::Invalid => "InvalidAnnotation",
    };
    let message = approval.explain(approval::stated(definition));
    let holds = approval == Approval::Approved;
    Some(condition(APPROVAL_POLICY_CONFORMANT, holds, reason, &message))
}

#[cfg(test)]
mod tests {
    use api::apiextensions::v1::CustomResourceDefinitionSpec;

    use super::*;

    fn definition(group: &str, annotation: &str, preserves: bool) -> CustomResourceDefinition {
        let mut definition = CustomResourceDefinition {
            spec: CustomResourceDefinitionSpec {
                group: group.to_owned(),
                preserve_unknown_fields: preserves,
                ..CustomResourceDefinitionSpec::default()
            },
            ..CustomResourceDefinition::default()
        };
        let annotations = &mut definition.metadata.annotations;
        annotations.insert(approval::ANNOTATION.to_owned(), annotation.to_owned());
        definition
    }

    fn lines(definition: &CustomResourceDefinition) -> Vec<String> {
        let line = |(kind, wanted): (&str, Option<Condition>)| match wanted {
            Some(Condition {
                status,
                reason,
                message,
                ..
            }) => format!("{kind}={status} {reason}: {message}"),
            None => format!("no {kind}"),
        };
        outdated(definition).into_iter().map(line).collect()
    }

    #[test]
    fn own_groups_are_to_be_approved() {
        let check = |group: &str, annotation: &str, expected: &str| {
            let lines = lines(&definition(group, annotation, false));
            let expected: Vec<String> = match expected {
                "" => Vec::new(),
                expected => vec![format!("{APPROVAL_POLICY_CONFORMANT}={expected}")],
            };
            assert_eq!(lines, expected, "{group} {annotation}");
        };
        let must = "protected groups must have approval annotation \"api-approved.kubernetes.io\"";
        let see = "see https://github.com/kubernetes/enhancements/pull/1111";
        check("example.com", "", "");
        check("notk8s.io", "", "");
        check("k8s.io", "", &format!("False MissingAnnotation: {must}, {see}"));
        check(
            "x.k8s.io",
            "https://github.com/k/k/pull/1",
            "True ApprovedAnnotation: approved in https://github.com/k/k/pull/1",
        );
        check(
            "x.kubernetes.io",
            "unapproved, a test",
            "False UnapprovedAnnotation: not approved: \"unapproved, a test\"",
        );
        check(
            "x.kubernetes.io",
            "nonsense",
            &format!(
                "False InvalidAnnotation: {must} with either a URL or a reason starting with \"unapproved\", {see}"
            ),
        );
    }

    #[test]
    fn schemas_are_to_be_structural_and_what_stands_is_left_alone() {
        let mut loose = definition("example.com", "", true);
        let expected = "NonStructuralSchema=True Violations: spec.preserveUnknownFields: Invalid value: true: must be false";
        assert_eq!(lines(&loose), [expected]);
        let conditions = outdated(&loose).into_iter().filter_map(|(_, wanted)| wanted);
        loose.status.conditions = conditions.collect();
        assert_eq!(lines(&loose), [""; 0]);
        loose.spec.preserve_unknown_fields = false;
        assert_eq!(lines(&loose), ["no NonStructuralSchema"]);
    }
}
