//! What a server that ends answers to those who still ask.

mod support;

use apiserver::Limits;
use apiserver::stack::Refusal;
use support::TestServer;

/// Code, Retry-After and Connection of the answer to a GET.
async fn ask(server: &TestServer, target: &str, headers: &[(&str, &str)]) -> String {
    let response = server.open("GET", target, headers, "").await;
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or("-".to_owned(), |value| value.to_str().expect("text").to_owned())
    };
    format!(
        "{} {} {}",
        response.status().as_u16(),
        header("retry-after"),
        header("connection")
    )
}

async fn check(refusal: Refusal, refused: &str) {
    let server = TestServer::start_with(Limits {
        refusal,
        ..Limits::default()
    })
    .await;
    let pods = "/api/v1/namespaces/default/pods";
    assert_eq!(ask(&server, pods, &[]).await, "200 - -");
    server.lifecycle.initiated.trigger();
    assert_eq!(
        ask(&server, pods, &[]).await,
        "200 - -",
        "not ready is not closed"
    );
    server.lifecycle.not_accepting.trigger();
    assert_eq!(ask(&server, pods, &[]).await, refused);
    assert_eq!(ask(&server, "/metrics", &[]).await, "200 - -");
    let from_server = [("user-agent", "kube-apiserver/v1.36.2")];
    assert_eq!(ask(&server, pods, &from_server).await, "200 - -");
    assert_eq!(server.lifecycle.requests(), 0);
}

#[tokio::test]
async fn late_requests_are_refused_as_configured() {
    check(Refusal::Unavailable, "503 1 -").await;
    check(Refusal::RetryAfter, "429 5 close").await;
}
