//! A transport for tests: answers come from a function, requests are remembered.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Body, Error, Transport, full};

type Answer = dyn Fn(&http::Request<Bytes>) -> Result<http::Response<Body>, Error> + Send + Sync;

/// Answers each request by a function.
#[derive(Clone)]
pub struct FakeTransport {
    answer: Arc<Answer>,
    sent: Arc<Mutex<Vec<http::Request<Bytes>>>>,
}

impl FakeTransport {
    pub fn new(
        answer: impl Fn(&http::Request<Bytes>) -> Result<http::Response<Body>, Error> + Send + Sync + 'static,
    ) -> Self {
        FakeTransport {
            answer: Arc::new(answer),
            sent: Arc::default(),
        }
    }

    /// Takes the requests sent so far.
    pub fn take(&self) -> Vec<http::Request<Bytes>> {
        std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Transport for FakeTransport {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Result<http::Response<Body>, Error>> {
        let answer = (self.answer)(&request);
        self.sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        Box::pin(std::future::ready(answer))
    }
}

/// An answer with a JSON body.
pub fn json(code: u16, body: impl Into<Bytes>) -> http::Response<Body> {
    let mut response = http::Response::new(full(body));
    *response.status_mut() =
        http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}
