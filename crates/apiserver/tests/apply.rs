//! Field ownership through requests: who owns what after which write, and apply patches.

mod support;

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use support::{Answer, TestServer};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// Applies a configuration as a manager.
async fn apply(
    server: &TestServer,
    target: &str,
    manager: &str,
    force: bool,
    configuration: Value,
) -> Answer {
    let target = format!("{target}?fieldManager={manager}&force={force}");
    server
        .send(
            "PATCH",
            &target,
            &[("content-type", "application/apply-patch+yaml")],
            configuration.to_string(),
        )
        .await
}

/// A line for each manager: what it does, as which version and subresource, and what it owns.
fn managers(answer: &Answer) -> String {
    let json = answer.json();
    let entries = json["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let line = |entry: Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        assert!(entry["time"].is_string() && entry["fieldsType"] == "FieldsV1");
        let fields = entry["fieldsV1"].to_string().replace("\\\"", "'");
        format!(
            "{} {} {} {} {fields}",
            text("manager"),
            text("operation"),
            text("apiVersion"),
            text("subresource")
        )
    };
    entries.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

fn check(answer: &Answer, expected: Expect) {
    expected.assert_eq(&format!("{}\n{}", answer.line(), managers(answer)));
}

fn map(name: &str, data: Value) -> Value {
    json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": name }, "data": data })
}

fn deployment(replicas: i32) -> Value {
    json!({ "kind": "Deployment", "apiVersion": "apps/v1", "metadata": { "name": "web", "labels": { "app": "web" } },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "web" } }, "template": {
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "a", "image": "i", "ports": [{ "containerPort": 80 }] }] } } } })
}

#[tokio::test]
async fn creating_and_updating_own_what_they_change() {
    let server = TestServer::start().await;
    let created = server
        .send(
            "POST",
            DEPLOYMENTS,
            &[
                ("content-type", "application/json"),
                ("user-agent", "kubectl-create/v1"),
            ],
            deployment(1).to_string(),
        )
        .await;
    check(
        &created,
        expect![[r#"
        201 Deployment web
        kubectl-create Update apps/v1  {"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{'name':'a'}":{".":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{'containerPort':80,'protocol':'TCP'}":{".":{},"f:containerPort":{}}},"f:resources":{}}}}}}}"#]],
    );
    let target = format!("{DEPLOYMENTS}/web");
    let patched = server
        .send(
            "PATCH",
            &format!("{target}?fieldManager=scaler"),
            &[("content-type", "application/merge-patch+json")],
            r#"{"spec":{"replicas":3}}"#,
        )
        .await;
    check(
        &patched,
        expect![[r#"
        200 Deployment web
        kubectl-create Update apps/v1  {"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:selector":{},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{'name':'a'}":{".":{},"f:image":{},"f:name":{},"f:ports":{".":{},"k:{'containerPort':80,'protocol':'TCP'}":{".":{},"f:containerPort":{}}},"f:resources":{}}}}}}}
        scaler Update apps/v1  {"f:spec":{"f:replicas":{}}}"#]],
    );
    let status = server
        .send(
            "PATCH",
            &format!("{target}/status?fieldManager=controller"),
            &[("content-type", "application/merge-patch+json")],
            r#"{"status":{"replicas":3}}"#,
        )
        .await;
    let line = managers(&status)
        .lines()
        .find(|line| line.starts_with("controller"))
        .map(str::to_owned);
    assert_eq!(
        line.as_deref(),
        Some(r#"controller Update apps/v1 status {"f:status":{"f:replicas":{}}}"#)
    );
}

#[tokio::test]
async fn applying_creates_changes_and_prunes() {
    let server = TestServer::start().await;
    let target = format!("{MAPS}/one");
    check(
        &apply(
            &server,
            &target,
            "me",
            false,
            map("one", json!({ "a": "1", "b": "2" })),
        )
        .await,
        expect![[r#"
        201 ConfigMap one
        me Apply v1  {"f:data":{"f:a":{},"f:b":{}}}"#]],
    );
    server
        .send(
            "PATCH",
            &format!("{target}?fieldManager=other"),
            &[("content-type", "application/merge-patch+json")],
            r#"{"data":{"c":"3"}}"#,
        )
        .await;
    let applied = apply(&server, &target, "me", false, map("one", json!({ "a": "5" }))).await;
    assert_eq!(applied.json()["data"], json!({ "a": "5", "c": "3" }));
    check(
        &applied,
        expect![[r#"
        200 ConfigMap one
        me Apply v1  {"f:data":{"f:a":{}}}
        other Update v1  {"f:data":{"f:c":{}}}"#]],
    );
    let again = apply(&server, &target, "me", false, map("one", json!({ "a": "5" }))).await;
    assert_eq!(again.json()["metadata"], applied.json()["metadata"]);
}

#[tokio::test]
async fn what_others_own_is_refused_unless_forced() {
    let server = TestServer::start().await;
    server
        .send(
            "POST",
            DEPLOYMENTS,
            &[("content-type", "application/json"), ("user-agent", "creator/v1")],
            deployment(1).to_string(),
        )
        .await;
    let target = format!("{DEPLOYMENTS}/web");
    let mut wanted = deployment(5);
    wanted["spec"]["template"]["spec"]["containers"][0]["image"] = "j".into();
    let refused = apply(&server, &target, "me", false, wanted.clone()).await;
    expect![[r#"
        409 Conflict Apply failed with 2 conflicts: conflicts with "creator" using apps/v1:
        - .spec.replicas
        - .spec.template.spec.containers[name="a"].image"#]]
    .assert_eq(&refused.line());
    assert_eq!(
        refused.json()["details"]["causes"][0],
        json!({ "reason": "FieldManagerConflict",
        "message": "conflict with \"creator\" using apps/v1", "field": ".spec.replicas" })
    );
    let forced = apply(&server, &target, "me", true, wanted).await;
    assert_eq!(
        (forced.code, &forced.json()["spec"]["replicas"]),
        (200, &json!(5))
    );
    assert!(
        !managers(&forced)
            .lines()
            .any(|line| line.starts_with("creator") && line.contains("f:replicas"))
    );
}

#[tokio::test]
async fn kubectl_takes_over_what_it_applied_on_its_own() {
    let server = TestServer::start().await;
    let stated = map("one", json!({ "a": "1" }));
    let mut created = stated.clone();
    created["metadata"]["annotations"] =
        json!({ "kubectl.kubernetes.io/last-applied-configuration": stated.to_string() });
    server
        .send(
            "POST",
            &format!("{MAPS}?fieldManager=kubectl-client-side-apply"),
            &[("content-type", "application/json")],
            created.to_string(),
        )
        .await;
    let applied = apply(
        &server,
        &format!("{MAPS}/one"),
        "kubectl",
        false,
        map("one", json!({ "a": "2" })),
    )
    .await;
    assert_eq!((applied.code, &applied.json()["data"]["a"]), (200, &json!("2")));
    let annotation =
        applied.json()["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].clone();
    assert!(
        annotation
            .as_str()
            .is_some_and(|text| text.contains(r#""a":"2""#))
    );
}

#[tokio::test]
async fn bad_configurations_are_told_why() {
    let server = TestServer::start().await;
    let target = format!("{MAPS}/one");
    let line = async |target: &str, configuration: Value| {
        apply(&server, target, "me", false, configuration).await.line()
    };
    expect!["400 BadRequest invalid object type: /v1, Kind=Secret"].assert_eq(
        &line(
            &target,
            json!({ "kind": "Secret", "apiVersion": "v1", "metadata": { "name": "one" } }),
        )
        .await,
    );
    let mut managed = map("one", json!({}));
    managed["metadata"]["managedFields"] = json!([]);
    expect!["400 BadRequest metadata.managedFields must be nil"].assert_eq(&line(&target, managed).await);
    let mut unknown = map("one", json!({}));
    unknown["foo"] = json!(1);
    expect!["500  failed to create typed patch object (/one; /v1, Kind=ConfigMap): .foo: field not declared in schema"]
        .assert_eq(&line(&target, unknown).await);
}

#[tokio::test]
async fn a_blank_entry_clears_the_record() {
    let server = TestServer::start().await;
    let created = server.call("POST", MAPS, map("one", json!({ "a": "1" }))).await;
    let mut object = created.json();
    object["metadata"]["managedFields"] = json!([{}]);
    let cleared = server.call("PUT", &format!("{MAPS}/one"), object).await;
    assert_eq!((cleared.code, managers(&cleared).as_str()), (200, ""));
}
