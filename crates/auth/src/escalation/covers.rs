//! Do some rules allow everything that others do?

use api::rbac::v1::PolicyRule;

const ALL: &str = "*";

/// The atomic parts of `wanted` that no rule of `held` covers. Each part has one verb, one group and
/// resource (or one path), and at most one name.
pub fn uncovered(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let parts = wanted.iter().flat_map(break_down);
    parts
        .filter(|part| !held.iter().any(|rule| covers(rule, part)))
        .collect()
}

/// Joins rules that differ in their verb alone.
pub fn compact(rules: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut joined: Vec<PolicyRule> = Vec::new();
    for rule in rules {
        let same = joined.iter_mut().find(|other| {
            other.api_groups == rule.api_groups
                && other.resources == rule.resources
                && other.resource_names == rule.resource_names
                && other.non_resource_urls == rule.non_resource_urls
                && !rule.resources.is_empty()
        });
        match same {
            Some(other) => other.verbs.extend(rule.verbs),
            None => joined.push(rule),
        }
    }
    joined
}

fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |value: &String| vec![value.clone()];
    let mut parts = Vec::new();
    for verb in &rule.verbs {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let part = PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    parts.push(part);
                } else {
                    parts.extend(rule.resource_names.iter().map(|name| PolicyRule {
                        resource_names: one(name),
                        ..part.clone()
                    }));
                }
            }
        }
        let paths = rule.non_resource_urls.iter();
        parts.extend(paths.map(|path| PolicyRule {
            verbs: one(verb),
            non_resource_urls: one(path),
            ..PolicyRule::default()
        }));
    }
    parts
}

fn covers(rule: &PolicyRule, part: &PolicyRule) -> bool {
    let all = |held: &[String], wanted: &[String]| {
        held.iter().any(|value| value == ALL) || wanted.iter().all(|value| held.contains(value))
    };
    let names = rule.resource_names.is_empty()
        || (!part.resource_names.is_empty()
            && part
                .resource_names
                .iter()
                .all(|name| rule.resource_names.contains(name)));
    all(&rule.verbs, &part.verbs)
        && all(&rule.api_groups, &part.api_groups)
        && part
            .resources
            .iter()
            .all(|resource| covers_resource(&rule.resources, resource))
        && part
            .non_resource_urls
            .iter()
            .all(|path| covers_path(&rule.non_resource_urls, path))
        && names
}

fn covers_resource(held: &[String], wanted: &str) -> bool {
    let has = |name: &str| held.iter().any(|value| value == name);
    has(ALL)
        || has(wanted)
        || wanted
            .split_once('/')
            .is_some_and(|(_, subresource)| has(&format!("*/{subresource}")))
}

fn covers_path(held: &[String], wanted: &str) -> bool {
    held.iter().any(|path| match path.strip_suffix('*') {
        _ if path == wanted => true,
        Some(prefix) => wanted.starts_with(prefix.trim_end_matches('*')),
        None => false,
    })
}
