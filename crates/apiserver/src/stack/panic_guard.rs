//! A handler that panics answers 500 instead of dropping the connection.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use apimachinery::status::Status;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Filter, Next};
use crate::metrics::Metrics;
use crate::request::Request;
use crate::request::negotiate::Encoding;
use crate::response::{Response, failure};

pub struct PanicGuard {
    pub metrics: Arc<Metrics>,
}

impl Filter for PanicGuard {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let line = format!("{} {}", request.head.method, request.head.uri);
            match AssertUnwindSafe(next.run(request)).catch_unwind().await {
                Ok(response) => response,
                Err(_) => {
                    tracing::error!(request = %line, "handler panicked");
                    self.metrics.panicked();
                    failure(
                        &Status::internal(format!(
                            "This request caused apiserver to panic. Look in the logs for details: {line}"
                        )),
                        Encoding::Json,
                    )
                }
            }
        })
    }
}
