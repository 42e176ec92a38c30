//! Without flow control: bounds how many short requests are served at once, 429 beyond.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use super::{Filter, Next};
use crate::metrics::Metrics;
use crate::request::Request;
use crate::response::{Response, too_many_requests};

/// After how many seconds a refused client may come back.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Two separate bounds, so that a storm of writes can't keep out reads, nor the other way round.
pub struct InFlight {
    read_only: Option<Semaphore>,
    mutating: Option<Semaphore>,
    metrics: Arc<Metrics>,
}

impl InFlight {
    /// Zero means no bound.
    pub fn new(read_only: usize, mutating: usize, metrics: Arc<Metrics>) -> InFlight {
        let semaphore = |limit: usize| (limit > 0).then(|| Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        InFlight {
            read_only: semaphore(read_only),
            mutating: semaphore(mutating),
            metrics,
        }
    }
}

impl Filter for InFlight {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let read_only = !request.info.is_resource_request || request.info.is_read_only();
            let limit = if read_only {
                &self.read_only
            } else {
                &self.mutating
            };
            let Some(limit) = limit.as_ref().filter(|_| !request.info.is_long_running()) else {
                return next.run(request).await;
            };
            let permit = match limit.try_acquire() {
                Ok(permit) => permit,
                // Administrators get in whatever happens, so that an overload can be mended.
                Err(_) if request.user.in_group(auth::user::PRIVILEGED) => return next.run(request).await,
                Err(_) => return self.refuse(request),
            };
            let gauge = self.metrics.in_flight(read_only);
            let response = next.run(request).await;
            drop((permit, gauge));
            response
        })
    }
}

impl InFlight {
    fn refuse(&self, request: &Request) -> Response {
        self.metrics.dropped(&request.info);
        too_many_requests(RETRY_AFTER_SECONDS)
    }
}
