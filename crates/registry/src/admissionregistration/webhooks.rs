//! Webhooks that are asked about requests.

use std::collections::BTreeSet;

use api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhook,
    ValidatingWebhookConfiguration, WebhookClientConfig,
};
use api::meta::v1::LabelSelector;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1035_label, is_fully_qualified_name};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::matching;
use crate::metadata::messages;
use crate::rules::Rules;
use crate::{label_selector, table, webhook_client};

const SIDE_EFFECTS: [&str; 2] = ["None", "NoneOnDryRun"];
const REVIEW_VERSIONS: [&str; 2] = ["v1", "v1beta1"];
const REINVOCATION: [&str; 2] = ["IfNeeded", "Never"];
/// Seconds.
const TIMEOUT: i32 = 10;

/// Defaults what both sorts of webhook have: they are two types with the same fields.
macro_rules! default_webhook {
    ($hook:expr) => {{
        let hook = $hook;
        hook.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        hook.match_policy.get_or_insert_with(|| "Equivalent".to_owned());
        hook.namespace_selector.get_or_insert_default();
        hook.object_selector.get_or_insert_default();
        hook.timeout_seconds.get_or_insert(TIMEOUT);
        for rule in &mut hook.rules {
            matching::default_rule(&mut rule.rule);
        }
        if let Some(service) = &mut hook.client_config.service {
            service.port.get_or_insert(webhook_client::PORT);
        }
    }};
}

/// What both sorts of webhook have, borrowed.
macro_rules! view {
    ($hook:expr, $reinvocation:expr) => {
        Hook {
            name: &$hook.name,
            rules: &$hook.rules,
            failure_policy: $hook.failure_policy.as_deref(),
            match_policy: $hook.match_policy.as_deref(),
            side_effects: $hook.side_effects.as_deref(),
            timeout: $hook.timeout_seconds,
            namespaces: $hook.namespace_selector.as_deref(),
            objects: $hook.object_selector.as_deref(),
            reinvocation: $reinvocation,
            client: &$hook.client_config,
            conditions: &$hook.match_conditions,
            versions: &$hook.admission_review_versions,
        }
    };
}

struct Hook<'a> {
    name: &'a str,
    rules: &'a [RuleWithOperations],
    failure_policy: Option<&'a str>,
    match_policy: Option<&'a str>,
    side_effects: Option<&'a str>,
    timeout: Option<i32>,
    namespaces: Option<&'a LabelSelector>,
    objects: Option<&'a LabelSelector>,
    reinvocation: Option<&'a str>,
    client: &'a WebhookClientConfig,
    conditions: &'a [api::admissionregistration::v1::MatchCondition],
    versions: &'a [String],
}

/// MutatingWebhookConfigurations.
pub struct MutatingWebhooks;

impl Rules for MutatingWebhooks {
    type Object = MutatingWebhookConfiguration;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(webhooks);

    fn default(configuration: &mut MutatingWebhookConfiguration) {
        for hook in &mut configuration.webhooks {
            default_webhook!(&mut *hook);
            hook.reinvocation_policy.get_or_insert_with(|| "Never".to_owned());
        }
    }

    fn validate(configuration: &MutatingWebhookConfiguration) -> ErrorList {
        let view = |hook| view_mutating(hook);
        validate_all(configuration.webhooks.iter().map(view), Conditions::Judged)
    }

    fn validate_update(
        _cx: &Context<'_>,
        configuration: &MutatingWebhookConfiguration,
        old: &MutatingWebhookConfiguration,
    ) -> ErrorList {
        let conditions = Conditions::of(
            configuration.webhooks.iter().map(|hook| &hook.match_conditions),
            old.webhooks.iter().map(|hook| &hook.match_conditions),
        );
        let view = |hook| view_mutating(hook);
        validate_all(configuration.webhooks.iter().map(view), conditions)
    }

    fn row(object: &MutatingWebhookConfiguration, now: Timestamp) -> Vec<Value> {
        table::cluster::mutating_webhook(object, now)
    }
}

fn view_mutating(hook: &MutatingWebhook) -> Hook<'_> {
    view!(hook, hook.reinvocation_policy.as_deref())
}

/// ValidatingWebhookConfigurations.
pub struct ValidatingWebhooks;

impl Rules for ValidatingWebhooks {
    type Object = ValidatingWebhookConfiguration;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(webhooks);

    fn default(configuration: &mut ValidatingWebhookConfiguration) {
        for hook in &mut configuration.webhooks {
            default_webhook!(hook);
        }
    }

    fn validate(configuration: &ValidatingWebhookConfiguration) -> ErrorList {
        validate_all(
            configuration.webhooks.iter().map(view_validating),
            Conditions::Judged,
        )
    }

    fn validate_update(
        _cx: &Context<'_>,
        configuration: &ValidatingWebhookConfiguration,
        old: &ValidatingWebhookConfiguration,
    ) -> ErrorList {
        let conditions = Conditions::of(
            configuration.webhooks.iter().map(|hook| &hook.match_conditions),
            old.webhooks.iter().map(|hook| &hook.match_conditions),
        );
        validate_all(configuration.webhooks.iter().map(view_validating), conditions)
    }

    fn row(object: &ValidatingWebhookConfiguration, now: Timestamp) -> Vec<Value> {
        table::cluster::validating_webhook(object, now)
    }
}

fn view_validating(hook: &ValidatingWebhook) -> Hook<'_> {
    view!(hook, None)
}

/// Conditions that an update leaves alone are not judged again: they may be of an older server's language.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conditions {
    Judged,
    Kept,
}

impl Conditions {
    fn of<'a>(
        new: impl ExactSizeIterator<Item = &'a Vec<MatchCondition>>,
        old: impl ExactSizeIterator<Item = &'a Vec<MatchCondition>>,
    ) -> Self {
        match new.eq(old) {
            true => Self::Kept,
            false => Self::Judged,
        }
    }
}

fn validate_all<'a>(hooks: impl Iterator<Item = Hook<'a>>, conditions: Conditions) -> ErrorList {
    let list = Path::new("webhooks");
    let mut seen = BTreeSet::new();
    let mut errors = ErrorList::new();
    for (index, hook) in hooks.enumerate() {
        let path = list.index(index);
        errors.extend(validate_hook(&hook, conditions, &path));
        errors.extend(validate_versions(
            hook.versions,
            &path.child("admissionReviewVersions"),
        ));
        if !hook.name.is_empty() && !seen.insert(hook.name) {
            errors.push(Error::duplicate(&path.child("name"), hook.name));
        }
    }
    errors
}

fn validate_hook(hook: &Hook<'_>, conditions: Conditions, path: &Path) -> ErrorList {
    let mut errors = is_fully_qualified_name(&path.child("name"), hook.name);
    for (index, rule) in hook.rules.iter().enumerate() {
        errors.extend(matching::validate_rule(rule, &path.child("rules").index(index)));
    }
    errors.extend(matching::failure_policy(hook.failure_policy, path));
    errors.extend(matching::match_policy(hook.match_policy, path));
    let at = path.child("sideEffects");
    errors.extend(match hook.side_effects {
        None => {
            let detail = format!("must specify one of {}", SIDE_EFFECTS.join(", "));
            Some(Error::required(&at, detail))
        }
        effects => matching::known(effects, &SIDE_EFFECTS, &at),
    });
    if let Some(timeout) = hook.timeout.filter(|timeout| !(1..=30).contains(timeout)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(Error::invalid(&path.child("timeoutSeconds"), timeout, detail));
    }
    for (selector, field) in [
        (hook.namespaces, "namespaceSelector"),
        (hook.objects, "objectSelector"),
    ] {
        if let Some(selector) = selector {
            errors.extend(label_selector::validate(selector, &path.child(field)));
        }
    }
    let at = path.child("reinvocationPolicy");
    errors.extend(matching::known(hook.reinvocation, &REINVOCATION, &at));
    let at = path.child("clientConfig");
    errors.extend(match (&hook.client.url, &hook.client.service) {
        (Some(url), None) => webhook_client::validate_url(url, &at.child("url")),
        (None, Some(service)) => webhook_client::validate_service(
            // Upstream mistakes one for the other in what it reports here.
            &service.name,
            &service.namespace,
            service.path.as_deref(),
            service.port.unwrap_or_default(),
            &at.child("service"),
        ),
        _ => vec![Error::required(&at, "exactly one of url or service is required")],
    });
    if conditions == Conditions::Judged {
        let at = path.child("matchConditions");
        errors.extend(matching::validate_conditions(hook.conditions, false, &at));
    }
    errors
}

/// Errors of the versions of reviews that a webhook takes.
fn validate_versions(versions: &[String], path: &Path) -> ErrorList {
    let accepted = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        return vec![Error::required(path, format!("must specify one of {accepted}"))];
    }
    let mut errors = ErrorList::new();
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        if !seen.insert(version) {
            errors.push(Error::invalid(&at, version.as_str(), "duplicate version"));
            continue;
        }
        errors.extend(messages(&at, version, is_dns1035_label(version)));
    }
    if !versions
        .iter()
        .any(|version| REVIEW_VERSIONS.contains(&version.as_str()))
    {
        let detail = format!("must include at least one of {accepted}");
        errors.push(Error::invalid(path, versions, detail));
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
        let check = |hook: Value, expected: &[&str]| {
            let mut configuration: MutatingWebhookConfiguration = parse(&json!({ "webhooks": [hook] }));
            MutatingWebhooks::default(&mut configuration);
            let errors = MutatingWebhooks::validate(&configuration);
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            assert_eq!(errors, expected);
        };
        check(
            json!({"name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {"namespace": "n", "name": "s", "path": "/x"}},
                "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]}),
            &[],
        );
        check(
            json!({"name": "a.example.com", "timeoutSeconds": 31, "admissionReviewVersions": ["v2"],
                "clientConfig": {"url": "http://h?q"},
                "rules": [{"operations": ["*", "GET"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/*", "pods/log"]}]}),
            &[
                "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"GET\"]: if '*' is present, must not specify other operations",
                "webhooks[0].rules[0].operations[1]: Unsupported value: \"GET\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
                "webhooks[0].rules[0].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log",
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
                "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
                "webhooks[0].clientConfig.url: Invalid value: \"q\": query parameters are not permitted in the URL",
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
            ],
        );
    }
}
