//! Each verb against a server in this process: codes, reasons, messages.

mod support;

use expect_test::expect;
use serde_json::{Value, json};
use support::TestServer;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn map(name: &str) -> Value {
    json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": name }, "data": { "a": "1" } })
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let server = TestServer::start().await;
    let created = server.call("POST", MAPS, map("one")).await;
    expect!["201 ConfigMap one"].assert_eq(&created.line());
    let metadata = &created.json()["metadata"];
    assert_eq!(metadata["namespace"], "default");
    assert_eq!(metadata["resourceVersion"], "2");
    assert_eq!(metadata["uid"].as_str().map(str::len), Some(36));
    assert!(metadata["creationTimestamp"].is_string());

    expect![[r#"409 AlreadyExists configmaps "one" already exists"#]]
        .assert_eq(&server.call("POST", MAPS, map("one")).await.line());
    let got = server.call("GET", &format!("{MAPS}/one"), Value::Null).await;
    assert_eq!(got.json(), created.json());

    let mut changed = got.json();
    changed["data"]["b"] = "2".into();
    let updated = server.call("PUT", &format!("{MAPS}/one"), changed.clone()).await;
    assert_eq!(
        (updated.code, &updated.json()["data"]),
        (200, &json!({ "a": "1", "b": "2" }))
    );
    expect![[r#"409 Conflict Operation cannot be fulfilled on configmaps "one": the object has been modified; please apply your changes to the latest version and try again"#]]
        .assert_eq(&server.call("PUT", &format!("{MAPS}/one"), changed).await.line());

    let patched = server
        .call("PATCH", &format!("{MAPS}/one"), json!({ "data": { "a": null } }))
        .await;
    assert_eq!(
        (patched.code, &patched.json()["data"]),
        (200, &json!({ "b": "2" }))
    );

    let deleted = server.call("DELETE", &format!("{MAPS}/one"), Value::Null).await;
    assert_eq!(
        (
            deleted.code,
            &deleted.json()["status"],
            &deleted.json()["details"]["name"]
        ),
        (200, &json!("Success"), &json!("one"))
    );
    expect![[r#"404 NotFound configmaps "one" not found"#]].assert_eq(
        &server
            .call("GET", &format!("{MAPS}/one"), Value::Null)
            .await
            .line(),
    );
    expect![[r#"404 NotFound configmaps "one" not found"#]].assert_eq(
        &server
            .call("DELETE", &format!("{MAPS}/one"), Value::Null)
            .await
            .line(),
    );
}

#[tokio::test]
async fn bad_requests_are_told_why() {
    let server = TestServer::start().await;
    let line =
        async |method: &str, target: &str, content: Value| server.call(method, target, content).await.line();
    expect!["404 NotFound the server could not find the requested resource"]
        .assert_eq(&line("GET", "/api/v1/nopes", Value::Null).await);
    expect!["404 404 page not found\n"].assert_eq(&line("GET", "/apis/nope/v1/nopes", Value::Null).await);
    expect!["405 MethodNotAllowed the server does not allow this method on the requested resource"]
        .assert_eq(&line("POST", "/api/v1/configmaps", map("x")).await);
    expect![
        "400 BadRequest the namespace of the provided object does not match the namespace sent on the request"
    ]
    .assert_eq(
        &line(
            "POST",
            MAPS,
            json!({ "metadata": { "name": "x", "namespace": "other" } }),
        )
        .await,
    );
    expect!["400 BadRequest the name of the object (x) does not match the name on the URL (y)"].assert_eq(&{
        server.call("POST", MAPS, map("y")).await;
        line("PUT", &format!("{MAPS}/y"), map("x")).await
    });
    expect![[r#"400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dat""#]]
        .assert_eq(&line("POST", &format!("{MAPS}?fieldValidation=Strict"), json!({ "metadata": { "name": "z" }, "dat": {} })).await);
    expect!["415 UnsupportedMediaType the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf"]
        .assert_eq(&server.send("POST", MAPS, &[("content-type", "text/plain")], "x").await.line());
    expect!["413 RequestEntityTooLarge Request entity too large: limit is 3145728"].assert_eq(
        &server
            .send(
                "POST",
                MAPS,
                &[("content-type", "application/json")],
                vec![b' '; 3 * 1024 * 1024 + 1],
            )
            .await
            .line(),
    );
    expect!["406 NotAcceptable 406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"]
        .assert_eq(&server.send("GET", MAPS, &[("accept", "text/html")], "").await.line());
    expect!["406 NotAcceptable only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"]
        .assert_eq(&server.send("GET", MAPS, &[("accept", "application/json;as=Nothing;g=meta.k8s.io;v=v1")], "").await.line());
    expect!["415 UnsupportedMediaType 415: Unsupported Media Type"].assert_eq(
        &server
            .send(
                "PATCH",
                &format!("{MAPS}/y"),
                &[("content-type", "application/json")],
                "{}",
            )
            .await
            .line(),
    );
    expect!["405 MethodNotAllowed the server does not allow this method on the requested resource"]
        .assert_eq(&server.send("PUT", MAPS, &[], "{}").await.line());
    let nobody = server
        .send("GET", MAPS, &[("impersonate-user", "nobody")], "")
        .await;
    expect![[r#"403 Forbidden configmaps is forbidden: User "nobody" cannot list resource "configmaps" in API group "" in the namespace "default""#]]
        .assert_eq(&nobody.line());
}

#[tokio::test]
async fn unknown_fields_are_warned_of() {
    let server = TestServer::start().await;
    let created = server
        .call("POST", MAPS, json!({ "metadata": { "name": "w" }, "dat": {} }))
        .await;
    assert_eq!(created.code, 201);
    assert_eq!(created.headers["warning"], r#"299 - "unknown field \"dat\"""#);
    assert!(created.headers.contains_key("audit-id"));
}

#[tokio::test]
async fn a_dry_run_leaves_nothing() {
    let server = TestServer::start().await;
    let created = server
        .call("POST", &format!("{MAPS}?dryRun=All"), map("dry"))
        .await;
    assert_eq!(created.code, 201);
    assert_eq!(created.json()["metadata"]["resourceVersion"], Value::Null);
    assert_eq!(
        server.call("GET", &format!("{MAPS}/dry"), Value::Null).await.code,
        404
    );
    server.call("POST", MAPS, map("wet")).await;
    assert_eq!(
        server
            .call("DELETE", &format!("{MAPS}/wet?dryRun=All"), Value::Null)
            .await
            .code,
        200
    );
    assert_eq!(
        server.call("GET", &format!("{MAPS}/wet"), Value::Null).await.code,
        200
    );
}

#[tokio::test]
async fn generated_names_differ() {
    let server = TestServer::start().await;
    let nameless = json!({ "metadata": { "generateName": "gen-" } });
    let first = server.call("POST", MAPS, nameless.clone()).await.json();
    let second = server.call("POST", MAPS, nameless).await.json();
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    assert!(
        name(&first).starts_with("gen-") && name(&first).len() == 9,
        "{first}"
    );
    assert_ne!(name(&first), name(&second));
}

#[tokio::test]
async fn lists_come_in_pages_of_one_revision() {
    let server = TestServer::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        server.call("POST", MAPS, map(name)).await;
    }
    let first = server
        .call("GET", &format!("{MAPS}?limit=2"), Value::Null)
        .await
        .json();
    assert_eq!(first["kind"], "ConfigMapList");
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let token = first["metadata"]["continue"]
        .as_str()
        .expect("a token")
        .to_owned();
    server.call("DELETE", &format!("{MAPS}/d"), Value::Null).await;
    let second = server
        .call("GET", &format!("{MAPS}?limit=9&continue={token}"), Value::Null)
        .await
        .json();
    let names: Vec<&str> = second["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["metadata"]["name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["c", "d", "e"],
        "the second page shows the first page's revision"
    );
    assert_eq!(
        second["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    let newest = server.call("GET", MAPS, Value::Null).await.json();
    assert_eq!(newest["items"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        newest["items"][0]["kind"],
        Value::Null,
        "items don't repeat their kind"
    );
}

#[tokio::test]
async fn selectors_select() {
    let server = TestServer::start().await;
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        server
            .call(
                "POST",
                MAPS,
                json!({ "metadata": { "name": name, "labels": { "tier": tier } } }),
            )
            .await;
    }
    let names = async |query: &str| {
        let list = server
            .call("GET", &format!("{MAPS}?{query}"), Value::Null)
            .await
            .json();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item["metadata"]["name"].as_str())
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(names("labelSelector=tier%3Dweb").await, "a,c");
    assert_eq!(names("labelSelector=tier+notin+(web)").await, "b");
    assert_eq!(names("fieldSelector=metadata.name%3Dc").await, "c");
    assert_eq!(names("fieldSelector=metadata.name!%3Dc").await, "a,b");
    expect![[
        r#"400 BadRequest "spec.x" is not a known field selector: only "metadata.name", "metadata.namespace""#
    ]]
    .assert_eq(
        &server
            .call("GET", &format!("{MAPS}?fieldSelector=spec.x%3D1"), Value::Null)
            .await
            .line(),
    );
    let deleted = server
        .call("DELETE", &format!("{MAPS}?labelSelector=tier%3Dweb"), Value::Null)
        .await;
    assert_eq!(
        (deleted.code, deleted.json()["items"].as_array().map(Vec::len)),
        (200, Some(2))
    );
    assert_eq!(names("").await, "b");
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let server = TestServer::start().await;
    let held = json!({ "metadata": { "name": "held", "finalizers": ["example.com/hold"] } });
    server.call("POST", MAPS, held).await;
    let deleted = server.call("DELETE", &format!("{MAPS}/held"), Value::Null).await;
    expect!["200 ConfigMap held"].assert_eq(&deleted.line());
    let marked = server
        .call("GET", &format!("{MAPS}/held"), Value::Null)
        .await
        .json();
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let released = server
        .call(
            "PATCH",
            &format!("{MAPS}/held"),
            json!({ "metadata": { "finalizers": null } }),
        )
        .await;
    assert_eq!(released.code, 200);
    assert_eq!(
        server
            .call("GET", &format!("{MAPS}/held"), Value::Null)
            .await
            .code,
        404
    );
}

#[tokio::test]
async fn preconditions_are_kept() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("p")).await;
    let wrong = json!({ "preconditions": { "uid": "nope" } });
    let refused = server.call("DELETE", &format!("{MAPS}/p"), wrong).await;
    assert_eq!(refused.code, 409);
    assert!(
        refused
            .line()
            .contains("the UID in the precondition (nope) does not match the UID in record ("),
        "{}",
        refused.line()
    );
}

#[tokio::test]
async fn tables_and_metadata() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("t")).await;
    let table = server
        .send(
            "GET",
            MAPS,
            &[(
                "accept",
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            )],
            "",
        )
        .await
        .json();
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][0]["name"], "Name");
    assert_eq!(table["rows"][0]["cells"], json!(["t"]));
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(table["rows"][0]["object"]["data"], Value::Null);
    let accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let metadata = server.send("GET", MAPS, &[("accept", accept)], "").await.json();
    assert_eq!(metadata["kind"], "PartialObjectMetadataList");
    assert_eq!(metadata["items"][0]["metadata"]["name"], "t");
    assert_eq!(metadata["items"][0]["data"], Value::Null);
}

#[tokio::test]
async fn other_encodings() {
    let server = TestServer::start().await;
    server.call("POST", MAPS, map("e")).await;
    let yaml = server
        .send("GET", &format!("{MAPS}/e"), &[("accept", "application/yaml")], "")
        .await;
    assert!(
        String::from_utf8_lossy(&yaml.body).contains("kind: ConfigMap"),
        "{:?}",
        yaml.body
    );
    let protobuf = server
        .send(
            "GET",
            &format!("{MAPS}/e"),
            &[("accept", "application/vnd.kubernetes.protobuf")],
            "",
        )
        .await;
    assert!(protobuf.body.starts_with(b"k8s\0"));
    let copied = server
        .send(
            "PUT",
            &format!("{MAPS}/e"),
            &[("content-type", "application/vnd.kubernetes.protobuf")],
            protobuf.body.clone(),
        )
        .await;
    assert_eq!((copied.code, &copied.json()["data"]), (200, &json!({ "a": "1" })));
}

#[tokio::test]
async fn evictions_of_the_former_version_are_read() {
    let server = TestServer::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    for (name, version) in [("old", "policy/v1beta1"), ("new", "policy/v1")] {
        server
            .call("POST", pods, json!({ "metadata": { "name": name } }))
            .await;
        let eviction = json!({ "kind": "Eviction", "apiVersion": version, "metadata": { "name": name } });
        let evicted = server
            .call("POST", &format!("{pods}/{name}/eviction"), eviction)
            .await;
        assert_eq!(
            (evicted.code, &evicted.json()["status"]),
            (201, &json!("Success")),
            "{}",
            evicted.line()
        );
        assert_eq!(
            server
                .call("GET", &format!("{pods}/{name}"), Value::Null)
                .await
                .code,
            404
        );
    }
}

#[tokio::test]
async fn refusals_name_the_group_that_was_asked() {
    let server = TestServer::start().await;
    for (group, resource) in [
        ("api/v1", "events"),
        ("apis/events.k8s.io/v1", "events.events.k8s.io"),
    ] {
        let events = format!("/{group}/namespaces/default/events");
        let event =
            |name: &str, version: &str| json!({ "metadata": { "name": name, "resourceVersion": version } });
        server.call("POST", &events, event("e", "")).await;
        for (method, name, body, expected) in [
            ("POST", "", event("e", ""), format!("409 AlreadyExists {resource} \"e\" already exists")),
            ("GET", "/no", Value::Null, format!("404 NotFound {resource} \"no\" not found")),
            ("DELETE", "/no", Value::Null, format!("404 NotFound {resource} \"no\" not found")),
            ("PUT", "/no", event("no", ""), format!("404 NotFound {resource} \"no\" not found")),
            (
                "PUT",
                "/e",
                event("e", "1"),
                format!("409 Conflict Operation cannot be fulfilled on {resource} \"e\": the object has been modified; please apply your changes to the latest version and try again"),
            ),
            (
                "DELETE",
                "/e",
                json!({ "preconditions": { "resourceVersion": "1" } }),
                "409 Conflict Operation cannot be fulfilled on Event \"e\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2). The object might have been modified".to_owned(),
            ),
        ] {
            let answer = server.call(method, &format!("{events}{name}"), body).await;
            assert_eq!(answer.line(), expected, "{method} {events}{name}");
        }
    }
}

#[tokio::test]
async fn a_uid_in_a_put_is_a_precondition() {
    let server = TestServer::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let made = server
        .call("POST", deployments, json!({ "metadata": { "name": "d" } }))
        .await;
    let uid = made.json()["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let refusal = format!(
        "409 Conflict Operation cannot be fulfilled on deployments.apps \"d\": StorageError: invalid object, Code: 4, Key: /registry/deployments/default/d, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: x, UID in object meta: {uid}"
    );
    let with = |uid: &str| json!({ "metadata": { "name": "d", "uid": uid } });
    for (path, body, expected) in [
        ("d", with("x"), refusal.as_str()),
        ("d", with(&uid), "200 Deployment d"),
        ("d/scale", with("x"), &refusal),
    ] {
        let answer = server.call("PUT", &format!("{deployments}/{path}"), body).await;
        assert_eq!(answer.line(), expected, "{path}");
    }
    let pods = "/api/v1/namespaces/default/pods";
    server
        .call("POST", pods, json!({ "metadata": { "name": "p" } }))
        .await;
    let binding = json!({ "metadata": { "name": "p", "resourceVersion": "1" }, "target": { "name": "n" } });
    let refused = server.call("POST", &format!("{pods}/p/binding"), binding).await;
    assert!(
        refused.line().starts_with("409 Conflict Operation cannot be fulfilled on pods \"p\": StorageError: invalid object, Code: 4, Key: /registry/pods/default/p, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ResourceVersion in precondition: 1, "),
        "{}",
        refused.line()
    );
}

#[tokio::test]
async fn what_a_post_made_without_showing_it_has_a_code() {
    let server = TestServer::start().await;
    let pods = "/api/v1/namespaces/default/pods";
    server
        .call("POST", pods, json!({ "metadata": { "name": "p" } }))
        .await;
    for (subresource, body) in [
        (
            "binding",
            json!({ "metadata": { "name": "p" }, "target": { "name": "n" } }),
        ),
        ("eviction", json!({ "metadata": { "name": "p" } })),
    ] {
        let answer = server
            .call("POST", &format!("{pods}/p/{subresource}"), body)
            .await;
        let expected =
            json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
        assert_eq!((answer.code, answer.json()), (201, expected), "{subresource}");
    }
}

#[tokio::test]
async fn scales_are_shown_in_all_views() {
    let server = TestServer::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    server
        .call("POST", deployments, json!({ "metadata": { "name": "d" } }))
        .await;
    let scale = json!({ "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": { "name": "d" }, "spec": { "replicas": 3 }, "status": { "replicas": 0 } });
    let metadata = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": { "name": "d" } });
    let of_table = |object: Value| json!([{ "cells": ["d", 3], "object": object }]);
    for (view, query, part, expected) in [
        ("", "", "", scale.clone()),
        (
            ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            "",
            "",
            metadata.clone(),
        ),
        (";as=Table;v=v1;g=meta.k8s.io", "", "/rows", of_table(metadata)),
        (
            ";as=Table;v=v1;g=meta.k8s.io",
            "?includeObject=Object",
            "/rows",
            of_table(scale),
        ),
        (
            ";as=Table;v=v1;g=meta.k8s.io",
            "?includeObject=None",
            "/rows",
            of_table(Value::Null),
        ),
    ] {
        let accept = format!("application/json{view}");
        let target = format!("{deployments}/d/scale{query}");
        let answer = server.send("GET", &target, &[("accept", &accept)], "").await;
        assert_eq!(answer.json().pointer(part), Some(&expected), "{target} {accept}");
    }
}
