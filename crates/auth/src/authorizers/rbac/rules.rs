//! Does a rule allow a request?

use api::rbac::v1::PolicyRule;

use crate::Attributes;

const ALL: &str = "*";

pub fn allows(rule: &PolicyRule, attributes: &Attributes) -> bool {
    if !has(&rule.verbs, &attributes.verb) {
        return false;
    }
    if !attributes.resource_request {
        return allows_path(&rule.non_resource_urls, &attributes.path);
    }
    has(&rule.api_groups, &attributes.api_group)
        && allows_resource(rule, attributes)
        && allows_name(rule, attributes)
}

fn has(values: &[String], value: &str) -> bool {
    values.iter().any(|allowed| allowed == ALL || allowed == value)
}

/// Resources are named `pods`, `pods/log`, `*` (with subresources), `*/scale`.
fn allows_resource(rule: &PolicyRule, attributes: &Attributes) -> bool {
    let (resource, subresource) = (attributes.resource.as_str(), attributes.subresource.as_str());
    rule.resources
        .iter()
        .any(|allowed| match allowed.split_once('/') {
            _ if allowed == ALL => true,
            None => subresource.is_empty() && allowed == resource,
            Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == ALL || of == resource),
        })
}

fn allows_name(rule: &PolicyRule, attributes: &Attributes) -> bool {
    rule.resource_names.is_empty() || rule.resource_names.contains(&attributes.name)
}

fn allows_path(allowed: &[String], path: &str) -> bool {
    allowed.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.trim_end_matches('*')),
        None => allowed == path,
    })
}
