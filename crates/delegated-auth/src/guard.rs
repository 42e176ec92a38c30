//! Authentication and authorization before a handler of plain paths.

use std::sync::Arc;

use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use auth::Attributes;
use component_base::serving::{Handler, Request, Response, body};
use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::Delegate;

/// Lets a request through to `inner` if its path is open to all, or its user may use the path.
pub struct Guard {
    pub inner: Arc<dyn Handler>,
    pub delegate: Delegate,
    /// Paths that need no authorization: exact, or a prefix that ends in `*`.
    pub open_paths: Vec<String>,
}

impl Guard {
    fn is_open(&self, path: &str) -> bool {
        self.open_paths.iter().any(|open| match open.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path.trim_end_matches('/') == open.trim_end_matches('/'),
        })
    }
}

impl Handler for Guard {
    fn handle(&self, request: Request) -> BoxFuture<'static, Response> {
        let (inner, delegate) = (self.inner.clone(), self.delegate.clone());
        let open = self.is_open(request.uri().path());
        Box::pin(async move {
            if open {
                return inner.handle(request).await;
            }
            let user = delegate.authenticate(&request);
            let Some(user) = user.await else {
                return refuse(&Status::unauthorized());
            };
            let attributes = Attributes {
                user,
                verb: request.method().as_str().to_ascii_lowercase(),
                path: request.uri().path().to_owned(),
                ..Attributes::default()
            };
            let decision = delegate.authorize(&attributes).await;
            if decision.is_allowed() {
                return inner.handle(request).await;
            }
            let cause = match decision.reason() {
                "" => attributes.refusal(),
                reason => format!("{}: {reason}", attributes.refusal()),
            };
            refuse(&Status::forbidden(&GroupResource::default(), "", cause))
        })
    }
}

fn refuse(status: &Status) -> Response {
    let mut response = Response::new(body::full(status.to_json()));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::FORBIDDEN);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
