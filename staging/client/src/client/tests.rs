use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::transport::fake::{FakeTransport, json};

fn client(transport: &FakeTransport) -> Client {
    let config = Config {
        server: "https://server:6443/".into(),
        credentials: Credentials::Token("t".into()),
        ..Config::default()
    };
    Client::with_transport(config, Arc::new(transport.clone()))
}

#[tokio::test]
async fn requests_bear_address_identity_and_media_types() {
    let transport = FakeTransport::new(|_| Ok(json(200, "{}")));
    client(&transport)
        .send(Request::get("/version"))
        .await
        .expect("answered");
    let sent = transport.take();
    assert_eq!(sent[0].uri(), "https://server:6443/version");
    assert_eq!(sent[0].headers()["authorization"], "Bearer t");
    assert_eq!(
        sent[0].headers()["accept"],
        "application/vnd.kubernetes.protobuf,application/json"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_a_bounded_number_of_times() {
    let transport = FakeTransport::new(|_| {
        let mut response = json(429, "slow down");
        response
            .headers_mut()
            .insert("retry-after", http::HeaderValue::from_static("1"));
        Ok(response)
    });
    let start = tokio::time::Instant::now();
    let error = client(&transport)
        .send(Request::get("/api"))
        .await
        .expect_err("must fail");
    assert!(error.is_too_many_requests());
    assert_eq!(error.to_string(), "slow down");
    assert_eq!(transport.take().len(), 1 + MAX_RETRIES as usize);
    assert_eq!(start.elapsed().as_secs(), u64::from(MAX_RETRIES));
}

#[tokio::test]
async fn errors_without_retry_after_return_at_once_with_the_servers_status() {
    let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,
        "message":"pods \"a\" not found","details":{"name":"a","kind":"pods"}}"#;
    let transport = FakeTransport::new(move |_| Ok(json(404, body)));
    let error = client(&transport)
        .send(Request::get("/x"))
        .await
        .expect_err("must fail");
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "pods \"a\" not found");
    assert_eq!(transport.take().len(), 1);
}

#[tokio::test]
async fn broken_connections_are_retried_once_for_reads_only() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counter = attempts.clone();
    let transport = FakeTransport::new(move |_| {
        counter.fetch_add(1, Ordering::Relaxed);
        Err(transport::Error::Broken("reset".into()))
    });
    let client = client(&transport);
    assert!(
        client
            .send(Request::get("/x"))
            .await
            .expect_err("fails")
            .is_connection()
    );
    assert_eq!(attempts.swap(0, Ordering::Relaxed), 2);
    assert!(
        client
            .send(Request::new(http::Method::POST, "/x"))
            .await
            .expect_err("fails")
            .is_connection()
    );
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}
