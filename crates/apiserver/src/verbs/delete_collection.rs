//! DELETE of all that is selected, one by one.

use apimachinery::status::Status;
use http::StatusCode;

use super::delete::{admission_options, delete_options};
use super::list::page;
use super::{Selection, document, object_renderer};
use crate::render::Source;
use crate::render::list::ListMeta;
use crate::request::Request;
use crate::request::options::ListOptions;
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;
use crate::write::Writer;

pub async fn delete_collection(
    api: &Api,
    served: &Served,
    request: &mut Request,
) -> Result<Response, Status> {
    let renderer = object_renderer(api, served, request)?;
    let list_options = ListOptions::parse(&request.query)?;
    let options = delete_options(request).await?;
    let selection = Selection::new(served, &request.info, &list_options)?;
    let selected = page(&served.objects, &selection, &list_options).await?;
    let mut warnings = Vec::new();
    let mut deleted = Vec::with_capacity(selected.entries.len());
    for entry in &selected.entries {
        let key = String::from_utf8_lossy(
            entry
                .key()
                .get(served.objects.prefix().len()..)
                .unwrap_or_default(),
        )
        .into_owned();
        let (namespace, name) = if served.row.namespaced {
            key.split_once('/').unwrap_or(("", &key))
        } else {
            ("", key.as_str())
        };
        let mut writer = Writer {
            api,
            served,
            user: &request.user,
            namespace: if served.row.namespaced {
                namespace
            } else {
                &request.info.namespace
            },
            name,
            subresource: "",
            dry_run: !options.dry_run.is_empty(),
            options: admission_options(&options),
            manager: None,
            warnings: Vec::new(),
        };
        match writer.delete(&options).await {
            Ok(gone) => deleted.push(gone.last),
            // Somebody else was faster: that is what was wanted.
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
        warnings.append(&mut writer.warnings);
    }
    warnings.into_iter().for_each(|warning| request.warn(warning));
    let metadata = ListMeta {
        resource_version: selected.revision,
        ..ListMeta::default()
    };
    let items = deleted
        .iter()
        .map(|written| Source::Plain(&written.value, written.revision.map(|revision| revision.0)));
    let shown = renderer.list(&metadata, items)?;
    Ok(document(&renderer, request, StatusCode::OK, shown))
}
