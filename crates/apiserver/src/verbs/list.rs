//! GET of a collection: a page of the objects that are selected, as of one revision.

use apimachinery::status::Status;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response as HttpResponse, StatusCode};
use storage::cache::{Entry, Freshness, Scope, Snapshot};
use storage::{Error, Revision};

use std::borrow::Cow;
use std::sync::Arc;

use super::continue_token::ContinueToken;
use super::{Selection, document, object_renderer, parse_version};
use crate::objects::{Objects, TOO_OLD, failed};
use crate::render::list::ListMeta;
use crate::render::list_gzip::GzipList;
use crate::render::list_stream::{self, ListStream};
use crate::render::{Renderer, Source};
use crate::request::Request;
use crate::request::options::{ListOptions, VersionMatch};
use crate::resource::Served;
use crate::response::compress;
use crate::response::{Body, Response, stream};
use crate::state::Api;

/// What upstream tells a client whose continue token is too old.
const CONTINUE_TOO_OLD: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// Objects of one page, and where they were read.
pub struct Page {
    pub revision: u64,
    pub entries: Vec<Arc<Entry>>,
    pub next: Option<ContinueToken>,
    pub remaining: Option<u64>,
}

pub async fn list(api: &Arc<Api>, served: &Arc<Served>, request: &mut Request) -> Result<Response, Status> {
    let renderer = object_renderer(api, served, request)?;
    let options = ListOptions::parse(&request.query)?;
    let selection = Selection::new(served, &request.info, &options)?;
    let mut page = page(&served.objects, &selection, &options).await?;
    page.entries = served.objects.entries_in_own_version(page.entries).await?;
    let metadata = ListMeta {
        resource_version: page.revision,
        continue_: page.next.map(|token| token.encode()).unwrap_or_default(),
        remaining: page.remaining,
    };
    if list_stream::pays(&renderer.output, &page.entries) {
        if compress::accepts_gzip(request.headers()) {
            let list = GzipList::new(api, served, &renderer, &metadata, page.entries)?;
            let mut response = streamed(&renderer, stream(list.into_chunks()));
            compress::mark(response.headers_mut());
            return Ok(response);
        }
        let list = ListStream::new(api, served, &renderer, &metadata, page.entries)?;
        return Ok(streamed(&renderer, stream(list.into_chunks())));
    }
    let items = page
        .entries
        .iter()
        .map(|entry| Source::Cached(entry, entry.mod_revision().0));
    let shown = renderer.list(&metadata, items)?;
    Ok(document(&renderer, request, StatusCode::OK, shown))
}

fn streamed(renderer: &Renderer<'_>, body: Body) -> Response {
    let mut response = HttpResponse::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(renderer.content_type()));
    response
}

/// Reads one page.
pub async fn page(objects: &Objects, selection: &Selection, options: &ListOptions) -> Result<Page, Status> {
    let token = match options.continue_.as_str() {
        "" => None,
        text => Some(ContinueToken::decode(text).map_err(invalid_token)?),
    };
    let snapshot = snapshot(objects, options, token.as_ref()).await?;
    // From the watch cache, upstream answers "any version" with everything at once.
    let limit = if options.resource_version == "0" {
        0
    } else {
        usize::try_from(options.limit).unwrap_or(0)
    };
    let after = token.map(|token| format!("{}{}", objects.prefix(), token.after));
    let revision = snapshot.revision().0;
    let scope = selection.scope();
    let mut all = snapshot.scoped(scope, after.as_ref().map(|key| key.as_bytes()));
    let mut fetched = 0;
    let matching = all
        .by_ref()
        .inspect(|_| fetched += 1)
        .filter(|entry| selection.matches(entry));
    if limit == 0 {
        let entries: Vec<Arc<Entry>> = matching.cloned().collect();
        objects.cache.record_list(&index(scope), fetched, entries.len());
        return Ok(Page {
            revision,
            entries,
            next: None,
            remaining: None,
        });
    }
    let entries: Vec<Arc<Entry>> = matching.take(limit).cloned().collect();
    objects.cache.record_list(&index(scope), fetched, entries.len());
    // What comes behind a full page is not looked at before it is asked for: it may hold nothing that matches.
    let more = entries.len() == limit && all.next().is_some();
    let last = entries.last().filter(|_| more);
    let next = last.map(|entry| ContinueToken {
        revision: Some(revision),
        after: relative_key(objects, entry),
    });
    // Upstream counts what is left only where it need not look at it.
    let remaining = (more && selection.is_everything()).then(|| 1 + all.count() as u64);
    Ok(Page {
        revision,
        entries,
        next,
        remaining,
    })
}

/// The name that metrics give to the index a list was read through; `""`: none.
fn index(scope: &Scope) -> Cow<'static, str> {
    match scope {
        Scope::Field { field, .. } => format!("f:{field}").into(),
        Scope::Prefix(_) | Scope::Key(_) => "".into(),
    }
}

fn invalid_token(status: Status) -> Status {
    Status::bad_request(format!("invalid continue token: {}", status.message))
}

/// A list's resourceVersion.
fn list_version(text: &str) -> Result<u64, Status> {
    parse_version(text)
        .map_err(|status| Status::bad_request(format!("invalid resource version: {}", status.message)))
}

fn relative_key(objects: &Objects, entry: &Entry) -> String {
    String::from_utf8_lossy(entry.key().get(objects.prefix().len()..).unwrap_or_default()).into_owned()
}

/// The state that the options ask for.
async fn snapshot(
    objects: &Objects,
    options: &ListOptions,
    token: Option<&ContinueToken>,
) -> Result<Snapshot, Status> {
    let cache = &objects.cache;
    if let Some(token) = token {
        if !options.resource_version.is_empty() && options.resource_version != "0" {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let taken = match token.revision {
            Some(revision) => cache.snapshot_at(Revision(revision)).await,
            None => cache.snapshot(Freshness::Latest).await,
        };
        return taken.map_err(|error| match error {
            Error::Compacted { .. } => continue_expired(token),
            other => failed(&other),
        });
    }
    let exact = options.resource_version_match == Some(VersionMatch::Exact)
        || (options.resource_version_match.is_none() && options.limit > 0);
    let taken = match options.resource_version.as_str() {
        "" => cache.snapshot(Freshness::Latest).await,
        "0" => cache.snapshot(Freshness::Any).await,
        version if exact => cache.snapshot_at(Revision(list_version(version)?)).await,
        version => {
            cache
                .snapshot(Freshness::AtLeast(Revision(list_version(version)?)))
                .await
        }
    };
    taken.map_err(|error| match error {
        Error::Compacted { .. } => Status::expired(TOO_OLD),
        other => failed(&other),
    })
}

/// 410 with a token that goes on from the same place in the newest state.
fn continue_expired(token: &ContinueToken) -> Status {
    let mut status = Status::expired(CONTINUE_TOO_OLD);
    status.continue_token = Some(
        ContinueToken {
            revision: None,
            after: token.after.clone(),
        }
        .encode(),
    );
    status
}
