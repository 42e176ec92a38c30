//! Short requests are answered within the request timeout, and their answers taken.

use std::sync::Arc;
use std::time::Duration;

use apimachinery::status::Status;
use component_base::serving::FinishBy;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Filter, Next};
use crate::metrics::Metrics;
use crate::request::Request;
use crate::response::{Response, refusal};

/// What an answer at the last moment has to be sent.
const SENDING_GRACE: Duration = Duration::from_secs(5);

pub struct Deadline {
    pub timeout: Duration,
    pub metrics: Arc<Metrics>,
}

impl Filter for Deadline {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            if request.info.is_long_running() {
                return next.run(request).await;
            }
            let timeout = match self.allowed(request) {
                Ok(timeout) => timeout,
                Err(status) => return refusal(&status, request),
            };
            request.time_limit = Some(timeout);
            let deadline = Instant::now() + timeout;
            let answered = tokio::time::timeout_at(deadline, next.run(request)).await;
            let mut response = answered.unwrap_or_else(|_| {
                self.metrics.terminated(&request.info);
                let message = "request did not complete within the allotted timeout";
                refusal(&Status::timeout(message, 0), request)
            });
            // A client that does not read must not keep the answer in memory.
            response
                .extensions_mut()
                .insert(FinishBy(deadline.max(Instant::now() + SENDING_GRACE)));
            response
        })
    }
}

impl Deadline {
    /// The client may ask for less than the server's bound with `timeout=`.
    fn allowed(&self, request: &Request) -> Result<Duration, Status> {
        let Some(text) = request.query.get("timeout").filter(|text| !text.is_empty()) else {
            return Ok(self.timeout);
        };
        let asked = apimachinery::duration::Duration::parse(text)
            .map_err(|_| {
                Status::bad_request(format!(
                    "invalid timeout specified in the request URL - time: invalid duration {text:?}"
                ))
            })?
            .to_std();
        Ok(if asked.is_zero() {
            self.timeout
        } else {
            asked.min(self.timeout)
        })
    }
}
