//! Reviews: questions about tokens and access, answered in the object that was sent.

use api::authentication::v1::{SelfSubjectReview, TokenReview};
use api::authorization::v1::{
    LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectRulesReview, SubjectAccessReview, SubjectAccessReviewSpec,
};
use api::catalogue;
use api::meta::v1::ObjectMeta;
use api::{Message, Object, Resource};
use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use apimachinery::time::Time;
use apimachinery::validation::{is_label_key, is_valid_label_value};
use auth::{Attributes, review};
use http::StatusCode;
use serde_json::json;

use crate::decode::read_message;
use crate::managed_fields;
use crate::request::Request;
use crate::request::negotiate::{Offers, Output};
use crate::request::options::{WriteKind, WriteOptions};
use crate::response::{Response, message};
use crate::state::Api;
use crate::verbs::manager_of;

/// A review as read, and how to answer.
struct Asked<T> {
    review: T,
    output: Output,
    dry_run: bool,
}

async fn read<T: Resource>(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Asked<T>, Status> {
    let output = request.output(Offers::Plain)?;
    let options = WriteOptions::parse(&request.query, WriteKind::Create)?;
    let proto = read_message(request, row.into(), options.field_validation).await?;
    let mut review = T::decode(&proto).map_err(|error| Status::bad_request(error.to_string()))?;
    crate::write::metadata::wipe(Resource::metadata_mut(&mut review));
    let manager = manager_of(request);
    managed_fields::track_unstored(row, &manager, api.clock.now(), &mut review)?;
    Ok(Asked {
        review,
        output,
        dry_run: options.dry_run,
    })
}

/// Admission, then the answer with the status filled in.
async fn answer<T: Object + Clone>(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &Request,
    asked: Asked<T>,
) -> Result<Response, Status> {
    let Asked {
        mut review,
        output,
        dry_run,
    } = asked;
    api.admit_subresource(request, row, &mut review, dry_run).await?;
    message(
        StatusCode::CREATED,
        (row.group, row.version, row.kind),
        &review,
        output,
    )
}

pub async fn token(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<TokenReview>(api, row, request).await?;
    if asked.review.spec.token.is_empty() {
        return Err(Status::bad_request(
            "token is required for TokenReview in authentication",
        ));
    }
    asked.review.status = review::token(&*api.token_authenticator, &asked.review.spec, &api.audiences).await;
    answer(api, row, request, asked).await
}

pub async fn self_subject(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<SelfSubjectReview>(api, row, request).await?;
    // Of what was sent nothing is in the answer.
    asked.review.metadata = ObjectMeta {
        creation_timestamp: Some(Time(api.clock.now()).truncated()),
        ..ObjectMeta::default()
    };
    asked.review.status.user_info = request.user.to_api();
    answer(api, row, request, asked).await
}

pub async fn subject_access(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<SubjectAccessReview>(api, row, request).await?;
    let mut errors = validate_spec(&asked.review.spec);
    errors.extend(validate_metadata(&asked.review.metadata, ""));
    valid(row, errors)?;
    asked.review.status = review::access(decide(api, &review::attributes_of(&asked.review.spec)).await);
    answer(api, row, request, asked).await
}

pub async fn local_subject_access(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<LocalSubjectAccessReview>(api, row, request).await?;
    crate::write::metadata::settle_namespace(&mut asked.review.metadata, &request.info.namespace)?;
    let spec = &asked.review.spec;
    let mut errors = validate_spec(spec);
    errors.extend(validate_metadata(&asked.review.metadata, &request.info.namespace));
    let path = Path::new("spec").child("resourceAttributes");
    if spec
        .resource_attributes
        .as_ref()
        .is_some_and(|attributes| attributes.namespace != asked.review.metadata.namespace)
    {
        let namespace = spec
            .resource_attributes
            .as_deref()
            .map_or("", |attributes| attributes.namespace.as_str());
        let detail = "must match metadata.namespace";
        errors.push(Error::invalid(&path.child("namespace"), namespace, detail));
    }
    if let Some(attributes) = &spec.non_resource_attributes {
        let path = Path::new("spec").child("nonResourceAttributes");
        let detail = "disallowed on this kind of request";
        errors.push(Error::invalid(&path, shown(attributes), detail));
    }
    valid(row, errors)?;
    asked.review.status = review::access(decide(api, &review::attributes_of(&asked.review.spec)).await);
    answer(api, row, request, asked).await
}

pub async fn self_subject_access(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<SelfSubjectAccessReview>(api, row, request).await?;
    let spec = &asked.review.spec;
    let mut errors = validate_attributes(
        spec.resource_attributes.as_deref(),
        spec.non_resource_attributes.as_deref(),
    );
    errors.extend(validate_selectors(spec.resource_attributes.as_deref()));
    errors.extend(validate_metadata(&asked.review.metadata, ""));
    valid(row, errors)?;
    let attributes = review::attributes_of_self(&request.user, &asked.review.spec);
    asked.review.status = review::access(decide(api, &attributes).await);
    answer(api, row, request, asked).await
}

pub async fn self_subject_rules(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<SelfSubjectRulesReview>(api, row, request).await?;
    if asked.review.spec.namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let status = review::rules(&*api.authorizer, &request.user, &asked.review.spec.namespace);
    // The answer does not repeat the question.
    asked.review = SelfSubjectRulesReview {
        status,
        ..SelfSubjectRulesReview::default()
    };
    answer(api, row, request, asked).await
}

async fn decide(api: &Api, attributes: &Attributes) -> auth::Decision {
    api.authorizer.authorize(attributes).await
}

fn valid(row: &catalogue::Resource, errors: ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        Ok(())
    } else {
        // Upstream leaves the kind out.
        Err(Status::invalid(&GroupKind::new(row.group, ""), "", &errors))
    }
}

fn validate_spec(spec: &SubjectAccessReviewSpec) -> ErrorList {
    let mut errors = validate_attributes(
        spec.resource_attributes.as_deref(),
        spec.non_resource_attributes.as_deref(),
    );
    if spec.user.is_empty() && spec.groups.is_empty() {
        errors.push(Error::invalid(
            &Path::new("spec").child("user"),
            "",
            "at least one of user or group must be specified",
        ));
    }
    errors.extend(validate_selectors(spec.resource_attributes.as_deref()));
    errors
}

/// As upstream's error about the struct shows it.
fn shown(attributes: &NonResourceAttributes) -> Value {
    let (path, verb) = (json!(attributes.path), json!(attributes.verb));
    Value::Json(format!(r#"{{"Path":{path},"Verb":{verb}}}"#))
}

/// Errors of the selectors that the request would be limited to.
fn validate_selectors(attributes: Option<&ResourceAttributes>) -> ErrorList {
    let Some(attributes) = attributes else {
        return ErrorList::new();
    };
    let path = Path::new("spec").child("resourceAttributes");
    let mut errors = ErrorList::new();
    if let Some(selector) = &attributes.field_selector {
        let (requirements, at) = (&selector.requirements, path.child("fieldSelector"));
        errors.extend(one_form(&selector.raw_selector, requirements.len(), &at));
        for (index, requirement) in requirements.iter().enumerate() {
            let at = at.child("requirements").index(index);
            if requirement.key.is_empty() {
                errors.push(Error::required(&at.child("key"), "must be specified"));
            }
            errors.extend(validate_values(&requirement.operator, &requirement.values, &at));
        }
    }
    if let Some(selector) = &attributes.label_selector {
        let (requirements, at) = (&selector.requirements, path.child("labelSelector"));
        errors.extend(one_form(&selector.raw_selector, requirements.len(), &at));
        for (index, requirement) in requirements.iter().enumerate() {
            let at = at.child("requirements").index(index);
            errors.extend(validate_values(&requirement.operator, &requirement.values, &at));
            let key = requirement.key.as_str();
            let wrong = is_label_key(key).into_iter();
            errors.extend(wrong.map(|wrong| Error::invalid(&at.child("key"), key, wrong)));
            for (index, value) in requirement.values.iter().enumerate() {
                let at = at.child("values").index(index);
                let wrong = is_valid_label_value(value).into_iter();
                errors.extend(wrong.map(|wrong| Error::invalid(&at, value, wrong)));
            }
        }
    }
    errors
}

/// An error unless a selector is either a text or a list.
fn one_form(raw: &str, requirements: usize, path: &Path) -> Option<Error> {
    match (raw.is_empty(), requirements) {
        (false, 1..) => {
            let detail = "may not specified at the same time as requirements";
            Some(Error::invalid(&path.child("rawSelector"), raw, detail))
        }
        (true, 0) => {
            let detail = format!("when {path} is specified, requirements or rawSelector is required");
            Some(Error::required(&path.child("requirements"), detail))
        }
        _ => None,
    }
}

/// An error if an operator has not the values that it takes. Clients may be newer and know others.
fn validate_values(operator: &str, values: &[String], path: &Path) -> Option<Error> {
    let at = path.child("values");
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            Some(Error::required(&at, detail))
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            Some(Error::forbidden(&at, detail))
        }
        _ => None,
    }
}

fn validate_attributes(
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) -> ErrorList {
    let spec = Path::new("spec");
    match (resource, path) {
        (Some(_), Some(path)) => vec![Error::invalid(
            &spec.child("nonResourceAttributes"),
            shown(path),
            "cannot be specified in combination with resourceAttributes",
        )],
        (None, None) => vec![Error::invalid(
            &spec.child("resourceAttributes"),
            Value::Json("null".to_owned()),
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )],
        _ => ErrorList::new(),
    }
}

/// A review has no identity of its own.
fn validate_metadata(metadata: &ObjectMeta, namespace: &str) -> ErrorList {
    let bare = ObjectMeta {
        namespace: namespace.to_owned(),
        managed_fields: metadata.managed_fields.clone(),
        creation_timestamp: metadata.creation_timestamp,
        ..ObjectMeta::default()
    };
    if *metadata == bare {
        return ErrorList::new();
    }
    let why = if namespace.is_empty() {
        "must be empty"
    } else {
        "must be empty except for namespace"
    };
    let shown = Value::Json(String::from_utf8_lossy(&metadata.to_json()).into_owned());
    vec![Error::invalid(&Path::new("metadata"), shown, why)]
}
