//! GET of one object.

use apimachinery::status::Status;
use http::StatusCode;
use storage::Revision;
use storage::cache::Freshness;

use super::{document, not_found, object_renderer, parse_version};
use crate::objects::failed;
use crate::render::Source;
use crate::request::Request;
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;

pub async fn get(api: &Api, served: &Served, request: &mut Request) -> Result<Response, Status> {
    let renderer = object_renderer(api, served, request)?;
    let freshness = match request.query.get("resourceVersion").unwrap_or_default() {
        "" => Freshness::Latest,
        "0" => Freshness::Any,
        version => Freshness::AtLeast(Revision(parse_version(version)?)),
    };
    let name = &request.info.name;
    let key = served.objects.key(&request.info.namespace, name);
    let (_, found) = served
        .objects
        .cache
        .get(key.as_bytes(), freshness)
        .await
        .map_err(|error| failed(&error))?;
    let entry = found.ok_or_else(|| not_found(served, name))?;
    let entry = served.objects.entry_in_own_version(entry).await?;
    let shown = renderer.object(&Source::Cached(&entry, entry.mod_revision().0))?;
    Ok(document(&renderer, request, StatusCode::OK, shown))
}
