//! PUT of an object's whole new state.

use api::Object;
use apimachinery::status::Status;
use http::StatusCode;

use super::{object_renderer, respond, writer};
use crate::decode::read_object;
use crate::request::Request;
use crate::request::options::{WriteKind, WriteOptions};
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;
use crate::write::{Applied, Change};

/// The body is the new state, whatever the old one.
struct Replacement(Box<dyn Object>);

impl Change for Replacement {
    fn states_identity(&self) -> bool {
        true
    }

    fn apply(&self, _current: Option<&dyn Object>) -> Result<Applied, Status> {
        Ok(Applied {
            object: self.0.clone_box(),
            warnings: Vec::new(),
        })
    }
}

pub async fn update(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let renderer = object_renderer(api, served, request)?;
    let options = WriteOptions::parse(&request.query, WriteKind::Update)?;
    let object = read_object(request, served, options.field_validation).await?;
    let mut object = served.to_storage(object)?;
    let mut writer = writer(
        api,
        served,
        request,
        options.dry_run,
        options.to_json(WriteKind::Update),
    );
    writer.settle_identity(&mut *object)?;
    let saved = writer.update(&Replacement(object), false).await;
    let warnings = std::mem::take(&mut writer.warnings);
    warnings.into_iter().for_each(|warning| request.warn(warning));
    let saved = saved?;
    let code = if saved.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    respond(&renderer, request, code, &saved.written).await
}
