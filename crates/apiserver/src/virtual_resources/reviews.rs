//! Reviews: questions about tokens and access, answered in the object that was sent.

mod validation;

use api::Resource;
use api::authentication::v1::{SelfSubjectReview, TokenReview};
use api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};
use api::catalogue;
use api::meta::v1::ObjectMeta;
use apimachinery::field::ErrorList;
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
async fn answer<T: Resource>(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
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
    // Of what is in no namespace, a namespace is not kept.
    asked.review.metadata.namespace.clear();
    let spec = &asked.review.spec;
    valid(row, validation::subject_access(spec, &asked.review.metadata)?)?;
    let decision = decide(api, &review::attributes_of(spec)).await;
    asked.review.status = review::access(decision, spec.resource_attributes.as_deref());
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
    valid(
        row,
        validation::local_subject_access(spec, &asked.review.metadata)?,
    )?;
    let decision = decide(api, &review::attributes_of(spec)).await;
    asked.review.status = review::access(decision, spec.resource_attributes.as_deref());
    answer(api, row, request, asked).await
}

pub async fn self_subject_access(
    api: &Api,
    row: &'static catalogue::Resource,
    request: &mut Request,
) -> Result<Response, Status> {
    let mut asked = read::<SelfSubjectAccessReview>(api, row, request).await?;
    asked.review.metadata.namespace.clear();
    let spec = &asked.review.spec;
    valid(
        row,
        validation::self_subject_access(spec, &asked.review.metadata)?,
    )?;
    let decision = decide(api, &review::attributes_of_self(&request.user, spec)).await;
    asked.review.status = review::access(decision, spec.resource_attributes.as_deref());
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
        // Upstream names the kind that the decoded review states, which is none.
        Err(Status::invalid(&GroupKind::new(row.group, ""), "", &errors))
    }
}
