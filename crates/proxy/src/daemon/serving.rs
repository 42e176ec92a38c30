//! The two HTTP servers: health for the cluster, metrics for the operator.

use std::sync::Arc;

use component_base::metrics::Registry;
use component_base::serving::{Request, Response, Server, body};
use component_base::shutdown::Shutdown;
use http::{HeaderValue, StatusCode};
use tokio::net::TcpListener;

use crate::config::Mode;
use crate::health::{Health, Probe};
use crate::metrics::Metrics;

/// `/healthz` and `/livez`.
pub async fn serve_health(listener: TcpListener, health: Health, metrics: Metrics, shutdown: Shutdown) {
    let handler = move |request: Request| {
        let response = match request.uri().path() {
            "/healthz" => answer(&health, Probe::Health, &metrics),
            "/livez" => answer(&health, Probe::Live, &metrics),
            _ => not_found(),
        };
        async move { response }
    };
    Server::default()
        .serve(listener, None, Arc::new(handler), shutdown)
        .await;
}

fn answer(health: &Health, probe: Probe, metrics: &Metrics) -> Response {
    let report = health.report(probe);
    let status = if report.healthy {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let counter = if probe == Probe::Live {
        &metrics.livez
    } else {
        &metrics.healthz
    };
    counter.with_label_values(&[status.as_str()]).inc();
    let mut response = body::text(status, report.document.to_string());
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// `/metrics`, `/proxyMode` and a plain `/healthz`.
pub async fn serve_metrics(listener: TcpListener, registry: Registry, mode: Mode, shutdown: Shutdown) {
    let handler = move |request: Request| {
        let response = match request.uri().path() {
            "/metrics" => registry.respond(),
            "/proxyMode" => body::text(StatusCode::OK, mode.as_str()),
            "/healthz" => body::text(StatusCode::OK, "ok"),
            _ => not_found(),
        };
        async move { response }
    };
    Server::default()
        .serve(listener, None, Arc::new(handler), shutdown)
        .await;
}

fn not_found() -> Response {
    body::text(StatusCode::NOT_FOUND, "404 page not found\n")
}
