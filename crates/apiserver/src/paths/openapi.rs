//! `/openapi/v2` and `/openapi/v3`.

use std::sync::Arc;

use apimachinery::status::Status;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, LOCATION,
    VARY,
};
use http::{HeaderMap, StatusCode};

use crate::openapi::{Documents, Form, Served};
use crate::request::Request;
use crate::response::compress::accepts_gzip;
use crate::response::{Response, full, page_not_found, text};

/// Serves a document. Making one takes a while, the first time that it is asked for.
pub async fn serve(
    documents: &Arc<Documents>,
    segments: &[&str],
    request: &Request,
) -> Result<Response, Status> {
    let headers = request.headers();
    let accept = request.header("accept").unwrap_or_default();
    match segments {
        ["v2"] => {
            let Some(form) = negotiate(accept, true) else {
                return Ok(not_acceptable());
            };
            let served = make(documents, move |documents| Some(documents.v2(form))).await?;
            served.map_or_else(
                || Ok(page_not_found()),
                |served| respond(&served, form.media_type(), headers),
            )
        }
        ["v3", path @ ..] => {
            let path = path.join("/");
            if !path.is_empty() && negotiate(accept, false).is_none() {
                return Ok(not_acceptable());
            }
            let wanted = path.clone();
            let made = make(documents, move |documents| match wanted.as_str() {
                "" => Some(documents.v3_index()),
                path => documents.v3(path),
            });
            match made.await? {
                None => Ok(empty(StatusCode::NOT_FOUND)),
                Some(served) if path.is_empty() => index(&served),
                Some(served) => hashed(&served, &path, request),
            }
        }
        _ => Ok(page_not_found()),
    }
}

async fn make<F>(documents: &Arc<Documents>, make: F) -> Result<Option<Served>, Status>
where
    F: FnOnce(&Documents) -> Option<Served> + Send + 'static,
{
    let documents = documents.clone();
    tokio::task::spawn_blocking(move || make(&documents))
        .await
        .map_err(Status::internal)
}

/// The form that the client likes best; `None`: it takes none that there is.
fn negotiate(accept: &str, has_protobuf: bool) -> Option<Form> {
    let media_types = accept
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let form = |media_type: &str| match media_type {
        "" | "*/*" | "application/*" | "application/json" => Some(Form::Json),
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
        | "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
            if has_protobuf =>
        {
            Some(Form::Protobuf)
        }
        _ => None,
    };
    media_types.filter_map(form).next()
}

/// A document of version 3. Its path in the index names its hash: what was fetched by it never changes, and who
/// comes with another one is sent to the current.
fn hashed(served: &Served, path: &str, request: &Request) -> Result<Response, Status> {
    let query = request.head.uri.query().unwrap_or_default();
    let hash = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("hash="))
        .filter(|hash| !hash.is_empty());
    if hash.is_some_and(|hash| hash != served.hash()) && !path.is_empty() {
        let mut response = Response::new(full(Vec::new()));
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        set(
            &mut response,
            LOCATION,
            &format!("/openapi/v3/{path}?hash={}", served.hash()),
        )?;
        return Ok(response);
    }
    let mut response = respond(served, Form::Json.media_type(), request.headers())?;
    set(
        &mut response,
        CACHE_CONTROL,
        if hash.is_some() {
            "public, immutable"
        } else {
            "no-cache, private"
        },
    )?;
    Ok(response)
}

fn respond(served: &Served, media_type: &str, headers: &HeaderMap) -> Result<Response, Status> {
    let etag = served.etag();
    if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes())
    {
        let mut response = Response::new(full(Vec::new()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        set(&mut response, ETAG, &etag)?;
        return Ok(response);
    }
    let mut response = if accepts_gzip(headers) {
        let mut response = Response::new(full(served.gzip()));
        set(&mut response, CONTENT_ENCODING, "gzip")?;
        response
    } else {
        Response::new(full(served.identity().map_err(Status::internal)?))
    };
    set(&mut response, CONTENT_TYPE, media_type)?;
    set(&mut response, ETAG, &etag)?;
    // Two headers, as upstream sends them: some caches look at the first only.
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.append(VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn set(response: &mut Response, name: HeaderName, value: &str) -> Result<(), Status> {
    let value = HeaderValue::from_str(value).map_err(Status::internal)?;
    response.headers_mut().insert(name, value);
    Ok(())
}

/// The list of documents is never compressed, and upstream doesn't say what it is.
fn index(served: &Served) -> Result<Response, Status> {
    Ok(text(StatusCode::OK, served.identity().map_err(Status::internal)?))
}

fn not_acceptable() -> Response {
    empty(StatusCode::NOT_ACCEPTABLE)
}

fn empty(code: StatusCode) -> Response {
    let mut response = Response::new(full(Vec::new()));
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use super::{Form, negotiate};

    #[test]
    fn the_first_known_form_is_served() {
        let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        assert_eq!(negotiate(protobuf, true), Some(Form::Protobuf));
        assert_eq!(
            negotiate(&format!("text/html, {protobuf};q=0.9, */*"), true),
            Some(Form::Protobuf)
        );
        assert_eq!(negotiate("", true), Some(Form::Json));
        assert_eq!(negotiate("application/json, */*", false), Some(Form::Json));
        assert_eq!(negotiate(protobuf, false), None);
        assert_eq!(negotiate("text/html", true), None);
    }
}
