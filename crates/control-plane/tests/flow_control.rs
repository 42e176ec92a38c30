//! A whole server under floods: who gets through, who waits, who is told to come back.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use apiserver::response::{Body, Response};
use bytes::Bytes;
use component_base::serving::{Peer, body};
use component_base::shutdown::Shutdown;
use control_plane::{ControlPlane, Options};
use futures_util::{FutureExt, stream};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const GROUP: &str = "/apis/flowcontrol.apiserver.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// A server that lets users do anything, so that nothing but flow control is in their way.
struct Server {
    server: apiserver::Server,
    shutdown: Shutdown,
    _tokens: tempfile::NamedTempFile,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

struct Answer {
    code: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("a JSON document")
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn uid(&self) -> String {
        self.json()["metadata"]["uid"].as_str().expect("a uid").to_owned()
    }
}

impl Server {
    async fn start(change: impl FnOnce(&mut Options)) -> Server {
        let mut tokens = tempfile::NamedTempFile::new().expect("a file");
        let table = "admin,admin,1,system:masters\nelephant,elephant,2,crowd\nmouse,mouse,3,crowd";
        writeln!(tokens, "{table}").expect("a table of tokens");
        let mut options = Options::for_test();
        options.authorization_modes = vec!["AlwaysAllow".to_owned()];
        options.authentication.token_file = Some(tokens.path().to_owned());
        change(&mut options);
        let shutdown = Shutdown::new();
        let plane = ControlPlane::build(options, shutdown.clone())
            .await
            .expect("a server");
        let server = plane.server.clone();
        let mut ready = plane.readiness();
        tokio::spawn(plane.run());
        ready.wait_for(|ready| *ready).await.expect("bootstrap ends");
        Server {
            server,
            shutdown,
            _tokens: tokens,
        }
    }

    async fn send(&self, user: &str, method: &str, target: &str, body: Body) -> Answer {
        read(self.server.answer(request(user, method, target, body)).await).await
    }

    async fn get(&self, user: &str, target: &str) -> Answer {
        self.send(user, "GET", target, body::empty()).await
    }

    async fn create(&self, target: &str, object: Value) -> Answer {
        let answer = self
            .send("admin", "POST", target, body::full(object.to_string()))
            .await;
        assert_eq!(answer.code, 201, "{}", answer.text);
        answer
    }

    /// A write whose body does not come until it is told to: it has its seat, and does not end.
    fn hold(&self, user: &'static str, name: &str) -> Held {
        let (go, gone) = oneshot::channel::<()>();
        let content = json!({"metadata": {"name": name}}).to_string();
        let body = body::stream(stream::once(async move {
            // The test has ended if nobody says it.
            gone.await.ok();
            Ok(Bytes::from(content))
        }));
        let server = self.server.clone();
        let answer = async move { read(server.answer(request(user, "POST", MAPS, body)).await).await };
        Held {
            go,
            answer: tokio::spawn(answer),
        }
    }

    /// A read that goes on by itself.
    fn ask(&self, user: &'static str) -> JoinHandle<Answer> {
        let server = self.server.clone();
        tokio::spawn(
            async move { read(server.answer(request(user, "GET", MAPS, body::empty())).await).await },
        )
    }

    /// The number in a column of the debug table, for a priority level.
    async fn column(&self, level: &str, column: usize) -> u32 {
        let table = self
            .get("admin", "/debug/api_priority_and_fairness/dump_priority_levels")
            .await;
        let row = table.text.lines().find(|line| line.starts_with(level));
        let cell = row.and_then(|row| row.split(',').nth(column));
        cell.map_or(0, |cell| cell.trim().parse().expect("a number"))
    }
}

fn request(user: &str, method: &str, target: &str, body: Body) -> http::Request<Body> {
    let request = http::Request::builder().method(method).uri(target);
    let request = request
        .header("authorization", format!("Bearer {user}"))
        .header("content-type", "application/json");
    let mut request = request.body(body).expect("a request");
    let address = "127.0.0.1:1".parse().expect("an address");
    request.extensions_mut().insert(Peer {
        addr: address,
        local: address,
        certificates: Arc::from([]),
        secure: true,
    });
    request
}

async fn read(response: Response) -> Answer {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer {
        code: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8(bytes.to_vec()).expect("text"),
    }
}

struct Held {
    go: oneshot::Sender<()>,
    answer: JoinHandle<Answer>,
}

impl Held {
    async fn finish(self) -> Answer {
        self.go.send(()).expect("it waits for its body");
        self.answer.await.expect("no panic")
    }
}

const WAITING: usize = 4;
const EXECUTING: usize = 5;

/// Asks until the answer is the expected one.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let ask = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ask)
        .await
        .expect("the expected state in time");
}

/// All but all seats of the server for the crowd; a queue takes two.
fn level(name: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1_000_000,
            // How many seats there are must not hang on when the server last lent some.
            "borrowingLimitPercent": 0,
            "limitResponse": {"type": "Queue", "queuing": {"queues": 64, "handSize": 1, "queueLengthLimit": 2}},
        }},
    })
}

fn schema(name: &str, level: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": 50,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{
                "subjects": [{"kind": "Group", "group": {"name": "crowd"}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}],
            }],
        },
    })
}

/// A server with four seats, of which the crowd has its level. Gives the uids of the level and the schema.
async fn crowded() -> (Server, String, String) {
    let server = Server::start(|options| {
        options.max_requests_in_flight = 3;
        options.max_mutating_requests_in_flight = 1;
    })
    .await;
    let level = server
        .create(&format!("{GROUP}/prioritylevelconfigurations"), level("crowd"))
        .await
        .uid();
    let schema = server
        .create(&format!("{GROUP}/flowschemas"), schema("crowd", "crowd"))
        .await
        .uid();
    until(async || {
        server
            .get("mouse", MAPS)
            .await
            .header("x-kubernetes-pf-flowschema-uid")
            == schema
    })
    .await;
    (server, level, schema)
}

#[tokio::test]
async fn a_flood_does_not_keep_others_out() {
    let (server, level, schema) = crowded().await;
    let mut running: Vec<Held> = (0..4)
        .map(|number| server.hold("elephant", &format!("running-{number}")))
        .collect();
    until(async || server.column("crowd", EXECUTING).await == 4).await;
    let under_way = Instant::now();
    let waiting: Vec<Held> = (0..2)
        .map(|number| server.hold("elephant", &format!("waiting-{number}")))
        .collect();
    until(async || server.column("crowd", WAITING).await == 2).await;
    let mouse = server.ask("mouse");
    until(async || server.column("crowd", WAITING).await == 3).await;
    let apart = under_way.elapsed();

    // Its queue is full.
    let refused = server.get("elephant", MAPS).await;
    assert_eq!(refused.code, 429);
    assert_eq!(refused.text, "Too many requests, please try again later.\n");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(refused.header("x-kubernetes-pf-flowschema-uid"), schema);
    assert_eq!(refused.header("x-kubernetes-pf-prioritylevel-uid"), level);

    // The administrator is exempt.
    assert_eq!(server.get("admin", MAPS).await.code, 200);
    // The elephant is charged with what it took, at the pace of one seat. The meter, which runs at the pace of four,
    // says how much later the mouse came. Once it has taken more than that, the mouse is next.
    until(async || {
        server.column("crowd", WAITING).await;
        under_way.elapsed() > 8 * apart
    })
    .await;
    assert_eq!(running.remove(0).finish().await.code, 201);
    assert_eq!(mouse.await.expect("no panic").code, 200);
    for held in running.into_iter().chain(waiting) {
        assert_eq!(held.finish().await.code, 201);
    }

    let metrics = server.get("admin", "/metrics").await.text;
    let flow = "flow_schema=\"crowd\",priority_level=\"crowd\"";
    for line in [
        format!("apiserver_flowcontrol_rejected_requests_total{{{flow},reason=\"queue-full\"}} 1\n"),
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"crowd\"} 4\n".to_owned(),
        format!("apiserver_flowcontrol_request_wait_duration_seconds_count{{execute=\"true\",{flow}}} "),
        format!("apiserver_flowcontrol_work_estimated_seats_bucket{{{flow},le=\"1\"}} "),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn watches_have_seats_only_until_they_are_under_way() {
    let (server, ..) = crowded().await;
    let mut watches = Vec::new();
    for _ in 0..10 {
        let target = format!("{MAPS}?watch=true&resourceVersion=0");
        let response = server
            .server
            .answer(request("elephant", "GET", &target, body::empty()))
            .await;
        assert_eq!(response.status(), 200);
        let mut events = response.into_body();
        while let Some(frame) = events.frame().now_or_never() {
            frame.expect("the watch goes on").expect("no error");
        }
        watches.push(events);
    }
    assert_eq!(server.get("elephant", MAPS).await.code, 200);
    until(async || server.column("crowd", EXECUTING).await == 0).await;
}

#[tokio::test]
async fn changed_objects_take_effect_and_say_so() {
    let (server, _, schema_uid) = crowded().await;
    let target = format!("{GROUP}/flowschemas/crowd");
    let condition = async |name: &str| {
        let object = server
            .get("admin", &format!("{GROUP}/flowschemas/{name}"))
            .await
            .json();
        let condition = &object["status"]["conditions"][0];
        format!(
            "{} {} {}",
            condition["type"], condition["status"], condition["reason"]
        )
    };
    until(async || condition("crowd").await == r#""Dangling" "False" "Found""#).await;

    server
        .create(&format!("{GROUP}/flowschemas"), schema("lost", "not-there"))
        .await;
    until(async || condition("lost").await == r#""Dangling" "True" "NotFound""#).await;
    server
        .create(
            &format!("{GROUP}/prioritylevelconfigurations"),
            level("not-there"),
        )
        .await;
    until(async || condition("lost").await == r#""Dangling" "False" "Found""#).await;

    let object = server
        .get("admin", &format!("{GROUP}/flowschemas/lost"))
        .await
        .json();
    let owner = &object["metadata"]["managedFields"][0];
    assert_eq!(owner["manager"], "api-priority-and-fairness-config-consumer-v1");
    assert_eq!(owner["operation"], "Apply");

    let deleted = server.send("admin", "DELETE", &target, body::empty()).await;
    assert_eq!(deleted.code, 200);
    until(async || {
        let answer = server.get("mouse", MAPS).await;
        answer.header("x-kubernetes-pf-flowschema-uid") != schema_uid
    })
    .await;
}

#[tokio::test]
async fn without_fairness_fixed_limits_hold() {
    let server = Server::start(|options| {
        options.priority_and_fairness = false;
        options.max_requests_in_flight = 5;
        options.max_mutating_requests_in_flight = 1;
    })
    .await;
    let held = server.hold("elephant", "held");
    until(async || {
        let metrics = server.get("admin", "/metrics").await.text;
        metrics.contains("apiserver_current_inflight_requests{request_kind=\"mutating\"} 1\n")
    })
    .await;
    let write = || body::full(r#"{"metadata":{"name":"other"}}"#);
    let refused = server.send("mouse", "POST", MAPS, write()).await;
    assert_eq!(refused.code, 429);
    assert_eq!(refused.header("retry-after"), "1");
    assert!(!refused.headers.contains_key("x-kubernetes-pf-flowschema-uid"));
    // Reads have a limit of their own, and administrators none.
    assert_eq!(server.get("mouse", MAPS).await.code, 200);
    assert_eq!(server.send("admin", "POST", MAPS, write()).await.code, 201);
    assert_eq!(held.finish().await.code, 201);
    let dump = server
        .get("admin", "/debug/api_priority_and_fairness/dump_priority_levels")
        .await;
    assert_eq!(dump.code, 404);
}
