//! DELETE of all that is selected, each object as if it were deleted alone.

use std::sync::Arc;

use api::meta::v1::DeleteOptions;
use apimachinery::status::Status;
use auth::UserInfo;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::StatusCode;
use storage::cache::Entry;

use super::delete::{admission_options, delete_options};
use super::list::page;
use super::{Selection, document, object_renderer};
use crate::objects::Written;
use crate::render::Source;
use crate::render::list::ListMeta;
use crate::request::Request;
use crate::request::options::ListOptions;
use crate::resource::Served;
use crate::response::Response;
use crate::state::Api;
use crate::write::Writer;

/// Deletions under way at a time: they share the store's syncs.
const DELETES_AT_ONCE: usize = 16;

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
    let shared = Shared {
        api,
        served,
        user: &request.user,
        namespace: &request.info.namespace,
        options: &options,
    };
    let mut warnings = Vec::new();
    let mut deleted = Vec::with_capacity(selected.entries.len());
    let mut deletes = stream::iter(selected.entries)
        .map(|entry| shared.delete(entry))
        .buffered(DELETES_AT_ONCE);
    while let Some(mut gone) = deletes.next().await {
        warnings.append(&mut gone.warnings);
        match gone.last {
            Ok(last) => deleted.push(last),
            // Somebody else was faster: that is what was wanted.
            Err(status) if status.is_not_found() => {}
            Err(status) => return Err(status),
        }
    }
    drop(deletes);
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

/// What all deletions of a request share.
struct Shared<'a> {
    api: &'a Api,
    served: &'a Served,
    user: &'a UserInfo,
    /// Of the request; empty for all.
    namespace: &'a str,
    options: &'a DeleteOptions,
}

/// How one deletion ended.
struct Gone {
    last: Result<Written, Status>,
    warnings: Vec<String>,
}

impl Shared<'_> {
    fn delete(&self, entry: Arc<Entry>) -> BoxFuture<'_, Gone> {
        Box::pin(self.delete_one(entry))
    }

    async fn delete_one(&self, entry: Arc<Entry>) -> Gone {
        let relative = entry.key().get(self.served.objects.prefix().len()..);
        let key = String::from_utf8_lossy(relative.unwrap_or_default());
        let (namespace, name) = match key.split_once('/') {
            Some(parts) if self.served.row.namespaced => parts,
            _ => (self.namespace, &*key),
        };
        let mut writer = Writer {
            api: self.api,
            served: self.served,
            user: self.user,
            namespace,
            name,
            subresource: "",
            dry_run: !self.options.dry_run.is_empty(),
            options: admission_options(self.options),
            manager: None,
            warnings: Vec::new(),
        };
        let last = writer.delete(self.options).await.map(|gone| gone.last);
        Gone {
            last,
            warnings: writer.warnings,
        }
    }
}
