//! What requests a webhook or policy is for.

use std::collections::BTreeSet;

use admission::expressions::{Compiled, Compiler};
use api::admissionregistration::v1::{MatchCondition, MatchResources, Rule, RuleWithOperations};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_qualified_name, is_valid_path_segment_name};

use crate::label_selector;
use crate::metadata::messages;

const ALL: &str = "*";
const SCOPES: [&str; 3] = ["*", "Cluster", "Namespaced"];
const MUTATED_OPERATIONS: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];
const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MATCH_POLICIES: [&str; 2] = ["Equivalent", "Exact"];
const FAILURE_POLICIES: [&str; 2] = ["Fail", "Ignore"];
const MOST_CONDITIONS: usize = 64;

pub(super) fn default_rule(rule: &mut Rule) {
    rule.scope.get_or_insert_with(|| ALL.to_owned());
}

pub(super) fn default_resources(resources: &mut MatchResources) {
    resources
        .match_policy
        .get_or_insert_with(|| "Equivalent".to_owned());
    resources.namespace_selector.get_or_insert_default();
    resources.object_selector.get_or_insert_default();
    let rules = resources.resource_rules.iter_mut();
    for rule in rules.chain(&mut resources.exclude_resource_rules) {
        default_rule(&mut rule.rule_with_operations.rule);
    }
}

/// An error if a word is given and none of these.
pub(super) fn known(word: Option<&str>, supported: &[&str], path: &Path) -> Option<Error> {
    let word = word.filter(|word| !supported.contains(word))?;
    Some(Error::not_supported(path, word, supported))
}

pub(super) fn failure_policy(policy: Option<&str>, path: &Path) -> Option<Error> {
    known(policy, &FAILURE_POLICIES, &path.child("failurePolicy"))
}

pub(super) fn match_policy(policy: Option<&str>, path: &Path) -> Option<Error> {
    known(policy, &MATCH_POLICIES, &path.child("matchPolicy"))
}

fn has_wildcard(list: &[String]) -> bool {
    list.iter().any(|entry| entry == ALL)
}

fn lone_wildcard(list: &[String], others: &str, path: &Path) -> Option<Error> {
    (list.len() > 1 && has_wildcard(list)).then(|| {
        let detail = format!("if '*' is present, must not specify other {others}");
        Error::invalid(path, list, detail)
    })
}

pub(super) fn validate_rule(rule: &RuleWithOperations, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let at = path.child("operations");
    let operations = &rule.operations;
    errors.extend(operations.is_empty().then(|| Error::required(&at, "")));
    errors.extend(lone_wildcard(operations, "operations", &at));
    for (index, operation) in operations.iter().enumerate() {
        errors.extend(known(Some(operation), &OPERATIONS, &at.index(index)));
    }
    let rule = &rule.rule;
    for (list, field, others) in [
        (&rule.api_groups, "apiGroups", "API groups"),
        (&rule.api_versions, "apiVersions", "API versions"),
    ] {
        let at = path.child(field);
        errors.extend(list.is_empty().then(|| Error::required(&at, "")));
        errors.extend(lone_wildcard(list, others, &at));
    }
    let at = path.child("apiVersions");
    for (index, version) in rule.api_versions.iter().enumerate() {
        errors.extend(version.is_empty().then(|| Error::required(&at.index(index), "")));
    }
    errors.extend(validate_resources(&rule.resources, &path.child("resources")));
    errors.extend(known(rule.scope.as_deref(), &SCOPES, &path.child("scope")));
    errors
}

fn validate_resources(resources: &[String], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.extend(resources.is_empty().then(|| Error::required(path, "")));
    let mut all_subresources_of = BTreeSet::new();
    let mut subresource_of_all = BTreeSet::new();
    let mut without_subresource = false;
    for (index, entry) in resources.iter().enumerate() {
        let at = path.index(index);
        if entry.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        let Some((resource, subresource)) = entry.split_once('/') else {
            without_subresource = entry != ALL;
            continue;
        };
        let mut covered = |by: String| {
            let detail = format!("if '{by}' is present, must not specify {entry}");
            errors.push(Error::invalid(&at, entry.as_str(), detail));
        };
        if all_subresources_of.contains(resource) {
            covered(format!("{resource}/*"));
        }
        if subresource_of_all.contains(subresource) {
            covered(format!("*/{subresource}"));
        }
        if subresource == ALL {
            all_subresources_of.insert(resource);
        }
        if resource == ALL {
            subresource_of_all.insert(subresource);
        }
    }
    if resources.len() > 1 && resources.iter().any(|entry| entry == "*/*") {
        let detail = "if '*/*' is present, must not specify other resources";
        errors.push(Error::invalid(path, resources, detail));
    }
    if has_wildcard(resources) && without_subresource {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(Error::invalid(path, resources, detail));
    }
    errors
}

pub(super) fn validate_match_resources(resources: &MatchResources, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.extend(match_policy(resources.match_policy.as_deref(), path));
    for (selector, field) in [
        (&resources.namespace_selector, "namespaceSelector"),
        (&resources.object_selector, "objectSelector"),
    ] {
        if let Some(selector) = selector {
            errors.extend(label_selector::validate(selector, &path.child(field)));
        }
    }
    for (rules, field) in [
        (&resources.resource_rules, "resourceRules"),
        (&resources.exclude_resource_rules, "excludeResourceRules"),
    ] {
        for (index, rule) in rules.iter().enumerate() {
            let path = path.child(field).index(index);
            let mut seen = BTreeSet::new();
            for (index, name) in rule.resource_names.iter().enumerate() {
                let at = path.child("resourceNames").index(index);
                errors.extend(messages(&at, name, is_valid_path_segment_name(name)));
                if !seen.insert(name) {
                    errors.push(Error::duplicate(&at, name.as_str()));
                }
            }
            errors.extend(validate_rule(&rule.rule_with_operations, &path));
        }
    }
    errors
}

/// Errors of rules of policies that mutate: deletions leave nothing to mutate.
pub(super) fn validate_mutated_operations(resources: &MatchResources, path: &Path) -> ErrorList {
    let at = path.child("resourceRules").child("operations");
    let rules = resources.resource_rules.iter();
    let operations = rules.flat_map(|rule| &rule.rule_with_operations.operations);
    operations
        .filter_map(|operation| known(Some(operation), &MUTATED_OPERATIONS, &at))
        .collect()
}

/// An error if an expression is none.
pub(super) fn compiles(expression: &str, compiled: Compiled, path: &Path) -> Option<Error> {
    let error = compiled.err()?;
    Some(Error::invalid(path, expression, error))
}

/// `parameters`: whether conditions may name them.
pub(super) fn validate_conditions(conditions: &[MatchCondition], parameters: bool, path: &Path) -> ErrorList {
    if conditions.is_empty() {
        return ErrorList::new();
    }
    let compiler = Compiler::new(parameters);
    let mut errors = ErrorList::new();
    if conditions.len() > MOST_CONDITIONS {
        errors.push(Error::too_many(path, conditions.len(), MOST_CONDITIONS));
    }
    let mut seen = BTreeSet::new();
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        let (name, at) = (&condition.name, path.child("name"));
        let expression = path.child("expression");
        match condition.expression.trim() {
            "" => errors.push(Error::required(&expression, "")),
            text => errors.extend(compiles(text, compiler.condition(text), &expression)),
        }
        if name.is_empty() {
            errors.push(Error::required(&at, ""));
            continue;
        }
        errors.extend(messages(&at, name, is_qualified_name(name)));
        if !seen.insert(name) {
            errors.push(Error::duplicate(&at, name.as_str()));
        }
    }
    errors
}
