//! Watches against a server in this process.

mod support;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use support::TestServer;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str, tier: &str) -> Value {
    json!({ "metadata": { "name": name, "labels": { "tier": tier } } })
}

/// The events of a watch as they come.
struct Events {
    body: component_base::serving::Body,
    waiting: Vec<u8>,
}

impl Events {
    async fn open(server: &TestServer, query: &str) -> Events {
        let response = server
            .open("GET", &format!("{MAPS}?watch=true&{query}"), &[], "")
            .await;
        assert_eq!(response.status(), 200);
        Events {
            body: response.into_body(),
            waiting: Vec::new(),
        }
    }

    /// The next event as `TYPE name`.
    async fn next(&mut self) -> String {
        let event = self.next_json().await;
        format!(
            "{} {}",
            event["type"].as_str().unwrap_or("?"),
            event["object"]["metadata"]["name"].as_str().unwrap_or_default()
        )
    }

    async fn next_json(&mut self) -> Value {
        loop {
            if let Some(end) = self.waiting.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.waiting.drain(..=end).collect();
                return serde_json::from_slice(&line).expect("an event");
            }
            let frame = self.body.frame().await.expect("an open watch").expect("a frame");
            self.waiting.extend_from_slice(&frame.into_data().expect("data"));
        }
    }
}

#[tokio::test]
async fn changes_come_in_order() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("a", "web")).await;
    let mut events = Events::open(&server, "").await;
    assert_eq!(events.next().await, "ADDED a");
    server.call("POST", MAPS, map("b", "web")).await;
    server
        .call("PATCH", &format!("{MAPS}/a"), json!({ "data": { "x": "1" } }))
        .await;
    server.call("DELETE", &format!("{MAPS}/b"), Value::Null).await;
    assert_eq!(events.next().await, "ADDED b");
    assert_eq!(events.next().await, "MODIFIED a");
    let deleted = events.next_json().await;
    assert_eq!(
        (&deleted["type"], &deleted["object"]["kind"]),
        (&json!("DELETED"), &json!("ConfigMap"))
    );
    assert_eq!(
        deleted["object"]["metadata"]["resourceVersion"], "5",
        "a deletion has its own revision"
    );
}

#[tokio::test]
async fn a_watch_resumes_where_a_list_ended() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("a", "web")).await;
    let list = server.call("GET", MAPS, Value::Null).await.json();
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .expect("a revision")
        .to_owned();
    server.call("POST", MAPS, map("b", "web")).await;
    let mut events = Events::open(&server, &format!("resourceVersion={revision}")).await;
    assert_eq!(events.next().await, "ADDED b");
}

#[tokio::test]
async fn selection_turns_changes_into_additions_and_deletions() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("a", "db")).await;
    let mut events = Events::open(&server, "resourceVersion=2&labelSelector=tier%3Dweb").await;
    server
        .call(
            "PATCH",
            &format!("{MAPS}/a"),
            json!({ "metadata": { "labels": { "tier": "web" } } }),
        )
        .await;
    server
        .call(
            "PATCH",
            &format!("{MAPS}/a"),
            json!({ "metadata": { "labels": { "tier": "db" } } }),
        )
        .await;
    assert_eq!(events.next().await, "ADDED a");
    assert_eq!(events.next().await, "DELETED a");
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("a", "web")).await;
    let mut events = Events::open(
        &server,
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
    )
    .await;
    assert_eq!(events.next().await, "ADDED a");
    let bookmark = events.next_json().await;
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(
        bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], "2");
}

#[tokio::test]
async fn a_shutdown_ends_watches() {
    let server = TestServer::start().await;
    let mut events = Events::open(&server, "").await;
    server.lifecycle.not_accepting.trigger();
    assert!(events.body.frame().await.is_none());
}
