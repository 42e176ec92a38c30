//! API Priority and Fairness: a request waits for its turn, within bounds, when its priority level is busy.

mod estimate;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flow_control::traffic::Kind;
use flow_control::watchers::{Registered, Scope};
use flow_control::{About, Ask, Digest, Flow, FlowControl, Outcome, Permit};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};
use http_body::Body as _;
use http_body_util::BodyDataStream;

use super::{Filter, Next};
use crate::metrics::{Held, Metrics};
use crate::request::Request;
use crate::resource::Resources;
use crate::response::{self, Response, too_many_requests};

const FLOW_SCHEMA_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL_UID: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// The part of its time that a request may wait.
const WAITING_PART: u32 = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub struct FlowControlled {
    pub flow_control: FlowControl,
    pub resources: Arc<Resources>,
    pub metrics: Arc<Metrics>,
    /// Of requests that have no time limit of their own.
    pub request_timeout: Duration,
}

/// The seats of a request, for as long as this is held.
pub struct Seats {
    _permit: Permit,
    _executing: Held,
}

/// What a watch has of flow control: its handler lets go of the seats once the first state is sent, and of the
/// registration at its end.
pub struct WatchShare {
    pub seats: Seats,
    pub registered: Option<Registered>,
}

impl Filter for FlowControlled {
    fn call<'a>(&'a self, request: &'a mut Request, next: Next<'a>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            let is_watch = request.info.is_resource_request && request.info.verb == "watch";
            if request.info.is_long_running() && !is_watch {
                return next.run(request).await;
            }
            let Some(flow) = self.flow_control.classify(&digest(request)) else {
                return next.run(request).await;
            };
            let seats = match self.seats(request, &flow, is_watch).await {
                Some(seats) => seats,
                None => return self.refuse(request, &flow),
            };
            let mut response = if is_watch {
                request.watch_share = Some(WatchShare {
                    seats,
                    registered: self.register(request),
                });
                let response = next.run(request).await;
                // Still there if no watch came of it.
                request.watch_share = None;
                response
            } else {
                let response = next.run(request).await;
                held_until_sent(response, seats)
            };
            mark(response.headers_mut(), &flow);
            response
        })
    }
}

impl FlowControlled {
    /// The request's seats, once its turn has come; `None` if it is refused.
    async fn seats(&self, request: &Request, flow: &Arc<Flow>, is_watch: bool) -> Option<Seats> {
        let digest = digest(request);
        let read_only = request.info.is_read_only();
        let outcome = self.flow_control.ask(Ask {
            flow: flow.clone(),
            estimate: self.estimate(request, flow),
            kind: if read_only { Kind::ReadOnly } else { Kind::Mutating },
            watch: is_watch,
            about: About::new(flow, &digest, &request.info.name, &request.info.api_version),
        });
        let permit = match outcome {
            Outcome::Run(permit) => permit,
            Outcome::Refuse => return None,
            Outcome::Wait(waiting) => {
                let _in_queue = self.metrics.in_queue(read_only);
                waiting.turn(self.wait_limit(request)).await?
            }
        };
        Some(Seats {
            _permit: permit,
            _executing: self.metrics.in_flight(read_only),
        })
    }

    /// How long the request may wait from now on.
    fn wait_limit(&self, request: &Request) -> Duration {
        let allowed = request.time_limit.unwrap_or(self.request_timeout);
        let limit = (allowed / WAITING_PART).min(LONGEST_WAIT);
        limit.saturating_sub(request.received.elapsed())
    }

    /// Counts the watch among those that events of its resource go to.
    fn register(&self, request: &Request) -> Option<Registered> {
        let info = &request.info;
        // Watches of one node's pods are found by an index: an event costs nothing for the others.
        if info.resource == "pods" && names_a_node(&info.field_selector) {
            return None;
        }
        Some(self.flow_control.watchers().register(Scope {
            api_group: &info.api_group,
            resource: &info.resource,
            namespace: &info.namespace,
            name: &info.name,
        }))
    }

    fn refuse(&self, request: &Request, flow: &Flow) -> Response {
        self.metrics.dropped(&request.info);
        let mut response = too_many_requests(self.flow_control.retry_after(flow));
        mark(response.headers_mut(), flow);
        response
    }
}

fn names_a_node(field_selector: &str) -> bool {
    let selector = apimachinery::fields::Selector::parse(field_selector).ok();
    selector
        .and_then(|selector| {
            selector
                .requires_exact_match("spec.nodeName")
                .map(|node| !node.is_empty())
        })
        .unwrap_or(false)
}

fn digest(request: &Request) -> Digest<'_> {
    let info = &request.info;
    Digest {
        user: &request.user.name,
        groups: &request.user.groups,
        resource_request: info.is_resource_request,
        verb: &info.verb,
        api_group: &info.api_group,
        resource: &info.resource,
        subresource: &info.subresource,
        namespace: &info.namespace,
        path: &info.path,
    }
}

/// Says by uid what the request was taken for: names would tell users how they are looked at.
fn mark(headers: &mut HeaderMap, flow: &Flow) {
    let marks = [
        (FLOW_SCHEMA_UID, &flow.schema_uid),
        (PRIORITY_LEVEL_UID, &flow.level.uid),
    ];
    for (name, uid) in marks {
        // A uid that is no header value was never given out by a server.
        if let Ok(value) = HeaderValue::from_maybe_shared(uid.clone()) {
            headers.insert(name, value);
        }
    }
}

/// An answer that is made while it is sent keeps its seats until then.
fn held_until_sent(response: Response, seats: Seats) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| {
        let chunks = BodyDataStream::new(body);
        response::stream(chunks.map(move |chunk: Result<Bytes, _>| {
            let _held = &seats;
            chunk
        }))
    })
}
