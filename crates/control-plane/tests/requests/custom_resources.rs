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

const GADGETS: &str = "/apis/y.example.com/v1/namespaces/default/gadgets";

/// A definition with one version, the spec of which has rules.
fn definition_with(rules: &Value) -> Value {
    let schema = json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "x-kubernetes-validations": rules, "properties": {
                "x": {"type": "integer"},
                "y": {"type": "integer"},
                "name": {"type": "string", "maxLength": 5},
                "grows": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > oldSelf", "reason": "FieldValueForbidden", "message": "must grow"}]},
                "many": {"type": "array", "maxItems": 725, "items": {"type": "integer"}},
            }},
            "status": {"type": "object",
                "x-kubernetes-validations": [{"rule": "self.health in ['ok', 'bad']", "messageExpression": "'not ' + self.health", "fieldPath": ".health"}],
                "properties": {"health": {"type": "string"}}},
        },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.y.example.com"},
        "spec": {
            "group": "y.example.com", "scope": "Namespaced",
            "names": {"plural": "gadgets", "kind": "Gadget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}],
        },
    })
}

fn gadget(spec: &Value) -> String {
    let metadata = json!({"name": "g", "labels": {"a": "b"}});
    json!({"apiVersion": "y.example.com/v1", "kind": "Gadget", "metadata": metadata, "spec": spec})
        .to_string()
}

#[tokio::test]
async fn custom_resources_obey_the_rules_of_their_schema() {
    let cluster = Cluster::start().await;
    let mut rules = json!([
        {"rule": "self.x + self.y > 0"},
        {"rule": "!has(self.many) || self.many.all(a, self.many.all(b, a == b))", "message": "all the same"},
    ]);
    let created = cluster
        .send("POST", DEFINITIONS, &definition_with(&rules).to_string())
        .await;
    assert_eq!(created.code, 201, "{}", created.json);
    let own = format!("{DEFINITIONS}/gadgets.y.example.com");
    cluster.until(&own, is_established).await;
    let post = |spec: Value| format!("POST {GADGETS} {}", gadget(&spec));
    let requests = [
        post(json!({"x": 0, "y": 0})),
        post(json!({"x": 0})),
        post(json!({"x": 0, "y": 0, "name": "too long"})),
        post(json!({"x": 1, "y": 1, "many": vec![1; 725]})),
        post(json!({"x": 1, "y": 1, "grows": 5})),
        format!(r#"PATCH {GADGETS}/g [{{"op":"replace","path":"/spec/grows","value":4}}]"#),
        format!(r#"PATCH {GADGETS}/g [{{"op":"replace","path":"/spec/grows","value":6}}]"#),
        format!(r#"PATCH {GADGETS}/g/status [{{"op":"add","path":"/status","value":{{"health":"odd"}}}}]"#),
        format!(r#"DELETE {GADGETS}/g"#),
        post(json!({"x": 1, "y": 1})),
        format!(r#"PATCH {GADGETS}/g/status [{{"op":"add","path":"/status","value":{{"health":"odd"}}}}]"#),
        format!(r#"PATCH {GADGETS}/g/status [{{"op":"add","path":"/status","value":{{"health":"ok"}}}}]"#),
    ];
    let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
    check(&cluster, &requests, expect![[r#"
        422 Invalid Gadget.y.example.com "g" is invalid: spec: Invalid value: failed rule: self.x + self.y > 0
        422 Invalid Gadget.y.example.com "g" is invalid: spec: Invalid value: "object": no such key: y evaluating rule: self.x + self.y > 0
        422 Invalid Gadget.y.example.com "g" is invalid: [spec.name: Too long: may not be more than 5 bytes, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]
        422 Invalid Gadget.y.example.com "g" is invalid: spec: Invalid value: "object": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: all the same
        201 Gadget g
        422 Invalid Gadget.y.example.com "g" is invalid: spec.grows: Forbidden: must grow
        200 Gadget g
        422 Invalid Gadget.y.example.com "g" is invalid: [spec.grows: Forbidden: must grow, status.health: Invalid value: not odd]
        200  
        201 Gadget g
        422 Invalid Gadget.y.example.com "g" is invalid: status.health: Invalid value: not odd
        200 Gadget g"#]]).await;
    let target = format!("{GADGETS}/g?fieldManager=m");
    let media_type = "application/apply-patch+yaml";
    let applied = gadget(&json!({"x": 1, "y": 1, "many": [1, 2]}));
    let refused = cluster
        .send_as("admin-token", "PATCH", &target, media_type, &applied)
        .await;
    expect![[r#"422 Invalid Gadget.y.example.com "g" is invalid: spec: Invalid value: all the same"#]]
        .assert_eq(&refused.line());

    // A rule that comes later holds for what changes, and is told of where nothing does.
    rules
        .as_array_mut()
        .expect("a list")
        .push(json!({"rule": "self.x > 1", "message": "x is small"}));
    let mut changed = definition_with(&rules);
    changed["metadata"]["resourceVersion"] =
        cluster.send("GET", &own, "").await.json["metadata"]["resourceVersion"].clone();
    assert_eq!(cluster.send("PUT", &own, &changed.to_string()).await.code, 200);
    let small = gadget(&json!({"x": 1, "y": 1})).replace(r#""name":"g""#, r#""name":"h""#);
    let dry_run = format!("{GADGETS}?dryRun=All");
    while cluster.send("POST", &dry_run, &small).await.code != 422 {
        tokio::task::yield_now().await;
    }
    let relabel = r#"[{"op":"replace","path":"/metadata/labels/a","value":"c"}]"#;
    let relabelled = cluster.send("PATCH", &format!("{GADGETS}/g"), relabel).await;
    assert_eq!(relabelled.code, 200, "{}", relabelled.json);
    expect![[r#"299 - "spec: Invalid value: x is small""#]]
        .assert_eq(relabelled.headers["warning"].to_str().expect("a text"));
    let change = format!(r#"PATCH {GADGETS}/g [{{"op":"replace","path":"/spec/y","value":2}}]"#);
    check(
        &cluster,
        &[&change],
        expect![[r#"422 Invalid Gadget.y.example.com "g" is invalid: spec: Invalid value: x is small"#]],
    )
    .await;
}

#[tokio::test]
async fn groups_of_kubernetes_own_are_told_of_their_approval() {
    let cluster = Cluster::start().await;
    let mut definition = definition();
    definition["metadata"] =
        json!({"name": "widgets.x.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved"}});
    definition["spec"]["group"] = "x.k8s.io".into();
    let created = cluster.send("POST", DEFINITIONS, &definition.to_string()).await;
    assert_eq!(created.code, 201, "{}", created.json);
    let own = format!("{DEFINITIONS}/widgets.x.k8s.io");
    let says = |definition: &Value, reason: &str| {
        let conditions = definition["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|condition| {
            condition["type"] == "KubernetesAPIApprovalPolicyConformant" && condition["reason"] == reason
        })
    };
    let unapproved = |_: u16, definition: &Value| says(definition, "UnapprovedAnnotation");
    cluster.until(&own, unapproved).await;
    let approve = r#"[{"op":"replace","path":"/metadata/annotations/api-approved.kubernetes.io","value":"https://example.com/approval"}]"#;
    assert_eq!(cluster.send("PATCH", &own, approve).await.code, 200);
    cluster
        .until(&own, |_, definition| says(definition, "ApprovedAnnotation"))
        .await;
}
