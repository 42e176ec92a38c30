//! Flow schemas: which requests have which priority level.

use api::flowcontrol::v1::{
    FlowSchema, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{name_is_dns_label, name_is_dns_subdomain};
use jiff::Timestamp;
use serde_json::Value;

use super::EXEMPT_NAME;
use crate::internal::shown;
use crate::metadata::messages;
use crate::rules::Rules;
use crate::table;

const PRECEDENCE: i32 = 1000;
const MAX_PRECEDENCE: i32 = 10000;
const DISTINGUISHERS: [&str; 2] = ["ByNamespace", "ByUser"];
const SUBJECT_KINDS: [&str; 3] = ["Group", "ServiceAccount", "User"];
const VERBS: [&str; 9] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "proxy",
    "update",
    "watch",
];
const ALL: &str = "*";

/// FlowSchemas.
pub struct FlowSchemas;

impl Rules for FlowSchemas {
    type Object = FlowSchema;
    const STATUS_KEEPS_METADATA: bool = true;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(schema: &mut FlowSchema) {
        if schema.spec.matching_precedence == 0 {
            schema.spec.matching_precedence = PRECEDENCE;
        }
    }

    fn validate(schema: &FlowSchema) -> ErrorList {
        let (spec, path) = (&schema.spec, Path::new("spec"));
        let mut errors = ErrorList::new();
        let precedence = spec.matching_precedence;
        let mut wrong = |detail: &str| {
            errors.push(Error::invalid(
                &path.child("matchingPrecedence"),
                precedence,
                detail,
            ));
        };
        if precedence <= 0 {
            wrong("must be a positive value");
        }
        if precedence > MAX_PRECEDENCE {
            wrong(&format!("must not be greater than {MAX_PRECEDENCE}"));
        }
        if precedence == 1 && schema.metadata.name != EXEMPT_NAME {
            wrong("only the schema named 'exempt' may have matchingPrecedence 1");
        }
        if let Some(method) = &spec.distinguisher_method
            && !DISTINGUISHERS.contains(&method.type_.as_str())
        {
            let at = path.child("distinguisherMethod").child("type");
            errors.push(Error::not_supported(&at, shown(&**method), &DISTINGUISHERS));
        }
        let at = path.child("priorityLevelConfiguration").child("name");
        let level = &spec.priority_level_configuration.name;
        if level.is_empty() {
            errors.push(Error::required(&at, "must reference a priority level"));
        } else {
            errors.extend(messages(&at, level, name_is_dns_subdomain(level, false)));
        }
        for (index, rule) in spec.rules.iter().enumerate() {
            errors.extend(validate_rules(rule, &path.child("rules").index(index)));
        }
        errors
    }

    fn validate_status_update(schema: &FlowSchema, _old: &FlowSchema) -> ErrorList {
        let conditions = schema.status.conditions.iter();
        super::validate_condition_types(conditions.map(|condition| condition.type_.as_str()))
    }

    fn row(object: &FlowSchema, now: Timestamp) -> Vec<Value> {
        table::cluster::flow_schema(object, now)
    }
}

fn validate_rules(rules: &PolicyRulesWithSubjects, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let at = path.child("subjects");
    if rules.subjects.is_empty() {
        errors.push(Error::required(&at, "subjects must contain at least one value"));
    }
    for (index, subject) in rules.subjects.iter().enumerate() {
        errors.extend(validate_subject(subject, &at.index(index)));
    }
    if rules.resource_rules.is_empty() && rules.non_resource_rules.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(Error::required(path, detail));
    }
    for (index, rule) in rules.resource_rules.iter().enumerate() {
        errors.extend(validate_resource_rule(
            rule,
            &path.child("resourceRules").index(index),
        ));
    }
    for (index, rule) in rules.non_resource_rules.iter().enumerate() {
        errors.extend(validate_path_rule(
            rule,
            &path.child("nonResourceRules").index(index),
        ));
    }
    errors
}

fn validate_subject(subject: &Subject, path: &Path) -> ErrorList {
    let kind = subject.kind.as_str();
    if !SUBJECT_KINDS.contains(&kind) {
        return vec![Error::not_supported(&path.child("kind"), kind, &SUBJECT_KINDS)];
    }
    let account = subject.service_account.as_deref();
    let user = subject.user.as_deref().map(|user| user.name.as_str());
    let group = subject.group.as_deref().map(|group| group.name.as_str());
    let each = [
        (
            "ServiceAccount",
            "serviceAccount",
            account.map(|account| account.name.as_str()),
        ),
        ("User", "user", user),
        ("Group", "group", group),
    ];
    let (of_kind, others): (Vec<_>, Vec<_>) = each.into_iter().partition(|(own, ..)| *own == kind);
    let mut errors = ErrorList::new();
    for (_, field, name) in of_kind {
        let at = path.child(field);
        match name {
            None => {
                let detail = format!("{field} is required when subject kind is '{kind}'");
                errors.push(Error::required(&at, detail));
            }
            Some("") => errors.push(Error::required(&at.child("name"), "")),
            Some(name) if kind == "ServiceAccount" && name != ALL => {
                errors.extend(messages(
                    &at.child("name"),
                    name,
                    name_is_dns_subdomain(name, false),
                ));
            }
            Some(_) => {}
        }
    }
    if let Some(account) = account.filter(|_| kind == "ServiceAccount") {
        let at = path.child("serviceAccount").child("namespace");
        let namespace = &account.namespace;
        if namespace.is_empty() {
            errors.push(Error::required(&at, "must specify namespace for service account"));
        } else {
            errors.extend(messages(&at, namespace, name_is_dns_label(namespace, false)));
        }
    }
    for (own, field, name) in others {
        if name.is_some() {
            let detail = format!("{field} is forbidden when subject kind is not '{own}'");
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
    errors
}

fn has_wildcard(list: &[String]) -> bool {
    list.iter().any(|entry| entry == ALL)
}

/// An error if a list has other entries beside the wildcard.
fn lone_wildcard(list: &[String], what: &str, path: &Path) -> Option<Error> {
    (list.len() > 1 && has_wildcard(list)).then(|| {
        let detail = format!("if '*' is present, must not specify other {what}");
        Error::invalid(path, list, detail)
    })
}

fn validate_verbs(verbs: &[String], path: &Path) -> Option<Error> {
    let path = &path.child("verbs");
    if verbs.is_empty() {
        return Some(Error::required(path, "verbs must contain at least one value"));
    }
    if has_wildcard(verbs) {
        return lone_wildcard(verbs, "verbs", path);
    }
    let known = verbs.iter().all(|verb| VERBS.contains(&verb.as_str()));
    (!known).then(|| Error::not_supported(path, verbs, &VERBS))
}

fn validate_path_rule(rule: &NonResourcePolicyRule, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.extend(validate_verbs(&rule.verbs, path));
    let (urls, at) = (&rule.non_resource_urls, path.child("nonResourceURLs"));
    if urls.is_empty() {
        let detail = "nonResourceURLs must contain at least one value";
        errors.push(Error::required(&at, detail));
    } else if has_wildcard(urls) {
        errors.extend(lone_wildcard(urls, "non-resource URLs", &at));
    } else {
        for (index, url) in urls.iter().enumerate() {
            let wrong = wrong_url(url);
            errors.extend(wrong.map(|detail| Error::invalid(&at.index(index), url.as_str(), detail)));
        }
    }
    errors
}

fn wrong_url(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ if stars > 1 || (stars == 1 && !url.ends_with("/*")) => {
            Some("wildcard can only do suffix matching")
        }
        _ => None,
    }
}

fn validate_resource_rule(rule: &ResourcePolicyRule, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    errors.extend(validate_verbs(&rule.verbs, path));
    for (list, field, one, many) in [
        (&rule.api_groups, "apiGroups", "api group", "api groups"),
        (&rule.resources, "resources", "resource", "resources"),
    ] {
        let at = path.child(field);
        if list.is_empty() {
            let detail = format!("resource rules must supply at least one {one}");
            errors.push(Error::required(&at, detail));
        } else {
            errors.extend(lone_wildcard(list, many, &at));
        }
    }
    let (namespaces, at) = (&rule.namespaces, path.child("namespaces"));
    if namespaces.is_empty() && !rule.cluster_scope {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(Error::required(&at, detail));
    } else if has_wildcard(namespaces) {
        errors.extend(lone_wildcard(namespaces, "namespaces", &at));
    } else {
        for (index, namespace) in namespaces.iter().enumerate() {
            for message in name_is_dns_label(namespace, false) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                errors.push(Error::invalid(&at.index(index), namespace.as_str(), detail));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::tests::parse;

    #[test]
    fn says_what_is_wrong() {
        let mut schema: FlowSchema = parse(&json!({"spec": {
            "priorityLevelConfiguration": {"name": "a"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": ""}, "group": {"name": "g"}}],
                "nonResourceRules": [{"verbs": ["get", "*"], "nonResourceURLs": ["/a*"]}],
            }],
        }}));
        FlowSchemas::default(&mut schema);
        let errors: Vec<String> = FlowSchemas::validate(&schema)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            errors,
            [
                "spec.rules[0].subjects[0].user.name: Required value",
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                "spec.rules[0].nonResourceRules[0].verbs: Invalid value: [\"get\",\"*\"]: if '*' is present, must not specify other verbs",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"/a*\": wildcard can only do suffix matching",
            ]
        );
    }
}
