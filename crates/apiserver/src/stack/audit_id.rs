//! Every request has an identity that stands in its response and in the logs.

use futures_util::future::BoxFuture;
use http::HeaderValue;

use super::{Filter, Next};
use crate::request::Request;
use crate::response::Response;

const AUDIT_ID: &str = "audit-id";

/// Longest identity taken over from a client.
const MAX_LENGTH: usize = 64;

pub struct AuditId;

impl Filter for AuditId {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let given = request
                .header(AUDIT_ID)
                .filter(|id| !id.is_empty() && id.len() <= MAX_LENGTH);
            let id = given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
            let value = HeaderValue::from_str(&id);
            request.audit_id = id;
            let mut response = next.run(request).await;
            if let Ok(value) = value {
                response.headers_mut().insert(AUDIT_ID, value);
            }
            response
        })
    }
}
