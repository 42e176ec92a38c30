//! Counts and times every request.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Filter, Next};
use crate::metrics::Metrics;
use crate::request::Request;
use crate::response::Response;

pub struct RequestMetrics {
    pub metrics: Arc<Metrics>,
}

impl Filter for RequestMetrics {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let response = next.run(request).await;
            self.metrics.answered(request, &response);
            tracing::debug!(
                verb = %request.info.verb,
                uri = %request.head.uri,
                code = response.status().as_u16(),
                user = %request.user.name,
                audit_id = %request.audit_id,
                latency_us = request.received.elapsed().as_micros() as u64,
                "served"
            );
            response
        })
    }
}
