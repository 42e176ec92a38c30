//! Policies of admission and their bindings.

use std::collections::BTreeSet;

use admission::expressions::{Compiled, Compiler};
use api::admissionregistration::v1::{
    MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, Mutation, ParamKind, ParamRef,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, Validation, Variable,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{
    is_dns1035_label, is_dns1123_subdomain, is_qualified_name, is_valid_path_segment_name,
    name_is_dns_subdomain,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::matching;
use crate::metadata::messages;
use crate::rules::Rules;
use crate::{label_selector, table};

const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];
const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];
const REINVOCATION: [&str; 2] = ["IfNeeded", "Never"];
const PATCH_TYPES: [&str; 2] = ["ApplyConfiguration", "JSONPatch"];
const MOST_AUDIT_ANNOTATIONS: usize = 20;
const LONGEST_VALUE_EXPRESSION: usize = 5 * 1024;

/// ValidatingAdmissionPolicies.
pub struct ValidatingPolicies;

impl Rules for ValidatingPolicies {
    type Object = ValidatingAdmissionPolicy;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const STATUS_KEEPS_METADATA: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(policy: &mut ValidatingAdmissionPolicy) {
        let spec = &mut policy.spec;
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        if let Some(resources) = &mut spec.match_constraints {
            matching::default_resources(resources);
        }
    }

    fn validate(policy: &ValidatingAdmissionPolicy) -> ErrorList {
        validate_policy(policy, None)
    }

    fn validate_update(
        _cx: &Context<'_>,
        policy: &ValidatingAdmissionPolicy,
        old: &ValidatingAdmissionPolicy,
    ) -> ErrorList {
        validate_policy(policy, Some(old))
    }

    fn row(object: &ValidatingAdmissionPolicy, now: Timestamp) -> Vec<Value> {
        table::cluster::validating_policy(object, now)
    }
}

fn validate_policy(policy: &ValidatingAdmissionPolicy, old: Option<&ValidatingAdmissionPolicy>) -> ErrorList {
    let (spec, path) = (&policy.spec, Path::new("spec"));
    let mut errors = ErrorList::new();
    errors.extend(matching::failure_policy(spec.failure_policy.as_deref(), &path));
    if let Some(kind) = &spec.param_kind {
        errors.extend(validate_param_kind(kind, &path.child("paramKind")));
    }
    let at = path.child("matchConstraints");
    errors.extend(validate_constraints(spec.match_constraints.as_deref(), &at));
    let parameters = spec.param_kind.is_some();
    let kept = old.is_some_and(|old| {
        old.spec.param_kind == spec.param_kind && old.spec.match_conditions == spec.match_conditions
    });
    if !kept {
        let at = path.child("matchConditions");
        errors.extend(matching::validate_conditions(
            &spec.match_conditions,
            parameters,
            &at,
        ));
    }
    let mut compiler = compiler(parameters, &spec.variables);
    errors.extend(validate_variables(
        &spec.variables,
        &mut compiler,
        &path.child("variables"),
    ));
    if spec.validations.is_empty() && spec.audit_annotations.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        for field in ["validations", "auditAnnotations"] {
            errors.push(Error::required(&path.child(field), detail));
        }
        return errors;
    }
    for (index, validation) in spec.validations.iter().enumerate() {
        let at = path.child("validations").index(index);
        errors.extend(validate_validation(validation, &compiler, &at));
    }
    errors.extend(validate_audit(policy, &compiler, &path.child("auditAnnotations")));
    errors
}

/// Of a policy, which has to name resources.
fn validate_constraints(resources: Option<&MatchResources>, path: &Path) -> ErrorList {
    let Some(resources) = resources else {
        return vec![Error::required(path, "")];
    };
    let mut errors = matching::validate_match_resources(resources, path);
    if resources.resource_rules.is_empty() {
        errors.push(Error::required(&path.child("resourceRules"), ""));
    }
    errors
}

/// Without variables nothing of that name is declared.
fn compiler(parameters: bool, variables: &[Variable]) -> Compiler {
    let compiler = Compiler::new(parameters);
    if variables.is_empty() {
        compiler
    } else {
        compiler.with_variables()
    }
}

fn validate_variables(variables: &[Variable], compiler: &mut Compiler, list: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, variable) in variables.iter().enumerate() {
        let path = list.index(index);
        let (name, at) = (variable.name.as_str(), path.child("name"));
        match present(name, "name is not specified", &at) {
            Some(error) => errors.push(error),
            None if !is_identifier(name) => {
                errors.push(Error::invalid(&at, name, "must be a valid CEL identifier"));
            }
            None => {}
        }
        let (text, at) = (variable.expression.as_str(), path.child("expression"));
        match present(text, "expression is not specified", &at) {
            Some(error) => errors.push(error),
            None => errors.extend(matching::compiles(text, compiler.variable(name, text), &at)),
        }
    }
    errors
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !cel::is_reserved(name)
}

/// An error if a text has only blanks.
fn present(text: &str, detail: &str, path: &Path) -> Option<Error> {
    text.trim().is_empty().then(|| Error::required(path, detail))
}

fn validate_audit(policy: &ValidatingAdmissionPolicy, compiler: &Compiler, list: &Path) -> ErrorList {
    let annotations = &policy.spec.audit_annotations;
    let mut errors = ErrorList::new();
    if annotations.len() > MOST_AUDIT_ANNOTATIONS {
        let detail = format!("must not have more than {MOST_AUDIT_ANNOTATIONS} auditAnnotations");
        errors.push(Error::invalid(
            list,
            crate::internal::shown_list(annotations),
            detail,
        ));
    }
    let mut seen = BTreeSet::new();
    for (index, annotation) in annotations.iter().enumerate() {
        let path = list.index(index);
        let (key, at) = (&annotation.key, path.child("key"));
        if policy.metadata.name.is_empty() {
            let detail = "requires metadata.name be non-empty";
            errors.push(Error::invalid(&at, key.as_str(), detail));
        } else {
            let full = format!("{}/{key}", policy.metadata.name);
            errors.extend(messages(&at, &full, is_qualified_name(&full)));
        }
        errors.extend(validate_value(
            &annotation.value_expression,
            compiler,
            &path.child("valueExpression"),
        ));
        if !seen.insert(key) {
            errors.push(Error::duplicate(&at, key.as_str()));
        }
    }
    errors
}

/// An audit annotation's expression.
fn validate_value(text: &str, compiler: &Compiler, path: &Path) -> Option<Error> {
    match text.trim() {
        "" => Some(Error::required(path, "valueExpression is not specified")),
        trimmed if trimmed.len() > LONGEST_VALUE_EXPRESSION => {
            let detail = format!("must not exceed {LONGEST_VALUE_EXPRESSION} bytes in length");
            Some(Error::required(path, detail))
        }
        trimmed => matching::compiles(text, compiler.annotation(trimmed), path),
    }
}

fn validate_validation(validation: &Validation, compiler: &Compiler, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (text, at) = (validation.expression.as_str(), path.child("expression"));
    errors.extend(match present(text, "expression is not specified", &at) {
        None => matching::compiles(text, compiler.condition(text), &at),
        missing => missing,
    });
    let (text, at) = (
        validation.message_expression.as_str(),
        path.child("messageExpression"),
    );
    let blank = |text: &str, at: &Path| {
        let is_blank = !text.is_empty() && text.trim().is_empty();
        is_blank.then(|| Error::invalid(at, text, "must be non-empty if specified"))
    };
    errors.extend(match blank(text, &at) {
        None if !text.is_empty() => matching::compiles(text, compiler.message(text), &at),
        wrong => wrong,
    });
    errors.extend(blank(&validation.message, &path.child("message")));
    if validation.message.trim().contains(['\n', '\r']) {
        let detail = "must not contain line breaks";
        errors.push(Error::invalid(
            &path.child("message"),
            validation.message.as_str(),
            detail,
        ));
    }
    errors.extend(matching::known(
        validation.reason.as_deref(),
        &REASONS,
        &path.child("reason"),
    ));
    errors
}

fn validate_param_kind(kind: &ParamKind, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (text, at) = (kind.api_version.as_str(), path.child("apiVersion"));
    let (group, version) = text.split_once('/').unwrap_or(("", text));
    if text.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if version.contains('/') {
        let detail = format!("unexpected GroupVersion string: {text}");
        errors.push(Error::invalid(&at, text, detail));
    } else {
        let mut check = |part: &str, wrong: Vec<String>| {
            if !wrong.is_empty() {
                errors.push(Error::invalid(&at, part, wrong.join(",")));
            }
        };
        if !group.is_empty() {
            check(group, is_dns1123_subdomain(group));
        }
        if version.is_empty() {
            check(text, vec!["version must be specified".to_owned()]);
        } else {
            check(version, is_dns1035_label(version));
        }
    }
    let at = path.child("kind");
    let wrong = is_dns1035_label(&kind.kind.to_lowercase());
    if kind.kind.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !wrong.is_empty() {
        let wrong = wrong.join(",");
        let detail = format!("may have mixed case, but should otherwise match: {wrong}");
        errors.push(Error::invalid(&at, kind.kind.as_str(), detail));
    }
    errors
}

/// MutatingAdmissionPolicies.
pub struct MutatingPolicies;

impl Rules for MutatingPolicies {
    type Object = MutatingAdmissionPolicy;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn default(policy: &mut MutatingAdmissionPolicy) {
        let spec = &mut policy.spec;
        spec.failure_policy.get_or_insert_with(|| "Fail".to_owned());
        if let Some(resources) = &mut spec.match_constraints {
            matching::default_resources(resources);
        }
    }

    fn validate(policy: &MutatingAdmissionPolicy) -> ErrorList {
        validate_mutating_policy(policy, None)
    }

    fn validate_update(
        _cx: &Context<'_>,
        policy: &MutatingAdmissionPolicy,
        old: &MutatingAdmissionPolicy,
    ) -> ErrorList {
        validate_mutating_policy(policy, Some(old))
    }

    fn row(object: &MutatingAdmissionPolicy, now: Timestamp) -> Vec<Value> {
        table::cluster::mutating_policy(object, now)
    }
}

fn validate_mutating_policy(
    policy: &MutatingAdmissionPolicy,
    old: Option<&MutatingAdmissionPolicy>,
) -> ErrorList {
    let (spec, path) = (&policy.spec, Path::new("spec"));
    let mut errors = ErrorList::new();
    errors.extend(matching::failure_policy(spec.failure_policy.as_deref(), &path));
    if let Some(kind) = &spec.param_kind {
        errors.extend(validate_param_kind(kind, &path.child("paramKind")));
    }
    let at = path.child("matchConstraints");
    errors.extend(validate_constraints(spec.match_constraints.as_deref(), &at));
    if let Some(resources) = &spec.match_constraints {
        errors.extend(matching::validate_mutated_operations(resources, &at));
    }
    let parameters = spec.param_kind.is_some();
    let kept = old.is_some_and(|old| {
        old.spec.param_kind == spec.param_kind && old.spec.match_conditions == spec.match_conditions
    });
    if !kept {
        let at = path.child("matchConditions");
        errors.extend(matching::validate_conditions(
            &spec.match_conditions,
            parameters,
            &at,
        ));
    }
    let mut compiler = Compiler::new(parameters).with_variables();
    errors.extend(validate_variables(
        &spec.variables,
        &mut compiler,
        &path.child("variables"),
    ));
    let at = path.child("mutations");
    if spec.mutations.is_empty() {
        errors.push(Error::required(&at, "mutations must contain at least one item"));
    }
    for (index, mutation) in spec.mutations.iter().enumerate() {
        errors.extend(validate_mutation(mutation, &compiler, &at.index(index)));
    }
    let at = path.child("reinvocationPolicy");
    errors.extend(match spec.reinvocation_policy.as_str() {
        "" => Some(Error::required(&at, "")),
        policy => matching::known(Some(policy), &REINVOCATION, &at),
    });
    errors
}

/// A mutation of a stated kind, and of no other.
fn validate_mutation(mutation: &Mutation, compiler: &Compiler, path: &Path) -> ErrorList {
    let apply = mutation
        .apply_configuration
        .as_deref()
        .map(|apply| apply.expression.as_str());
    let patch = mutation
        .json_patch
        .as_deref()
        .map(|patch| patch.expression.as_str());
    type Compile = fn(&Compiler, &str) -> Compiled;
    let (own, expression, compile, other, is_other): (_, _, Compile, _, _) =
        match mutation.patch_type.as_str() {
            "" => return vec![Error::required(&path.child("patchType"), "")],
            "JSONPatch" => (
                "jsonPatch",
                patch,
                Compiler::json_patch,
                "applyConfiguration",
                apply.is_some(),
            ),
            "ApplyConfiguration" => (
                "applyConfiguration",
                apply,
                Compiler::configuration,
                "jsonPatch",
                patch.is_some(),
            ),
            kind => {
                let at = path.child("patchType");
                return vec![Error::not_supported(&at, kind, &PATCH_TYPES)];
            }
        };
    let kind = &mutation.patch_type;
    let mut errors = ErrorList::new();
    let at = path.child(own).child("expression");
    match expression.map(str::trim) {
        None => {
            let detail = format!("must be specified when patchType is {kind}");
            errors.push(Error::required(&path.child(own), detail));
        }
        Some("") => errors.push(Error::required(&at, "")),
        Some(text) => errors.extend(matching::compiles(text, compile(compiler, text), &at)),
    }
    if is_other {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.push(Error::invalid(&path.child(other), format!("{{{other}}}"), detail));
    }
    errors
}

fn validate_policy_name(name: &str, path: &Path) -> ErrorList {
    let at = path.child("policyName");
    if name.is_empty() {
        return vec![Error::required(&at, "")];
    }
    messages(&at, name, name_is_dns_subdomain(name, false)).collect()
}

fn validate_param_ref(reference: &ParamRef, path: &Path) -> ErrorList {
    let exclusive = "name and selector are mutually exclusive";
    let (name, selector) = (reference.name.as_str(), reference.selector.as_deref());
    let mut errors = ErrorList::new();
    if !name.is_empty() {
        let at = path.child("name");
        errors.extend(messages(&at, name, is_valid_path_segment_name(name)));
        errors.extend(selector.map(|_| Error::forbidden(&at, exclusive)));
    }
    if let Some(selector) = selector {
        let at = path.child("selector");
        errors.extend(label_selector::validate(selector, &at));
        errors.extend((!name.is_empty()).then(|| Error::forbidden(&at, exclusive)));
    }
    if name.is_empty() && selector.is_none() {
        errors.push(Error::required(path, "one of name or selector must be specified"));
    }
    let at = path.child("parameterNotFoundAction");
    errors.extend(match reference.parameter_not_found_action.as_deref() {
        None | Some("") => Some(Error::required(&at, "")),
        action => matching::known(action, &["Deny", "Allow"], &at),
    });
    errors
}

/// ValidatingAdmissionPolicyBindings.
pub struct ValidatingPolicyBindings;

impl Rules for ValidatingPolicyBindings {
    type Object = ValidatingAdmissionPolicyBinding;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn default(binding: &mut ValidatingAdmissionPolicyBinding) {
        if let Some(resources) = &mut binding.spec.match_resources {
            matching::default_resources(resources);
        }
    }

    fn validate(binding: &ValidatingAdmissionPolicyBinding) -> ErrorList {
        let (spec, path) = (&binding.spec, Path::new("spec"));
        let mut errors = validate_policy_name(&spec.policy_name, &path);
        if let Some(reference) = &spec.param_ref {
            errors.extend(validate_param_ref(reference, &path.child("paramRef")));
        }
        if let Some(resources) = &spec.match_resources {
            let at = path.child("matchResources");
            errors.extend(matching::validate_match_resources(resources, &at));
        }
        let (actions, at) = (&spec.validation_actions, path.child("validationActions"));
        let mut seen = BTreeSet::new();
        for (index, action) in actions.iter().enumerate() {
            let at = at.index(index);
            errors.extend(matching::known(Some(action), &ACTIONS, &at));
            if !seen.insert(action.as_str()) {
                errors.push(Error::duplicate(&at, action.as_str()));
            }
        }
        if seen.contains("Deny") && seen.contains("Warn") {
            let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
            errors.push(Error::invalid(&at, actions.as_slice(), detail));
        }
        if actions.is_empty() {
            errors.push(Error::required(&at, "at least one validation action is required"));
        }
        errors
    }

    fn row(object: &ValidatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::validating_policy_binding(object, now)
    }
}

/// MutatingAdmissionPolicyBindings.
pub struct MutatingPolicyBindings;

impl Rules for MutatingPolicyBindings {
    type Object = MutatingAdmissionPolicyBinding;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn default(binding: &mut MutatingAdmissionPolicyBinding) {
        if let Some(resources) = &mut binding.spec.match_resources {
            matching::default_resources(resources);
        }
    }

    fn validate(binding: &MutatingAdmissionPolicyBinding) -> ErrorList {
        let (spec, path) = (&binding.spec, Path::new("spec"));
        let mut errors = validate_policy_name(&spec.policy_name, &path);
        if let Some(reference) = &spec.param_ref {
            errors.extend(validate_param_ref(reference, &path.child("paramRef")));
        }
        if let Some(resources) = &spec.match_resources {
            let at = path.child("matchResources");
            errors.extend(matching::validate_match_resources(resources, &at));
            errors.extend(matching::validate_mutated_operations(resources, &at));
        }
        errors
    }

    fn row(object: &MutatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::mutating_policy_binding(object, now)
    }
}
