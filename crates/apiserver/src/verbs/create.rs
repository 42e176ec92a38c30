//! POST of a new object.

use apimachinery::status::Status;
use http::StatusCode;

use super::{object_renderer, respond, writer};
use crate::decode::read_object;
use crate::request::Request;
use crate::request::options::{WriteKind, WriteOptions};
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;

pub async fn create(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let renderer = object_renderer(api, served, request)?;
    let options = WriteOptions::parse(&request.query, WriteKind::Create)?;
    let object = read_object(request, served, options.field_validation).await?;
    let object = served.to_storage(object)?;
    let mut writer = writer(
        api,
        served,
        request,
        options.dry_run,
        options.to_json(WriteKind::Create),
    );
    let saved = writer.create(object).await;
    let warnings = std::mem::take(&mut writer.warnings);
    warnings.into_iter().for_each(|warning| request.warn(warning));
    respond(&renderer, request, StatusCode::CREATED, &saved?.written).await
}
