//! One generic path for each verb, for every stored resource.

mod continue_token;
mod create;
mod delete;
mod delete_collection;
mod get;
mod list;
pub mod patch;
mod selection;
mod update;
mod watch;

use std::num::IntErrorKind;
use std::sync::Arc;

use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response as HttpResponse, StatusCode};

use crate::managed_fields;
use crate::objects::Written;
use crate::render::{IncludeObject, Renderer, Source};
use crate::request::Request;
use crate::request::negotiate::{Offers, Output, View};
use crate::request::options;
use crate::resource::Served;
use crate::response::{Response, compress, full};
use crate::state::Api;
use crate::write::{OperationOptions, Writer};

pub use create::create;
pub use delete::check_options as check_delete_options;
pub(crate) use patch::raw_to_document;
pub use selection::Selection;

/// Serves a request for a stored resource.
pub async fn serve(api: &Arc<Api>, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
    let verb = request.info.verb.clone();
    match verb.as_str() {
        "get" => get::get(api, served, request).await,
        "list" => list::list(api, served, request).await,
        "watch" => watch::watch(api, served, request).await,
        "create" => create::create(api, served, request).await,
        "update" => update::update(api, served, request).await,
        "patch" => patch::patch(api, served, request).await,
        "delete" => delete::delete(api, served, request).await,
        "deletecollection" => delete_collection::delete_collection(api, served, request).await,
        other => Err(Status::method_not_supported(&served.group_resource(), other)),
    }
}

/// How the answer's objects are shown.
fn renderer<'a>(
    api: &'a Api,
    served: &'a Served,
    request: &Request,
    output: Output,
) -> Result<Renderer<'a>, Status> {
    let include = match output.view {
        View::Table(_) => IncludeObject::parse(&request.query)?,
        _ => IncludeObject::default(),
    };
    Ok(Renderer {
        served,
        output,
        include,
        now: api.clock.now(),
        kept: &api.kept,
    })
}

/// In what forms objects of a resource are shown.
pub fn offers(served: &Served) -> Offers {
    if served.is_custom() {
        Offers::Custom
    } else {
        Offers::Views
    }
}

/// A renderer for one object or list.
pub fn object_renderer<'a>(
    api: &'a Api,
    served: &'a Served,
    request: &Request,
) -> Result<Renderer<'a>, Status> {
    renderer(api, served, request, request.output(offers(served))?)
}

/// The answer that shows a written object.
pub async fn respond(
    renderer: &Renderer<'_>,
    request: &Request,
    code: StatusCode,
    written: &Written,
) -> Result<Response, Status> {
    let value = renderer
        .served
        .objects
        .one_in_own_version(written.value.clone())
        .await?;
    let source = Source::Plain(&value, written.revision.map(|revision| revision.0));
    Ok(document(renderer, request, code, renderer.object(&source)?))
}

/// A document as the answer.
pub fn document(renderer: &Renderer<'_>, request: &Request, code: StatusCode, document: Vec<u8>) -> Response {
    let body = Bytes::from(document);
    let mut response = HttpResponse::new(full(body.clone()));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(renderer.content_type()));
    if body.len() >= compress::THRESHOLD_BYTES && compress::accepts_gzip(request.headers()) {
        return compress::gzip(response, &body);
    }
    response
}

/// A writer for what the request names.
pub fn writer<'a>(
    api: &'a Api,
    served: &'a Served,
    request: &'a Request,
    dry_run: bool,
    options: OperationOptions,
) -> Writer<'a> {
    Writer {
        api,
        served,
        user: &request.user,
        namespace: &request.info.namespace,
        name: &request.info.name,
        subresource: &request.info.subresource,
        dry_run,
        options,
        manager: Some(manager_of(request)),
        warnings: Vec::new(),
    }
}

/// Who comes to own the fields that a request writes.
pub fn manager_of(request: &Request) -> String {
    let stated = options::text(&request.query, "fieldManager");
    managed_fields::manager_name(&stated, request.header("user-agent").unwrap_or_default())
}

/// A resourceVersion parameter.
fn parse_version(text: &str) -> Result<u64, Status> {
    let why = match text.parse::<u64>() {
        Ok(version) if !text.starts_with('+') => return Ok(version),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => "value out of range",
        _ => "invalid syntax",
    };
    Err(Status::unknown(format!(
        "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: {why}"
    )))
}

/// 404 for an object.
fn not_found(served: &Served, name: &str) -> Status {
    let resource: GroupResource = served.group_resource();
    Status::not_found(&resource, name)
}
