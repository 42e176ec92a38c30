//! Custom resources from their definition to its end.

use expect_test::expect;
use serde_json::{Value, json};

use super::check;
use super::support::Cluster;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/x.example.com/v1/namespaces/default/widgets";

fn definition() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "required": ["name"], "properties": {
                "name": {"type": "string", "maxLength": 5},
                "count": {"type": "integer", "default": 3, "minimum": 1},
            }},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.x.example.com"},
        "spec": {
            "group": "x.example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}},
                {"name": "v2", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}, "deprecated": true},
            ],
        },
    })
}

impl Cluster {
    /// Asks until the answer is as wanted; the test's deadline bounds it.
    async fn until(&self, target: &str, wanted: impl Fn(u16, &Value) -> bool) {
        loop {
            let answer = self.send("GET", target, "").await;
            if wanted(answer.code, &answer.json) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn is_established(_code: u16, definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    conditions
        .into_iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

#[tokio::test]
async fn custom_resources_live_as_long_as_their_definition() {
    let cluster = Cluster::start().await;
    let created = cluster.send("POST", DEFINITIONS, &definition().to_string()).await;
    assert_eq!(created.code, 201);
    let own = format!("{DEFINITIONS}/widgets.x.example.com");
    cluster.until(&own, is_established).await;
    let widget = |name: &str, spec: &str| {
        format!(
            r#"POST {WIDGETS} {{"apiVersion":"x.example.com/v1","kind":"Widget","metadata":{{"name":"{name}"}},"spec":{spec},"status":{{"a":1}}}}"#
        )
    };
    let requests = [
        format!("GET {WIDGETS}"),
        widget("a", r#"{"name":"a","unknown":1}"#),
        widget("a", r#"{"name":"a"}"#),
        widget("b", r#"{"count":0}"#),
        widget("b", r#"{"name":"toolong"}"#),
        format!(
            r#"PUT {WIDGETS}/a {{"apiVersion":"x.example.com/v1","kind":"Widget","metadata":{{"name":"a"}},"spec":{{"name":"a"}}}}"#
        ),
        format!(r#"PATCH {WIDGETS}/a {{"spec":{{"count":2}}}}"#),
        format!(r#"PATCH {WIDGETS}/a [{{"op":"replace","path":"/spec/count","value":4}}]"#),
        "GET /apis/x.example.com/v1/namespaces/default/widgets/a/scale".to_owned(),
        "GET /apis/x.example.com/v3/namespaces/default/widgets".to_owned(),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    check(
        &cluster,
            &requests,
            expect![[r#"
                200 WidgetList 
                201 Widget a
                409 AlreadyExists widgets.x.example.com "a" already exists
                422 Invalid Widget.x.example.com "b" is invalid: [spec.count: Invalid value: 0: spec.count in body should be greater than or equal to 1, spec.name: Required value]
                422 Invalid Widget.x.example.com "b" is invalid: spec.name: Too long: may not be more than 5 bytes
                422 Invalid widgets.x.example.com "a" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update
                415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml
                200 Widget a
                404 NotFound widgets.x.example.com "a" not found
                404"#]],
        )
        .await;
    let stored = cluster
        .send("GET", "/apis/x.example.com/v2/namespaces/default/widgets/a", "")
        .await;
    assert_eq!(stored.json["apiVersion"], "x.example.com/v2");
    assert_eq!(stored.json["spec"], json!({"name": "a", "count": 4}));
    assert_eq!(
        (&stored.json["status"], &stored.json["metadata"]["generation"]),
        (&Value::Null, &json!(2))
    );
    assert_eq!(
        stored.headers["warning"],
        "299 - \"x.example.com/v2 Widget is deprecated\""
    );
    let groups = cluster.send("GET", "/apis/x.example.com", "").await;
    assert_eq!(groups.json["preferredVersion"]["version"], "v2");

    let deleted = cluster.send("DELETE", &own, "").await;
    assert_eq!(deleted.code, 200);
    cluster.until(&own, |code, _| code == 404).await;
    cluster.until(WIDGETS, |code, _| code == 404).await;
    cluster.until("/apis/x.example.com", |code, _| code == 404).await;
}
