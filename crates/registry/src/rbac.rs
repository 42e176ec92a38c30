//! Roles and their bindings.

use api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_valid_path_segment_name, name_is_dns_subdomain, name_is_path_segment};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::internal::shown;
use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::{label_selector, table};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles.
pub struct Roles;

impl Rules for Roles {
    type Object = Role;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn validate(role: &Role) -> ErrorList {
        validate_rules(&role.rules, true)
    }

    fn row(role: &Role, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&role.metadata)
    }
}

/// ClusterRoles.
pub struct ClusterRoles;

impl Rules for ClusterRoles {
    type Object = ClusterRole;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn validate(role: &ClusterRole) -> ErrorList {
        let mut errors = validate_rules(&role.rules, false);
        let Some(aggregation) = &role.aggregation_rule else {
            return errors;
        };
        let path = Path::new("aggregationRule").child("clusterRoleSelectors");
        if aggregation.cluster_role_selectors.is_empty() {
            let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.push(Error::required(&path, detail));
        }
        for (index, selector) in aggregation.cluster_role_selectors.iter().enumerate() {
            let wrong = label_selector::validate(selector, &path.index(index));
            let unusable = !wrong.is_empty() || api::selector::from_label_selector(selector).is_err();
            errors.extend(wrong);
            if unusable {
                // Upstream shows the parsed selector, of which there is none.
                let detail = "invalid label selector.";
                errors.push(Error::invalid(&path.index(index), None::<String>, detail));
            }
        }
        errors
    }

    fn row(role: &ClusterRole, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&role.metadata)
    }
}

fn validate_rules(rules: &[PolicyRule], namespaced: bool) -> ErrorList {
    let path = Path::new("rules");
    rules
        .iter()
        .enumerate()
        .flat_map(|(index, rule)| validate_rule(rule, namespaced, &path.index(index)))
        .collect()
}

fn validate_rule(rule: &PolicyRule, namespaced: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if rule.verbs.is_empty() {
        errors.push(Error::required(
            &path.child("verbs"),
            "verbs must contain at least one value",
        ));
    }
    if !rule.non_resource_urls.is_empty() {
        let (path, urls) = (path.child("nonResourceURLs"), rule.non_resource_urls.as_slice());
        if namespaced {
            errors.push(Error::invalid(
                &path,
                urls,
                "namespaced rules cannot apply to non-resource URLs",
            ));
        }
        if !(rule.api_groups.is_empty() && rule.resources.is_empty() && rule.resource_names.is_empty()) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(Error::invalid(&path, urls, detail));
        }
        return errors;
    }
    if rule.api_groups.is_empty() {
        let detail = "resource rules must supply at least one api group";
        errors.push(Error::required(&path.child("apiGroups"), detail));
    }
    if rule.resources.is_empty() {
        let detail = "resource rules must supply at least one resource";
        errors.push(Error::required(&path.child("resources"), detail));
    }
    errors
}

/// RoleBindings.
pub struct RoleBindings;

impl Rules for RoleBindings {
    type Object = RoleBinding;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn default(binding: &mut RoleBinding) {
        default_binding(&mut binding.role_ref, &mut binding.subjects);
    }

    fn validate(binding: &RoleBinding) -> ErrorList {
        validate_binding(&binding.role_ref, &binding.subjects, true)
    }

    fn validate_update(_cx: &Context<'_>, binding: &RoleBinding, old: &RoleBinding) -> ErrorList {
        let mut errors = Self::validate(binding);
        errors.extend(validate_same_role(&binding.role_ref, &old.role_ref));
        errors
    }

    fn row(binding: &RoleBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::binding(&binding.metadata, &binding.role_ref, &binding.subjects, now)
    }
}

/// ClusterRoleBindings.
pub struct ClusterRoleBindings;

impl Rules for ClusterRoleBindings {
    type Object = ClusterRoleBinding;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_path_segment(name, prefix)
    }

    fn default(binding: &mut ClusterRoleBinding) {
        default_binding(&mut binding.role_ref, &mut binding.subjects);
    }

    fn validate(binding: &ClusterRoleBinding) -> ErrorList {
        validate_binding(&binding.role_ref, &binding.subjects, false)
    }

    fn validate_update(
        _cx: &Context<'_>,
        binding: &ClusterRoleBinding,
        old: &ClusterRoleBinding,
    ) -> ErrorList {
        let mut errors = Self::validate(binding);
        errors.extend(validate_same_role(&binding.role_ref, &old.role_ref));
        errors
    }

    fn row(binding: &ClusterRoleBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::binding(&binding.metadata, &binding.role_ref, &binding.subjects, now)
    }
}

fn default_binding(role: &mut RoleRef, subjects: &mut [Subject]) {
    if role.api_group.is_empty() {
        role.api_group = GROUP.to_owned();
    }
    for subject in subjects {
        if subject.api_group.is_empty() && matches!(subject.kind.as_str(), "User" | "Group") {
            subject.api_group = GROUP.to_owned();
        }
    }
}

fn validate_binding(role: &RoleRef, subjects: &[Subject], namespaced: bool) -> ErrorList {
    let path = Path::new("roleRef");
    let mut errors = ErrorList::new();
    if role.api_group != GROUP {
        errors.push(Error::not_supported(
            &path.child("apiGroup"),
            &role.api_group,
            &[GROUP],
        ));
    }
    let kinds: &[&str] = if namespaced {
        &["Role", "ClusterRole"]
    } else {
        &["ClusterRole"]
    };
    if !kinds.contains(&role.kind.as_str()) {
        errors.push(Error::not_supported(&path.child("kind"), &role.kind, kinds));
    }
    let name = path.child("name");
    if role.name.is_empty() {
        errors.push(Error::required(&name, ""));
    } else {
        errors.extend(messages(
            &name,
            &role.name,
            is_valid_path_segment_name(&role.name),
        ));
    }
    let path = Path::new("subjects");
    let subjects = subjects.iter().enumerate();
    errors.extend(
        subjects.flat_map(|(index, subject)| validate_subject(subject, namespaced, &path.index(index))),
    );
    errors
}

fn validate_subject(subject: &Subject, namespaced: bool, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, group) = (path.child("name"), path.child("apiGroup"));
    if subject.name.is_empty() {
        errors.push(Error::required(&name, ""));
    }
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                errors.extend(messages(
                    &name,
                    &subject.name,
                    name_is_dns_subdomain(&subject.name, false),
                ));
            }
            if !subject.api_group.is_empty() {
                errors.push(Error::not_supported(&group, &subject.api_group, &[""]));
            }
            if !namespaced && subject.namespace.is_empty() {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" if subject.api_group != GROUP => {
            errors.push(Error::not_supported(&group, &subject.api_group, &[GROUP]));
        }
        "User" | "Group" => {}
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(Error::not_supported(&path.child("kind"), other, &kinds));
        }
    }
    errors
}

/// Whoever may change a binding must not give it another role.
fn validate_same_role(new: &RoleRef, old: &RoleRef) -> Option<Error> {
    (new != old).then(|| Error::invalid(&Path::new("roleRef"), shown(new), "cannot change roleRef"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;

    #[track_caller]
    fn check<R: Rules>(json: &str, expected: &[&str]) {
        let mut object = R::Object::from_json(json.as_bytes()).unwrap();
        R::default(&mut object);
        let errors: Vec<String> = R::validate(&object).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn says_what_is_wrong() {
        check::<Roles>(
            r#"{"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}"#,
            &[],
        );
        check::<Roles>(
            r#"{"rules":[{"verbs":["get"],"nonResourceURLs":["/x"]}]}"#,
            &[
                "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
            ],
        );
        check::<ClusterRoles>(
            r#"{"rules":[{}]}"#,
            &[
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
        );
        let subjects = r#""subjects":[{"kind":"ServiceAccount","name":"a"},{"kind":"User","name":"u"}]"#;
        check::<ClusterRoleBindings>(
            &format!(r#"{{"roleRef":{{"kind":"ClusterRole","name":"r"}},{subjects}}}"#),
            &["subjects[0].namespace: Required value"],
        );
        check::<RoleBindings>(
            &format!(r#"{{"roleRef":{{"kind":"x"}},{subjects}}}"#),
            &[
                "roleRef.kind: Unsupported value: \"x\": supported values: \"Role\", \"ClusterRole\"",
                "roleRef.name: Required value",
            ],
        );
    }
}
