//! What a question about access must say.
//!
//! Upstream: `pkg/apis/authorization/validation`.

use api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SelfSubjectAccessReviewSpec, SubjectAccessReviewSpec,
};
use api::meta::v1::ObjectMeta;
use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::status::Status;
use apimachinery::validation::is_qualified_name;

use crate::kind;

pub fn subject_access(spec: &SubjectAccessReviewSpec, metadata: &ObjectMeta) -> Result<ErrorList, Status> {
    let mut errors = spec_errors(spec);
    if !is_bare(metadata) {
        errors.push(metadata_error(metadata, "must be empty")?);
    }
    Ok(errors)
}

pub fn self_subject_access(
    spec: &SelfSubjectAccessReviewSpec,
    metadata: &ObjectMeta,
) -> Result<ErrorList, Status> {
    let resource = spec.resource_attributes.as_deref();
    let mut errors = attributes_errors(resource, spec.non_resource_attributes.as_deref());
    errors.extend(selectors_errors(resource));
    if !is_bare(metadata) {
        errors.push(metadata_error(metadata, "must be empty")?);
    }
    Ok(errors)
}

pub fn local_subject_access(
    spec: &SubjectAccessReviewSpec,
    metadata: &ObjectMeta,
) -> Result<ErrorList, Status> {
    let mut errors = spec_errors(spec);
    let rest = ObjectMeta {
        namespace: String::new(),
        ..metadata.clone()
    };
    if !is_bare(&rest) {
        errors.push(metadata_error(metadata, "must be empty except for namespace")?);
    }
    let namespace = spec
        .resource_attributes
        .as_ref()
        .map(|resource| &resource.namespace);
    if let Some(namespace) = namespace.filter(|namespace| **namespace != metadata.namespace) {
        let path = Path::new("spec").child("resourceAttributes").child("namespace");
        errors.push(Error::invalid(&path, namespace, "must match metadata.namespace"));
    }
    if let Some(path) = spec.non_resource_attributes.as_deref() {
        let why = "disallowed on this kind of request";
        errors.push(Error::invalid(&path_attributes(), shown(path), why));
    }
    Ok(errors)
}

fn spec_errors(spec: &SubjectAccessReviewSpec) -> ErrorList {
    let resource = spec.resource_attributes.as_deref();
    let mut errors = attributes_errors(resource, spec.non_resource_attributes.as_deref());
    if spec.user.is_empty() && spec.groups.is_empty() {
        errors.push(Error::invalid(
            &Path::new("spec").child("user"),
            "",
            "at least one of user or group must be specified",
        ));
    }
    errors.extend(selectors_errors(resource));
    errors
}

fn path_attributes() -> Path {
    Path::new("spec").child("nonResourceAttributes")
}

/// As upstream's internal type prints.
fn shown(path: &NonResourceAttributes) -> Value {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    Value::Json(format!(
        "{{\"Path\":{},\"Verb\":{}}}",
        text(&path.path),
        text(&path.verb)
    ))
}

fn attributes_errors(
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) -> ErrorList {
    match (resource, path) {
        (Some(_), Some(path)) => vec![Error::invalid(
            &path_attributes(),
            shown(path),
            "cannot be specified in combination with resourceAttributes",
        )],
        (None, None) => vec![Error::invalid(
            &Path::new("spec").child("resourceAttributes"),
            Value::Json("null".to_owned()),
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )],
        _ => ErrorList::new(),
    }
}

fn selectors_errors(resource: Option<&ResourceAttributes>) -> ErrorList {
    let Some(resource) = resource else {
        return ErrorList::new();
    };
    let path = Path::new("spec").child("resourceAttributes");
    let mut errors = ErrorList::new();
    if let Some(selector) = resource.field_selector.as_deref() {
        field_selector_errors(selector, &path.child("fieldSelector"), &mut errors);
    }
    if let Some(selector) = resource.label_selector.as_deref() {
        label_selector_errors(selector, &path.child("labelSelector"), &mut errors);
    }
    errors
}

fn field_selector_errors(selector: &FieldSelectorAttributes, path: &Path, errors: &mut ErrorList) {
    form_errors(&selector.raw_selector, selector.requirements.len(), path, errors);
    for (index, requirement) in selector.requirements.iter().enumerate() {
        let path = path.child("requirements").index(index);
        if requirement.key.is_empty() {
            errors.push(Error::required(&path.child("key"), "must be specified"));
        }
        operator_errors(&requirement.operator, &requirement.values, &path, errors);
    }
}

fn label_selector_errors(selector: &LabelSelectorAttributes, path: &Path, errors: &mut ErrorList) {
    form_errors(&selector.raw_selector, selector.requirements.len(), path, errors);
    for (index, requirement) in selector.requirements.iter().enumerate() {
        let path = path.child("requirements").index(index);
        operator_errors(&requirement.operator, &requirement.values, &path, errors);
        let key = path.child("key");
        let why = is_qualified_name(&requirement.key).into_iter();
        errors.extend(why.map(|why| Error::invalid(&key, &requirement.key, why)));
        for (index, value) in requirement.values.iter().enumerate() {
            let path = path.child("values").index(index);
            let why = apimachinery::validation::is_valid_label_value(value).into_iter();
            errors.extend(why.map(|why| Error::invalid(&path, value, why)));
        }
    }
}

/// A selector is either text or requirements.
fn form_errors(raw: &str, requirements: usize, path: &Path, errors: &mut ErrorList) {
    match (raw.is_empty(), requirements) {
        (false, 1..) => errors.push(Error::invalid(
            &path.child("rawSelector"),
            raw,
            "may not specified at the same time as requirements",
        )),
        (true, 0) => errors.push(Error::required(
            &path.child("requirements"),
            format!("when {path} is specified, requirements or rawSelector is required"),
        )),
        _ => {}
    }
}

/// Operators that are not known here may be known to newer clients.
fn operator_errors(operator: &str, values: &[String], path: &Path, errors: &mut ErrorList) {
    let path = path.child("values");
    match (operator, values.is_empty()) {
        ("In" | "NotIn", true) => errors.push(Error::required(
            &path,
            "must be specified when `operator` is 'In' or 'NotIn'",
        )),
        ("Exists" | "DoesNotExist", false) => errors.push(Error::forbidden(
            &path,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        _ => {}
    }
}

/// A review has no identity of its own.
fn is_bare(metadata: &ObjectMeta) -> bool {
    let bare = ObjectMeta {
        managed_fields: metadata.managed_fields.clone(),
        ..ObjectMeta::default()
    };
    *metadata == bare
}

fn metadata_error(metadata: &ObjectMeta, why: &str) -> Result<Error, Status> {
    let json =
        kind::json(metadata_type(), &api::Message::encode_to_vec(metadata)).map_err(Status::internal)?;
    let json = String::from_utf8(json).map_err(Status::internal)?;
    Ok(Error::invalid(&Path::new("metadata"), Value::Json(json), why))
}

fn metadata_type() -> &'static api::types::Type {
    api::Message::descriptor(&ObjectMeta::default())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(errors: Result<ErrorList, Status>, expected: Expect) {
        let errors = errors.expect("shown");
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        expected.assert_eq(&lines.join("\n"));
    }

    fn resource(namespace: &str) -> Option<Box<ResourceAttributes>> {
        Some(Box::new(ResourceAttributes {
            namespace: namespace.to_owned(),
            ..ResourceAttributes::default()
        }))
    }

    #[test]
    fn a_question_has_one_subject_and_one_object() {
        check(
            subject_access(&SubjectAccessReviewSpec::default(), &ObjectMeta::default()),
            expect![[r#"
                spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified
                spec.user: Invalid value: "": at least one of user or group must be specified"#]],
        );
        let named = ObjectMeta {
            name: "x".to_owned(),
            ..ObjectMeta::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: "ada".to_owned(),
            resource_attributes: resource("other"),
            non_resource_attributes: Some(Box::default()),
            ..SubjectAccessReviewSpec::default()
        };
        check(
            local_subject_access(&spec, &named),
            expect![[r#"
                spec.nonResourceAttributes: Invalid value: {"Path":"","Verb":""}: cannot be specified in combination with resourceAttributes
                metadata: Invalid value: {"name":"x"}: must be empty except for namespace
                spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace
                spec.nonResourceAttributes: Invalid value: {"Path":"","Verb":""}: disallowed on this kind of request"#]],
        );
    }

    #[test]
    fn a_selector_is_text_or_requirements() {
        let mut attributes = resource("").expect("some");
        attributes.field_selector = Some(Box::default());
        attributes.label_selector = Some(Box::default());
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        check(
            self_subject_access(&spec, &ObjectMeta::default()),
            expect![[r#"
                spec.resourceAttributes.fieldSelector.requirements: Required value: when spec.resourceAttributes.fieldSelector is specified, requirements or rawSelector is required
                spec.resourceAttributes.labelSelector.requirements: Required value: when spec.resourceAttributes.labelSelector is specified, requirements or rawSelector is required"#]],
        );
    }
}
