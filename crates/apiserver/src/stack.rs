//! The request stack: what every request passes before a handler sees it, as one list.

mod audit_id;
mod authentication;
mod authorization;
mod deadline;
mod draining;
pub mod flow_control;
mod goaway;
mod impersonation;
mod in_flight;
mod panic_guard;
mod request_metrics;
mod response_headers;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::lifecycle::Lifecycle;
use crate::metrics::Metrics;
use crate::request::Request;
use crate::resource::Resources;
use crate::response::Response;

pub use authorization::{attributes, forbidden};
pub use draining::Refusal;

/// One layer: may answer itself, or hand on to `next` and touch what comes back.
pub trait Filter: Send + Sync {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response>;
}

/// What stands behind all filters.
pub trait Endpoint: Send + Sync {
    fn serve<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Response>;
}

/// The rest of the stack.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    filters: &'a [Box<dyn Filter>],
    endpoint: &'a dyn Endpoint,
}

impl<'a> Next<'a> {
    /// Hands the request on.
    pub fn run(self, request: &'a mut Request) -> BoxFuture<'a, Response> {
        match self.filters.split_first() {
            Some((filter, filters)) => filter.call(
                request,
                Next {
                    filters,
                    endpoint: self.endpoint,
                },
            ),
            None => self.endpoint.serve(request),
        }
    }
}

/// What the filters need from the server's configuration.
pub struct Config {
    pub authenticator: Arc<dyn auth::Authenticator>,
    pub authorizer: Arc<dyn auth::Authorizer>,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
    /// How requests are refused that come when the server ends.
    pub refusal: Refusal,
    /// The fraction of requests after which an HTTP/2 client is sent away.
    pub goaway_chance: f64,
    pub request_timeout: Duration,
    pub max_requests_in_flight: usize,
    pub max_mutating_requests_in_flight: usize,
    /// Takes the place of the fixed limits.
    pub flow_control: Option<(::flow_control::FlowControl, Arc<Resources>)>,
}

/// The stack in front of an endpoint.
pub struct Stack {
    filters: Vec<Box<dyn Filter>>,
    endpoint: Arc<dyn Endpoint>,
}

impl Stack {
    /// Builds the list, outermost first.
    pub fn new(config: Config, endpoint: Arc<dyn Endpoint>) -> Stack {
        let Config {
            authenticator,
            authorizer,
            metrics,
            lifecycle,
            refusal,
            goaway_chance,
            ..
        } = config;
        let filters: Vec<Box<dyn Filter>> = vec![
            Box::new(panic_guard::PanicGuard {
                metrics: metrics.clone(),
            }),
            Box::new(audit_id::AuditId),
            Box::new(response_headers::ResponseHeaders),
            Box::new(goaway::GoAway {
                chance: goaway_chance,
            }),
            Box::new(request_metrics::RequestMetrics {
                metrics: metrics.clone(),
            }),
            Box::new(draining::Draining { lifecycle, refusal }),
            Box::new(deadline::Deadline {
                timeout: config.request_timeout,
                metrics: metrics.clone(),
            }),
            Box::new(authentication::Authentication {
                authenticator,
                metrics: metrics.clone(),
            }),
            // Audit stands here: it sees the authenticated user and, through the request, the impersonated one.
            Box::new(impersonation::Impersonation::new(authorizer.clone())),
            match config.flow_control {
                Some((flow_control, resources)) => Box::new(flow_control::FlowControlled {
                    flow_control,
                    resources,
                    metrics,
                    request_timeout: config.request_timeout,
                }),
                None => Box::new(in_flight::InFlight::new(
                    config.max_requests_in_flight,
                    config.max_mutating_requests_in_flight,
                    metrics,
                )),
            },
            Box::new(authorization::Authorization { authorizer }),
        ];
        Stack { filters, endpoint }
    }

    /// Serves one request.
    pub async fn serve(&self, request: &mut Request) -> Response {
        Next {
            filters: &self.filters,
            endpoint: &*self.endpoint,
        }
        .run(request)
        .await
    }
}
