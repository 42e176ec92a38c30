//! A group that another server serves: requests, users, discovery, and what is told while that server is away.

#[path = "../support/https.rs"]
mod https;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use component_base::serving::{Request, Response, body};
use http_body_util::BodyExt;
use https::Https;
use serde_json::{Value, json};
use support::{Answer, Cluster};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// Has one resource, and answers everything below its version with what it was asked.
async fn extension(request: Request) -> Response {
    let (head, request) = request.into_parts();
    let path = head.uri.path().to_owned();
    let document = match path.as_str() {
        "/apis/wardle.example.com/v1" => json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "wardle.example.com/v1",
            "resources": [{ "name": "flunders", "singularName": "flunder", "namespaced": true, "kind": "Flunder", "verbs": ["get"] }] }),
        "/apis" => json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }),
        _ => {
            let bytes = request.collect().await.expect("a body").to_bytes();
            let header = |name: &str| -> Vec<String> {
                let values = head.headers.get_all(name).iter();
                values
                    .map(|value| value.to_str().expect("text").to_owned())
                    .collect()
            };
            json!({
                "method": head.method.as_str(),
                "path": head.uri.to_string(),
                "body": String::from_utf8_lossy(&bytes),
                "user": header("x-remote-user"),
                "groups": header("x-remote-group"),
                "authorization": header("authorization"),
            })
        }
    };
    let mut response = Response::new(body::full(document.to_string()));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

async fn make(cluster: &Cluster, target: &str, object: &Value) {
    let made = cluster.send("POST", target, &object.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.line());
}

/// The APIService once its condition has this reason.
async fn once(cluster: &Cluster, reason: &str) -> Value {
    loop {
        let service = cluster
            .send("GET", &format!("{SERVICES}/v1.wardle.example.com"), "")
            .await;
        let condition = &service.json["status"]["conditions"][0];
        if condition["reason"] == reason {
            return condition.clone();
        }
        tokio::task::yield_now().await;
    }
}

fn api_service(port: u16, ca_bundle: &str) -> Value {
    json!({
        "metadata": { "name": "v1.wardle.example.com" },
        "spec": {
            "group": "wardle.example.com", "version": "v1",
            "groupPriorityMinimum": 17050, "versionPriority": 10, "caBundle": ca_bundle,
            "service": { "namespace": "default", "name": "wardle", "port": port },
        }
    })
}

async fn get(cluster: &Cluster, target: &str) -> Answer {
    cluster.send("GET", target, "").await
}

#[tokio::test]
async fn requests_go_to_the_server_of_their_group() {
    let cluster = Cluster::start().await;
    let server = Https::start(&["wardle.default.svc"], Arc::new(extension)).await;
    let port = server.address.port();
    make(&cluster, SERVICES, &api_service(port, &server.ca_bundle)).await;

    let condition = once(&cluster, "ServiceNotFound").await;
    assert_eq!(condition["status"], "False");
    assert_eq!(
        condition["message"],
        r#"service/wardle in "default" is not present"#
    );
    let away = get(
        &cluster,
        "/apis/wardle.example.com/v1/namespaces/default/flunders",
    )
    .await;
    assert_eq!((away.code, &away.json), (503, &json!("service unavailable\n")));

    let service = json!({ "metadata": { "name": "wardle" }, "spec": { "type": "ExternalName", "externalName": "localhost" } });
    make(&cluster, "/api/v1/namespaces/default/services", &service).await;
    let condition = once(&cluster, "Passed").await;
    assert_eq!(
        (&condition["status"], &condition["message"]),
        (&json!("True"), &json!("all checks passed"))
    );

    let target = "/apis/wardle.example.com/v1/namespaces/default/flunders?watch=0&a=b%20c";
    // The routes follow the condition a moment later.
    while get(&cluster, target).await.code == 503 {
        tokio::task::yield_now().await;
    }
    let passed = cluster.send("POST", target, r#"{"kind":"Flunder"}"#).await;
    assert_eq!(passed.code, 200, "{}", passed.json);
    assert_eq!(passed.headers["content-type"], "application/json");
    assert_eq!(
        passed.json,
        json!({
            "method": "POST",
            "path": target,
            "body": r#"{"kind":"Flunder"}"#,
            "user": ["admin"],
            "groups": ["system:masters", "system:authenticated"],
            "authorization": [],
        })
    );
    let bob = cluster
        .send_as("bob-token", "GET", target, "application/json", "")
        .await;
    assert_eq!(bob.code, 403, "{}", bob.json);

    let group = get(&cluster, "/apis/wardle.example.com").await;
    assert_eq!(
        group.json["preferredVersion"]["groupVersion"],
        "wardle.example.com/v1"
    );
    let groups = get(&cluster, "/apis").await;
    let names: Vec<&str> = groups.json["groups"]
        .as_array()
        .expect("groups")
        .iter()
        .filter_map(|group| group["name"].as_str())
        .collect();
    let at = names.iter().position(|name| *name == "wardle.example.com");
    let before = at.and_then(|at| names.get(at - 1)).copied();
    assert_eq!(before, Some("policy"), "{names:?}");

    drop(server);
    while get(&cluster, target).await.code != 503 {}
    let condition = once(&cluster, "FailedDiscoveryCheck").await;
    assert_eq!(condition["status"], "False");
    let gone = get(&cluster, target).await;
    assert_eq!(gone.code, 503, "{}", gone.json);
}

#[tokio::test]
async fn groups_of_this_server_are_registered() {
    let cluster = Cluster::start().await;
    let services = get(&cluster, SERVICES).await;
    let items = services.json["items"].as_array().expect("items");
    assert_eq!(items.len(), 21, "{items:?}");
    for item in items {
        assert_eq!(item["status"]["conditions"][0]["reason"], "Local", "{item}");
        assert_eq!(item["status"]["conditions"][0]["status"], "True", "{item}");
    }
}
