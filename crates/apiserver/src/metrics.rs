//! What the server measures of itself, under upstream's names.

use std::sync::Arc;

use component_base::metrics::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, REQUEST_BUCKETS, Registry,
    exponential_buckets,
};
use http::Method;
use http_body::Body as _;

use crate::request::Request;
use crate::request::info::RequestInfo;
use crate::response::Response;

const COMPONENT: &str = "apiserver";

/// The server's metrics. One for each server, made from the registry that `/metrics` shows.
pub struct Metrics {
    pub registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    response_sizes: HistogramVec,
    current_in_flight: IntGaugeVec,
    current_in_queue: IntGaugeVec,
    long_running: IntGaugeVec,
    terminations: IntCounterVec,
    panics: IntCounterVec,
    watch_events: IntCounterVec,
    watch_event_bytes: HistogramVec,
    authentication_attempts: IntCounterVec,
    authenticated_users: IntCounterVec,
    objects: IntGaugeVec,
    storage_size: IntGaugeVec,
}

/// A gauge that goes down when this is dropped.
pub struct Held(IntGauge);

impl Held {
    fn new(gauge: IntGauge) -> Held {
        gauge.inc();
        Held(gauge)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts the events of a watch. Looked up once: there are many events.
pub struct WatchMeter {
    events: IntCounter,
    bytes: Histogram,
}

impl WatchMeter {
    pub fn sent(&self, bytes: usize) {
        self.events.inc();
        self.bytes.observe(bytes as f64);
    }
}

impl Metrics {
    /// Declares all metrics.
    pub fn new(registry: &Registry) -> Arc<Metrics> {
        let request = [
            "verb",
            "dry_run",
            "group",
            "version",
            "resource",
            "subresource",
            "scope",
            "component",
        ];
        let counted = [
            "verb",
            "dry_run",
            "group",
            "version",
            "resource",
            "subresource",
            "scope",
            "component",
            "code",
        ];
        let plain = [
            "verb",
            "group",
            "version",
            "resource",
            "subresource",
            "scope",
            "component",
        ];
        let kind = ["group", "version", "resource"];
        let metrics = Metrics {
            registry: registry.clone(),
            requests: registry.counter_vec(
                "apiserver_request_total",
                "Requests, by what they asked for and the answer's code.",
                &counted,
            ),
            durations: registry.histogram_vec(
                "apiserver_request_duration_seconds",
                "Time from receiving a request to its answer.",
                &request,
                REQUEST_BUCKETS,
            ),
            response_sizes: registry.histogram_vec(
                "apiserver_response_sizes",
                "Bytes of answers.",
                &plain,
                &exponential_buckets(1000.0, 10.0, 7),
            ),
            current_in_flight: registry.gauge_vec(
                "apiserver_current_inflight_requests",
                "Short requests being served.",
                &["request_kind"],
            ),
            current_in_queue: registry.gauge_vec(
                "apiserver_current_inqueue_requests",
                "Requests waiting for their turn.",
                &["request_kind"],
            ),
            long_running: registry.gauge_vec(
                "apiserver_longrunning_requests",
                "Watches and streams being served.",
                &plain,
            ),
            terminations: registry.counter_vec(
                "apiserver_request_terminations_total",
                "Requests that the server ended to protect itself.",
                &[&counted[..1], &counted[2..]].concat(),
            ),
            panics: registry.counter_vec(
                "apiserver_request_panics_total",
                "Requests whose handler panicked.",
                &[],
            ),
            watch_events: registry.counter_vec(
                "apiserver_watch_events_total",
                "Events sent to watchers.",
                &kind,
            ),
            watch_event_bytes: registry.histogram_vec(
                "apiserver_watch_events_sizes",
                "Bytes of events sent to watchers.",
                &kind,
                &exponential_buckets(1024.0, 2.0, 8),
            ),
            authentication_attempts: registry.counter_vec(
                "authentication_attempts",
                "Authentications, by result.",
                &["result"],
            ),
            authenticated_users: registry.counter_vec(
                "authenticated_user_requests",
                "Authenticated requests, by user.",
                &["username"],
            ),
            objects: registry.gauge_vec(
                "apiserver_resource_objects",
                "Stored objects, by resource.",
                &["group", "resource"],
            ),
            storage_size: registry.gauge_vec(
                "apiserver_storage_size_bytes",
                "Bytes that the store takes on disk.",
                &["storage_cluster_id"],
            ),
        };
        Arc::new(metrics)
    }

    /// A request was answered.
    pub fn answered(&self, request: &Request, response: &Response) {
        let info = &request.info;
        let verb = reported_verb(info, &request.head.method);
        let dry_run = if request.query.get("dryRun").is_some_and(|value| !value.is_empty()) {
            "All"
        } else {
            ""
        };
        let resource = reported_resource(info);
        let scope = scope(info);
        let (group, version, subresource) = (&*info.api_group, &*info.api_version, &*info.subresource);
        let code = response.status();
        self.requests
            .with_label_values(&[
                verb,
                dry_run,
                group,
                version,
                resource,
                subresource,
                scope,
                COMPONENT,
                code.as_str(),
            ])
            .inc();
        if info.is_long_running() {
            return;
        }
        let elapsed = request.received.elapsed().as_secs_f64();
        self.durations
            .with_label_values(&[
                verb,
                dry_run,
                group,
                version,
                resource,
                subresource,
                scope,
                COMPONENT,
            ])
            .observe(elapsed);
        if let (true, Some(size)) = (info.is_read_only(), response.body().size_hint().exact()) {
            self.response_sizes
                .with_label_values(&[verb, group, version, resource, subresource, scope, COMPONENT])
                .observe(size as f64);
        }
    }

    /// A request of this class is being served until the result is dropped.
    pub fn in_flight(&self, read_only: bool) -> Held {
        let kind = if read_only { "readOnly" } else { "mutating" };
        Held::new(self.current_in_flight.with_label_values(&[kind]))
    }

    /// A request of this class waits for its turn until the result is dropped.
    pub fn in_queue(&self, read_only: bool) -> Held {
        let kind = if read_only { "readOnly" } else { "mutating" };
        Held::new(self.current_in_queue.with_label_values(&[kind]))
    }

    /// A watch or stream is being served until the result is dropped.
    pub fn long_running(&self, request: &Request) -> Held {
        let info = &request.info;
        let verb = reported_verb(info, &request.head.method);
        let labels = [
            verb,
            &info.api_group,
            &info.api_version,
            reported_resource(info),
            &info.subresource,
            scope(info),
            COMPONENT,
        ];
        Held::new(self.long_running.with_label_values(&labels))
    }

    /// A request hit the request timeout.
    pub fn terminated(&self, info: &RequestInfo) {
        self.end(info, "504");
    }

    /// A request was refused because too many are in flight.
    pub fn dropped(&self, info: &RequestInfo) {
        self.end(info, "429");
    }

    fn end(&self, info: &RequestInfo, code: &str) {
        let labels = [
            &*info.verb.to_ascii_uppercase(),
            &info.api_group,
            &info.api_version,
            reported_resource(info),
            &info.subresource,
            scope(info),
            COMPONENT,
            code,
        ];
        self.terminations.with_label_values(&labels).inc();
    }

    /// A handler panicked.
    pub fn panicked(&self) {
        self.panics.with_label_values::<&str>(&[]).inc();
    }

    /// What counts the events of one watch.
    pub fn watch_meter(&self, group: &str, version: &str, resource: &str) -> WatchMeter {
        let labels = [group, version, resource];
        WatchMeter {
            events: self.watch_events.with_label_values(&labels),
            bytes: self.watch_event_bytes.with_label_values(&labels),
        }
    }

    /// An authentication ended.
    pub fn authenticated(&self, result: &str, user: &str) {
        self.authentication_attempts.with_label_values(&[result]).inc();
        if result == "success" {
            // Names of users are unbounded; upstream lumps all but the system's own together.
            let name = if user.starts_with("system:") && !user.starts_with("system:node:") {
                user
            } else {
                "other"
            };
            let name = if name.starts_with("system:serviceaccount:") && !name.contains(":kube-system:") {
                "other"
            } else {
                name
            };
            self.authenticated_users.with_label_values(&[name]).inc();
        }
    }

    /// What a store takes on disk.
    pub fn storage_size(&self, number: usize, bytes: u64) {
        self.storage_size
            .with_label_values(&[&format!("etcd-{number}")])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// How many objects of a resource are stored.
    pub fn object_count(&self, group: &str, resource: &str, count: usize) {
        self.objects
            .with_label_values(&[group, resource])
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// The verb label: upper case, bounded.
fn reported_verb(info: &RequestInfo, method: &Method) -> &'static str {
    match info.verb.as_str() {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" if info.is_resource_request => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        "proxy" => "PROXY",
        _ => match *method {
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::HEAD => "HEAD",
            Method::OPTIONS => "OPTIONS",
            Method::GET => "GET",
            _ => "other",
        },
    }
}

/// Resources of unknown names don't become labels of their own: see the catalogue check in `dispatch`.
fn reported_resource(info: &RequestInfo) -> &str {
    if info.is_resource_request {
        &info.resource
    } else {
        ""
    }
}

fn scope(info: &RequestInfo) -> &'static str {
    match info {
        RequestInfo {
            is_resource_request: false,
            ..
        } => "",
        RequestInfo { name, verb, .. } if !name.is_empty() || verb == "create" => "resource",
        RequestInfo { namespace, .. } if !namespace.is_empty() => "namespace",
        _ => "cluster",
    }
}
