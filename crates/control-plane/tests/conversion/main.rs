//! Custom resources whose versions a webhook converts, asked over TLS: each verb in a version that is not stored, and
//! what clients hear when the webhook is of no use.

#[path = "../support/https.rs"]
mod https;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{Arc, Mutex, PoisonError};

use component_base::serving::{Request, Response, body};
use expect_test::{Expect, expect};
use http_body_util::BodyExt;
use https::Https;
use serde_json::{Value, json};
use support::Cluster;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const OWN: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.x.example.com";

/// A server, and a webhook that puts `host` and `port` of v2 together as `hostPort` of v1.
struct Setting {
    cluster: Cluster,
    hook: Https,
    /// How many objects each review had.
    reviews: Arc<Mutex<Vec<usize>>>,
}

impl Setting {
    async fn start() -> Setting {
        let reviews = Arc::new(Mutex::new(Vec::new()));
        let seen = reviews.clone();
        let handler = move |request: Request| {
            let seen = seen.clone();
            async move { answer(request, &seen).await }
        };
        let setting = Setting {
            cluster: Cluster::start().await,
            hook: Https::start(&["127.0.0.1"], Arc::new(handler)).await,
            reviews,
        };
        let made = setting
            .cluster
            .send("POST", DEFINITIONS, &setting.definition().to_string())
            .await;
        assert_eq!(made.code, 201, "{}", made.json);
        setting.until_served("v2").await;
        setting
    }

    fn definition(&self) -> Value {
        let replicas = json!({"type": "object", "properties": {"replicas": {"type": "integer"}}});
        let version = |name: &str, fields: &[&str]| {
            let mut properties = json!({"spec": replicas, "status": replicas});
            for field in fields {
                properties[*field] = json!({"type": "string"});
            }
            let scale =
                json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
            json!({
                "name": name, "served": true, "storage": name == "v1",
                "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
                "subresources": {"status": {}, "scale": scale},
            })
        };
        let url = format!("https://{}/convert", self.hook.address);
        let client = json!({"url": url, "caBundle": self.hook.ca_bundle});
        json!({
            "metadata": {"name": "things.x.example.com"},
            "spec": {
                "group": "x.example.com", "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing"},
                "versions": [version("v1", &["hostPort"]), version("v2", &["host", "port"])],
                "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]}},
            },
        })
    }

    async fn until_served(&self, version: &str) {
        while self.cluster.send("GET", &things(version), "").await.code != 200 {
            tokio::task::yield_now().await;
        }
    }

    /// Changes the definition, and waits until it is served so: then readers of v2 are warned.
    async fn redefine(&self, mut operations: Value) {
        let deprecate = json!({"op": "add", "path": "/spec/versions/1/deprecated", "value": true});
        operations.as_array_mut().expect("a patch").push(deprecate);
        let changed = self.cluster.send("PATCH", OWN, &operations.to_string()).await;
        assert_eq!(changed.code, 200, "{}", changed.json);
        while !self
            .cluster
            .send("GET", &things("v2"), "")
            .await
            .headers
            .contains_key("warning")
        {
            tokio::task::yield_now().await;
        }
    }

    /// Sends `METHOD VERSION/REST BODY`s and checks code and what an object says of itself, a line each.
    async fn check(&self, requests: &[&str], expected: Expect) {
        let mut lines = Vec::new();
        for request in requests {
            let mut words = request.splitn(3, ' ');
            let mut next = || words.next().unwrap_or_default();
            let (method, target, content) = (next(), next(), next());
            let (version, rest) = target.split_at(2);
            let target = format!("{}{rest}", things(version));
            let kind = match method {
                "MERGE" => "application/merge-patch+json",
                "APPLY" => "application/apply-patch+yaml",
                _ => "application/json",
            };
            let method = if matches!(method, "MERGE" | "APPLY") {
                "PATCH"
            } else {
                method
            };
            let answer = self
                .cluster
                .send_as("admin-token", method, &target, kind, content)
                .await;
            let line = match &answer.json["items"] {
                Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
                _ if answer.code < 300 => shown(&answer.json),
                _ => answer.line().replace(&self.hook.address.to_string(), "HOOK"),
            };
            lines.push(format!("{} {line}", answer.code));
        }
        expected.assert_eq(&lines.join("\n"));
    }

    fn take_reviews(&self) -> Vec<usize> {
        std::mem::take(&mut *self.reviews.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn things(version: &str) -> String {
    format!("/apis/x.example.com/{version}/namespaces/default/things")
}

/// Version, name and members of an object.
fn shown(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let version = version.rsplit('/').next().unwrap_or_default().to_owned();
    let mut line = format!("{version}:{}", text(&object["metadata"]["name"]));
    for field in ["hostPort", "host", "port", "spec", "status"] {
        if let Some(value) = object.get(field) {
            line.push_str(&format!(" {field}={value}"));
        }
    }
    line
}

fn converted(object: &Value, to: &Value) -> Value {
    let mut object = object.clone();
    object["apiVersion"] = to.clone();
    let members = object.as_object_mut().expect("an object");
    if to == "x.example.com/v2" {
        if let Some(Value::String(both)) = members.remove("hostPort") {
            let (host, port) = both.split_once(':').unwrap_or((&both, ""));
            members.insert("host".to_owned(), host.into());
            members.insert("port".to_owned(), port.into());
        }
    } else {
        let mut take = |name: &str| {
            members
                .remove(name)
                .and_then(|value| value.as_str().map(str::to_owned))
        };
        let (host, port) = (take("host"), take("port"));
        if host.is_some() || port.is_some() {
            let both = format!("{}:{}", host.unwrap_or_default(), port.unwrap_or_default());
            members.insert("hostPort".to_owned(), both.into());
        }
    }
    object
}

async fn answer(request: Request, reviews: &Mutex<Vec<usize>>) -> Response {
    let bytes = request.into_body().collect().await.expect("a body").to_bytes();
    let review: Value = serde_json::from_slice(&bytes).expect("a ConversionReview");
    let asked = &review["request"];
    let objects = asked["objects"].as_array().expect("a list");
    reviews
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(objects.len());
    let mut answered: Vec<Value> = objects
        .iter()
        .map(|object| converted(object, &asked["desiredAPIVersion"]))
        .collect();
    let mut result = json!({"status": "Success"});
    // An object's host tells what is to go wrong with it.
    match objects[0]["hostPort"].as_str().unwrap_or_default() {
        "refused:" => result = json!({"status": "Failure", "message": "not this one"}),
        "lost:" => answered.clear(),
        "renamed:" => answered[0]["metadata"]["name"] = "other".into(),
        "unlike:" => answered[0]["kind"] = "Other".into(),
        _ => {}
    }
    let review = json!({
        "apiVersion": review["apiVersion"], "kind": review["kind"],
        "response": {"uid": asked["uid"], "convertedObjects": answered, "result": result},
    });
    Response::new(body::full(review.to_string()))
}

fn thing(version: &str, name: &str, members: &str) -> String {
    format!(
        r#"{{"apiVersion":"x.example.com/{version}","kind":"Thing","metadata":{{"name":"{name}"}},{members}}}"#
    )
}

#[tokio::test]
async fn each_verb_converts() {
    let setting = Setting::start().await;
    let requests = [
        format!(
            "POST v1 {}",
            thing("v1", "a", r#""hostPort":"h:1","spec":{"replicas":2}"#)
        ),
        "GET v2/a".to_owned(),
        format!(
            "POST v2 {}",
            thing("v2", "b", r#""host":"x","port":"9","hostPort":"pruned""#)
        ),
        "GET v1/b".to_owned(),
        r#"MERGE v2/a {"host":"other"}"#.to_owned(),
        "GET v1/a".to_owned(),
        format!(
            "APPLY v2/c?fieldManager=m {}",
            thing("v2", "c", r#""host":"applied""#)
        ),
        "GET v1/c".to_owned(),
        r#"MERGE v2/a/status {"status":{"replicas":5}}"#.to_owned(),
        r#"MERGE v2/a/scale {"spec":{"replicas":7}}"#.to_owned(),
        "GET v1/a".to_owned(),
        "GET v2/a/scale".to_owned(),
        "GET v1".to_owned(),
        "DELETE v2/c".to_owned(),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    setting.check(&requests, expect![[r#"
        201 v1:a hostPort="h:1" spec={"replicas":2}
        200 v2:a host="h" port="1" spec={"replicas":2}
        201 v2:b host="x" port="9"
        200 v1:b hostPort="x:9"
        200 v2:a host="other" port="1" spec={"replicas":2}
        200 v1:a hostPort="other:1" spec={"replicas":2}
        201 v2:c host="applied" port=""
        200 v1:c hostPort="applied:"
        200 v2:a host="other" port="1" spec={"replicas":2} status={"replicas":5}
        200 v1:a spec={"replicas":7} status={"replicas":5}
        200 v1:a hostPort="other:1" spec={"replicas":7} status={"replicas":5}
        200 v1:a spec={"replicas":7} status={"replicas":5}
        200 v1:a hostPort="other:1" spec={"replicas":7} status={"replicas":5} v1:b hostPort="x:9" v1:c hostPort="applied:"
        200 v1: status="Success""#]]).await;
    setting.take_reviews();
    setting.check(&["GET v2"], expect![[r#"200 v2:a host="other" port="1" spec={"replicas":7} status={"replicas":5} v2:b host="x" port="9""#]]).await;
    assert_eq!(setting.take_reviews(), [2], "a list is one review");
    setting
        .check(
            &["GET v1"],
            expect![[
                r#"200 v1:a hostPort="other:1" spec={"replicas":7} status={"replicas":5} v1:b hostPort="x:9""#
            ]],
        )
        .await;
    assert_eq!(
        setting.take_reviews(),
        [0; 0],
        "what is stored so is not converted"
    );
}

#[tokio::test]
async fn versions_may_be_mixed_in_the_store() {
    let setting = Setting::start().await;
    let post = format!("POST v1 {}", thing("v1", "a", r#""hostPort":"h:1""#));
    setting
        .check(&[&post], expect![[r#"201 v1:a hostPort="h:1""#]])
        .await;
    let swap = json!([
        {"op": "replace", "path": "/spec/versions/0/storage", "value": false},
        {"op": "replace", "path": "/spec/versions/1/storage", "value": true},
    ]);
    setting.redefine(swap).await;
    let definition = setting.cluster.send("GET", OWN, "").await.json;
    assert_eq!(definition["status"]["storedVersions"], json!(["v1", "v2"]));
    let post = format!("POST v2 {}", thing("v2", "b", r#""host":"x","port":"9""#));
    setting
        .check(
            &[
                &post,
                "GET v1",
                "GET v2",
                r#"MERGE v1/a {"hostPort":"moved:2"}"#,
                "GET v2/a",
            ],
            expect![[r#"
            201 v2:b host="x" port="9"
            200 v1:a hostPort="h:1" v1:b hostPort="x:9"
            200 v2:a host="h" port="1" v2:b host="x" port="9"
            200 v1:a hostPort="moved:2"
            200 v2:a host="moved" port="2""#]],
        )
        .await;
}

#[tokio::test]
async fn what_webhooks_get_wrong_is_told() {
    let setting = Setting::start().await;
    for name in ["refused", "lost", "renamed", "unlike"] {
        let post = thing("v1", name, &format!(r#""hostPort":"{name}:""#));
        let made = setting.cluster.send("POST", &things("v1"), &post).await;
        assert_eq!(made.code, 201, "{}", made.json);
    }
    let requests = [
        "GET v2/refused",
        "GET v2/lost",
        "GET v2/renamed",
        "GET v2/unlike",
        r#"MERGE v2/refused {"host":"a"}"#,
        "DELETE v2/refused",
        "GET v2",
        "GET v1/refused",
        "DELETE v1/refused",
    ];
    setting.check(&requests, expect![[r#"
        500 500  conversion webhook for x.example.com/v1, Kind=Thing failed: not this one
        500 500  conversion webhook for x.example.com/v1, Kind=Thing returned 0 objects, expected 1
        500 500  conversion webhook for x.example.com/v1, Kind=Thing returned invalid object: must have the same name: renamed != other
        500 500  conversion webhook for x.example.com/v1, Kind=Thing returned invalid object at index 0: invalid kind (expected Thing, received Other)
        500 500  conversion webhook for x.example.com/v1, Kind=Thing failed: not this one
        500 500  conversion webhook for x.example.com/v1, Kind=Thing failed: not this one
        500 500  conversion webhook for x.example.com/v1, Kind=Thing returned 0 objects, expected 4
        200 v1:refused hostPort="refused:"
        200 v1: status="Success""#]]).await;
    let metrics = setting.cluster.send("GET", "/metrics", "").await.json;
    let metrics = metrics.as_str().expect("text");
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_conversion_webhook_request_total"))
        .collect::<Vec<_>>();
    expect![[r#"
        apiserver_conversion_webhook_request_total{failure_type="conversion_webhook_invalid_converted_object_failure",result="failure"} 2
        apiserver_conversion_webhook_request_total{failure_type="conversion_webhook_malformed_response_failure",result="failure"} 3
        apiserver_conversion_webhook_request_total{failure_type="conversion_webhook_partial_response_failure",result="failure"} 2"#]].assert_eq(&counted.join("\n"));
}
