//! Reviews: questions about tokens and access, answered in the object that was sent.

use api::authentication::v1::{SelfSubjectReview, TokenReview};
use api::authorization::v1::{
    LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview,
    SelfSubjectRulesReview, SubjectAccessReview, SubjectAccessReviewSpec,
};
use api::catalogue;
use api::meta::v1::ObjectMeta;
use api::{Object, Resource};
use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use apimachinery::time::Time;
use auth::{Attributes, review};
use http::StatusCode;

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
    asked.review.metadata.creation_timestamp = Some(Time(api.clock.now()).truncated());
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
        errors.push(Error::invalid(
            &path.child("namespace"),
            "",
            "must match metadata.namespace",
        ));
    }
    if spec.non_resource_attributes.is_some() {
        let path = Path::new("spec").child("nonResourceAttributes");
        errors.push(Error::invalid(&path, "", "disallowed on this kind of request"));
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
    asked.review.status = review::rules(&*api.authorizer, &request.user, &asked.review.spec.namespace);
    answer(api, row, request, asked).await
}

async fn decide(api: &Api, attributes: &Attributes) -> auth::Decision {
    api.authorizer.authorize(attributes).await
}

fn valid(row: &catalogue::Resource, errors: ErrorList) -> Result<(), Status> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Status::invalid(&GroupKind::new(row.group, row.kind), "", &errors))
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
    errors
}

fn validate_attributes(
    resource: Option<&ResourceAttributes>,
    path: Option<&NonResourceAttributes>,
) -> ErrorList {
    let spec = Path::new("spec");
    match (resource, path) {
        (Some(_), Some(_)) => vec![Error::invalid(
            &spec.child("nonResourceAttributes"),
            "",
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
    vec![Error::invalid(&Path::new("metadata"), "", why)]
}
