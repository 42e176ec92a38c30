//! Answers: bodies, Status documents, and the forms an object is shown in.

pub mod compress;
pub mod indent;

use api::Message;
use api::codec::TypeMeta;
use bytes::Bytes;
pub use component_base::serving::body::{full, stream, text};
pub use component_base::serving::{Body, BoxError, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Response as HttpResponse, StatusCode};

use apimachinery::status::{Details, Status};

use crate::request::Request;
use crate::request::negotiate::{Encoding, Output};

/// A response with a content type.
pub fn bytes(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = HttpResponse::new(full(body));
    *response.status_mut() = code;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// What Go's mux answers to a path that nothing serves.
pub fn page_not_found() -> Response {
    plain_error(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// An error in plain text, as Go's `http.Error` writes it.
pub fn plain_error(code: StatusCode, message: impl Into<Bytes>) -> Response {
    let mut response = text(code, message);
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What a client is told that must come back later: plain text, as Go's `http.Error` writes it.
pub fn too_many_requests(retry_after_seconds: u64) -> Response {
    let message = "Too many requests, please try again later.\n";
    let mut response = plain_error(StatusCode::TOO_MANY_REQUESTS, message);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds));
    response
}

/// A JSON document in the negotiated encoding; protobuf is not offered for it.
pub fn json_document(code: StatusCode, json: Vec<u8>, output: Output) -> Response {
    match output.encoding {
        Encoding::Yaml => match api::codec::yaml::from_json(&json) {
            Ok(yaml) => bytes(code, Encoding::Yaml.media_type(), yaml.into_bytes()),
            Err(error) => failure(&Status::internal(error.to_string()), Encoding::Json),
        },
        _ if output.pretty => bytes(code, Encoding::Json.media_type(), indent::indent(&json)),
        _ => bytes(code, Encoding::Json.media_type(), line(json)),
    }
}

/// A message that is not stored, as a document of its kind (group, version, kind).
pub fn message(
    code: StatusCode,
    kind: (&str, &str, &str),
    message: &dyn Message,
    output: Output,
) -> Result<Response, Status> {
    let (group, version, kind) = kind;
    let raw = message.encode_to_vec();
    if output.encoding == Encoding::Protobuf {
        return Ok(bytes(
            code,
            Encoding::Protobuf.media_type(),
            crate::kind::wrap(group, version, kind, &raw),
        ));
    }
    let api_version = crate::kind::api_version_of(group, version);
    let meta = TypeMeta {
        api_version: &api_version,
        kind,
    };
    let mut json = Vec::with_capacity(raw.len() * 2);
    api::codec::proto_to_json(Some(meta), message.descriptor(), &raw, &mut json).map_err(Status::internal)?;
    Ok(json_document(code, json, output))
}

/// A failed request's Status.
pub fn failure(status: &Status, encoding: Encoding) -> Response {
    status_document(status, Output::plain(encoding))
}

fn status_document(status: &Status, output: Output) -> Response {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let plain = Output {
        encoding: Encoding::Json,
        ..output
    };
    let mut response = match output.encoding {
        Encoding::Protobuf => match crate::kind::status_envelope(status) {
            Ok(body) => bytes(code, crate::request::negotiate::PROTOBUF, body),
            Err(_) => json_document(code, status.to_json(), plain),
        },
        Encoding::Yaml => match api::codec::yaml::from_json(&status.to_json()) {
            Ok(yaml) => bytes(code, Encoding::Yaml.media_type(), yaml.into_bytes()),
            Err(_) => json_document(code, status.to_json(), plain),
        },
        Encoding::Json => json_document(code, status.to_json(), output),
    };
    if let Some(seconds) = status.retry_after_seconds() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A failed request's Status in the form that the client asked for; indented JSON when it asked for none that there is.
pub fn refusal(status: &Status, request: &Request) -> Response {
    let output = request.error_output().unwrap_or(Output {
        pretty: true,
        ..Output::plain(Encoding::Json)
    });
    status_document(status, output)
}

/// What a client is told that may not do something: a [`refusal`] that no browser takes for anything else.
pub fn forbidden(status: &Status, request: &Request) -> Response {
    let mut response = refusal(status, request);
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A Status that reports success, as DELETE answers.
pub fn success(code: StatusCode, details: Option<Details>, output: Output) -> Response {
    let mut status = Status::success(details);
    status.code = code.as_u16();
    status_document(&status, output)
}

/// A Status that reports that something was made: the one success that carries its code.
pub fn created(output: Output) -> Result<Response, Status> {
    let status = api::meta::v1::Status {
        status: "Success".to_owned(),
        code: i32::from(StatusCode::CREATED.as_u16()),
        ..api::meta::v1::Status::default()
    };
    message(StatusCode::CREATED, ("", "v1", "Status"), &status, output)
}

/// A document that is not indented ends its line.
pub(crate) fn line(mut json: Vec<u8>) -> Vec<u8> {
    if !json.ends_with(b"\n") {
        json.push(b'\n');
    }
    json
}
