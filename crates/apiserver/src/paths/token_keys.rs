//! What others need to verify service-account tokens: the OIDC documents.

use apimachinery::status::Status;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::Value;

use crate::request::negotiate::Encoding;
use crate::response::{Response, bytes, page_not_found};

/// The documents, made once: keys change with a restart. Without an `https` issuer there are none.
#[derive(Clone, Debug, Default)]
pub struct TokenKeys {
    pub configuration: Option<Value>,
    pub keys: Option<Value>,
}

impl TokenKeys {
    pub(super) fn configuration(&self) -> Result<Response, Status> {
        answer(self.configuration.as_ref(), Encoding::Json.media_type())
    }

    pub(super) fn keys(&self) -> Result<Response, Status> {
        answer(self.keys.as_ref(), pki::token::discovery::KEYS_CONTENT_TYPE)
    }
}

fn answer(document: Option<&Value>, content_type: &'static str) -> Result<Response, Status> {
    let Some(document) = document else {
        return Ok(page_not_found());
    };
    let mut response = bytes(StatusCode::OK, content_type, document.to_string());
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Ok(response)
}
