//! Admission webhooks, asked over TLS: what they see, and what comes of their answers, in upstream's words.

mod hook;
#[path = "../support/https.rs"]
mod https;
#[path = "../support/mod.rs"]
mod support;

use hook::Hook;
use serde_json::{Value, json};
use support::Cluster;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// A server and a webhook.
struct Setting {
    cluster: Cluster,
    hook: Hook,
}

impl Setting {
    async fn start() -> Setting {
        Setting {
            cluster: Cluster::start().await,
            hook: Hook::start(&["127.0.0.1", "hook.default.svc"]).await,
        }
    }

    /// A webhook that is asked at a path about the ConfigMaps with the label `case: PATH`; `more` changes it.
    fn webhook(&self, path: &str, more: &Value) -> Value {
        let case = path.trim_start_matches('/');
        let mut webhook = json!({
            "name": "test.example.com",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "clientConfig": { "url": format!("https://{}{path}", self.hook.address), "caBundle": self.hook.ca_bundle },
            "objectSelector": { "matchLabels": { "case": case } },
            "rules": [rule("configmaps")],
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            webhook[field] = value.clone();
        }
        webhook
    }

    /// Makes a configuration, and waits until the server acts on it: then a Secret of this name brings a warning.
    async fn configure(&self, sort: &str, name: &str, mut webhooks: Vec<Value>) {
        for (index, webhook) in webhooks.iter_mut().enumerate() {
            webhook["name"] = format!("w{index}.example.com").into();
        }
        let labels = json!({ "matchLabels": { "of": name } });
        let marker =
            json!({ "name": "marker.example.com", "rules": [rule("secrets")], "objectSelector": labels });
        webhooks.push(self.webhook("/warn", &marker));
        let configuration = json!({ "metadata": { "name": name }, "webhooks": webhooks });
        let target = format!("{CONFIGURATIONS}/{sort}webhookconfigurations");
        let made = self
            .cluster
            .send("POST", &target, &configuration.to_string())
            .await;
        assert_eq!(made.code, 201, "{}", made.json);
        let secret = json!({ "metadata": { "name": "s", "labels": { "of": name } } }).to_string();
        loop {
            let probe = self
                .cluster
                .send("POST", &format!("{SECRETS}?dryRun=All"), &secret)
                .await;
            if probe.headers.contains_key("warning") {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.hook.take();
    }

    /// Creates a ConfigMap that is a case.
    async fn create(&self, case: &str) -> (String, Value) {
        let metadata = json!({ "name": format!("m-{case}"), "labels": { "case": case } });
        let body = json!({ "metadata": metadata, "data": { "a": "b" } });
        let answer = self.cluster.send("POST", MAPS, &body.to_string()).await;
        let line = answer.line().replace(&self.hook.address.to_string(), "HOOK");
        (line, answer.json)
    }
}

fn rule(resource: &str) -> Value {
    json!({ "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource] })
}

/// What a create is answered when a webhook of that sort has that path.
async fn check(sort: &str, cases: &[(&str, Value, &str)]) {
    let setting = Setting::start().await;
    let webhooks = cases.iter().map(|(path, more, _)| setting.webhook(path, more));
    setting.configure(sort, "c", webhooks.collect()).await;
    for (index, (path, _, expected)) in cases.iter().enumerate() {
        let (line, _) = setting.create(path.trim_start_matches('/')).await;
        let line = match line.split_once("expected response.uid=") {
            Some((before, _)) => format!("{before}expected response.uid="),
            None => line,
        };
        assert_eq!(
            line.replace(&format!("w{index}.example.com"), "w"),
            *expected,
            "{sort} {path}"
        );
    }
}

/// Cases that end alike for both sorts.
fn alike() -> Vec<(&'static str, Value, &'static str)> {
    let ignored = json!({ "failurePolicy": "Ignore" });
    vec![
        ("/allow", json!({}), "201 ConfigMap m-allow"),
        ("/warn", json!({}), "201 ConfigMap m-warn"),
        (
            "/deny",
            json!({}),
            r#"400  admission webhook "w" denied the request without explanation"#,
        ),
        (
            "/explain",
            ignored.clone(),
            r#"418 Tea admission webhook "w" denied the request: not today"#,
        ),
        (
            "/reason",
            json!({}),
            r#"400 Tea admission webhook "w" denied the request: Tea"#,
        ),
        (
            "/stranger",
            json!({}),
            r#"500 InternalError Internal error occurred: failed calling webhook "w": received invalid webhook response: expected response.uid="#,
        ),
        (
            "/broken",
            json!({}),
            r#"500 InternalError Internal error occurred: failed calling webhook "w": failed to call webhook: an error on the server ("no luck") has prevented the request from succeeding"#,
        ),
        ("/broken-ignored", ignored, "201 ConfigMap m-broken-ignored"),
        (
            "/slow",
            json!({ "timeoutSeconds": 1 }),
            r#"500 InternalError Internal error occurred: failed calling webhook "w": failed to call webhook: Post "https://HOOK/slow?timeout=1s": context deadline exceeded"#,
        ),
        (
            "/nowhere",
            json!({ "clientConfig": { "service": { "namespace": "default", "name": "gone", "path": "/x" } } }),
            r#"500 InternalError Internal error occurred: failed calling webhook "w": failed to call webhook: Post "https://gone.default.svc:443/x?timeout=10s": service "gone" not found"#,
        ),
    ]
}

#[tokio::test]
async fn answers_of_validating_webhooks() {
    let mut cases = alike();
    cases.push((
        "/meddle",
        json!({}),
        r#"500 InternalError Internal error occurred: failed calling webhook "w": received invalid webhook response: validating webhook may not return response.patch"#,
    ));
    check("validating", &cases).await;
}

#[tokio::test]
async fn answers_of_mutating_webhooks() {
    let mut cases = alike();
    cases.push(("/meddle", json!({}), "201 ConfigMap m-meddle"));
    cases.push((
        "/elsewhere",
        json!({}),
        "400 BadRequest the namespace of the provided object does not match the namespace sent on the request",
    ));
    cases.push((
        "/absent",
        json!({}),
        r#"500 InternalError Internal error occurred: remove operation does not apply: doc is missing path: "/data/absent": missing value"#,
    ));
    cases.push((
        "/unlike",
        json!({}),
        "500 InternalError Internal error occurred: json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string",
    ));
    check("mutating", &cases).await;
}

#[tokio::test]
async fn a_change_is_shown_to_those_before_it_if_they_want() {
    for (policy, expected) in [
        ("Never", json!({ "a": "b", "one": "1" })),
        ("IfNeeded", json!({ "a": "b", "one": "1", "two": "2" })),
    ] {
        let setting = Setting::start().await;
        let case = json!({ "matchLabels": { "case": "chain" } });
        let two = json!({ "objectSelector": case, "reinvocationPolicy": policy });
        setting
            .configure("mutating", "a", vec![setting.webhook("/two", &two)])
            .await;
        let one = json!({ "objectSelector": case });
        setting
            .configure("mutating", "b", vec![setting.webhook("/one", &one)])
            .await;
        let (line, object) = setting.create("chain").await;
        assert_eq!(line, "201 ConfigMap m-chain");
        assert_eq!(object["data"], expected, "{policy}");
    }
}

#[tokio::test]
async fn webhooks_see_the_request() {
    let setting = Setting::start().await;
    let all = json!({ "objectSelector": {} });
    setting
        .configure("validating", "c", vec![setting.webhook("/allow", &all)])
        .await;
    let one = format!("{MAPS}/m-seen");
    setting.create("seen").await;
    setting.cluster.send("PATCH", &one, r#"{"data":{"c":"d"}}"#).await;
    setting
        .cluster
        .send("DELETE", &format!("{one}?dryRun=All"), "")
        .await;
    setting.cluster.send("DELETE", MAPS, "").await;
    let asked = setting.hook.take();
    let seen: Vec<Value> = asked
        .iter()
        .map(|review| {
            let request = &review["request"];
            json!([
                request["operation"],
                request["namespace"],
                request["name"],
                request["dryRun"],
                request["object"]["data"],
                request["oldObject"]["data"],
                request["options"]["kind"],
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!(["CREATE", "default", "m-seen", false, { "a": "b" }, null, "CreateOptions"]),
            json!(["UPDATE", "default", "m-seen", false, { "a": "b", "c": "d" }, { "a": "b" }, "UpdateOptions"]),
            json!(["DELETE", "default", "m-seen", true, null, { "a": "b", "c": "d" }, "DeleteOptions"]),
            json!(["DELETE", "default", "m-seen", false, null, { "a": "b", "c": "d" }, "DeleteOptions"]),
        ]
    );
    let request = &asked[0]["request"];
    let kind = json!({ "group": "", "version": "v1", "kind": "ConfigMap" });
    let resource = json!({ "group": "", "version": "v1", "resource": "configmaps" });
    assert_eq!((&request["kind"], &request["requestKind"]), (&kind, &kind));
    assert_eq!(
        (&request["resource"], &request["requestResource"]),
        (&resource, &resource)
    );
    assert_eq!(request["userInfo"]["username"], "admin");
    assert_eq!(request["object"]["kind"], "ConfigMap");
    assert_eq!(request["oldObject"], Value::Null);
}

#[tokio::test]
async fn other_versions_of_a_kind_are_shown_in_the_one_of_the_rule() {
    let setting = Setting::start().await;
    let rule = json!({ "operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"],
        "resources": ["horizontalpodautoscalers"] });
    let webhook = json!({ "objectSelector": {}, "rules": [rule] });
    setting
        .configure("validating", "c", vec![setting.webhook("/allow", &webhook)])
        .await;
    let scaler = json!({ "metadata": { "name": "h" }, "spec": { "maxReplicas": 3,
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "d" } } });
    let target = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let answer = setting.cluster.send("POST", target, &scaler.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.json);
    let asked = setting.hook.take();
    let [review] = asked.as_slice() else {
        panic!("asked once, not {asked:?}");
    };
    let request = &review["request"];
    assert_eq!(request["kind"]["version"], "v1");
    assert_eq!(request["requestKind"]["version"], "v2");
    assert_eq!(request["object"]["apiVersion"], "autoscaling/v1");
}

#[tokio::test]
async fn a_service_is_found_and_its_certificate_checked() {
    let setting = Setting::start().await;
    let port = setting.hook.address.port();
    let service = json!({ "metadata": { "name": "hook" }, "spec": { "type": "ExternalName", "externalName": "localhost" } });
    let other = json!({ "metadata": { "name": "other" }, "spec": { "type": "ExternalName", "externalName": "localhost" } });
    for service in [&service, &other] {
        let made = setting
            .cluster
            .send(
                "POST",
                "/api/v1/namespaces/default/services",
                &service.to_string(),
            )
            .await;
        assert_eq!(made.code, 201, "{}", made.json);
    }
    let client = |name: &str, bundle: &str| {
        json!({ "clientConfig": {
            "service": { "namespace": "default", "name": name, "path": "/deny", "port": port }, "caBundle": bundle } })
    };
    let bundle = setting.hook.ca_bundle.as_str();
    let stranger = Hook::start(&["127.0.0.1"]).await;
    let webhooks = vec![
        setting.webhook("/good", &client("hook", bundle)),
        setting.webhook("/misnamed", &client("other", bundle)),
        setting.webhook("/untrusted", &client("hook", &stranger.ca_bundle)),
    ];
    setting.configure("validating", "c", webhooks).await;
    let failed = |index: usize, service: &str, why: &str| {
        format!(
            r#"500 InternalError Internal error occurred: failed calling webhook "w{index}.example.com": failed to call webhook: Post "https://{service}.default.svc:{port}/deny?timeout=10s": tls: failed to verify certificate: x509: {why}"#
        )
    };
    for (case, expected) in [
        (
            "good",
            r#"400  admission webhook "w0.example.com" denied the request without explanation"#.to_owned(),
        ),
        (
            "misnamed",
            failed(
                1,
                "other",
                "certificate is valid for hook.default.svc, not other.default.svc",
            ),
        ),
        (
            "untrusted",
            failed(2, "hook", "certificate signed by unknown authority"),
        ),
    ] {
        assert_eq!(setting.create(case).await.0, expected);
    }
}

#[tokio::test]
async fn what_was_asked_is_counted() {
    let setting = Setting::start().await;
    let webhooks = vec![
        setting.webhook("/deny", &json!({})),
        setting.webhook("/broken", &json!({ "failurePolicy": "Ignore" })),
    ];
    setting.configure("validating", "c", webhooks).await;
    setting.create("deny").await;
    setting.create("broken").await;
    let metrics = setting.cluster.send("GET", "/metrics", "").await.json;
    let metrics = metrics.as_str().expect("a text");
    for line in [
        r#"apiserver_admission_webhook_rejection_count{error_type="no_error",name="w0.example.com",operation="CREATE",rejection_code="400",type="validating"} 1"#,
        r#"apiserver_admission_webhook_request_total{code="400",name="w0.example.com",operation="CREATE",rejected="true",type="validating"} 1"#,
        r#"apiserver_admission_webhook_request_total{code="500",name="w1.example.com",operation="CREATE",rejected="false",type="validating"} 1"#,
        r#"apiserver_admission_webhook_fail_open_count{name="w1.example.com",type="validating"} 1"#,
        r#"apiserver_admission_webhook_admission_duration_seconds_count{name="w0.example.com",operation="CREATE",rejected="true",type="validating"} 1"#,
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line} is not in the metrics"
        );
    }
}

#[tokio::test]
async fn configurations_can_always_be_undone() {
    let setting = Setting::start().await;
    let everything = json!({ "objectSelector": {},
        "rules": [{ "operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"] }] });
    setting
        .configure("validating", "c", vec![setting.webhook("/deny", &everything)])
        .await;
    assert_eq!(setting.create("x").await.0.get(..3), Some("400"));
    let configuration = format!("{CONFIGURATIONS}/validatingwebhookconfigurations/c");
    let gone = setting.cluster.send("DELETE", &configuration, "").await;
    assert_eq!(gone.code, 200, "{}", gone.json);
}

#[tokio::test]
async fn connections_are_refused_by_their_options() {
    let setting = Setting::start().await;
    let rule = json!({ "operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/attach"] });
    let webhook = json!({ "objectSelector": {}, "rules": [rule] });
    setting
        .configure("validating", "c", vec![setting.webhook("/deny", &webhook)])
        .await;
    let target = "/api/v1/namespaces/default/pods/p/attach?container=x&stdin=true&tty=false";
    let answer = setting.cluster.send("POST", target, "").await;
    assert_eq!(
        answer.line(),
        r#"400  admission webhook "w0.example.com" denied the request without explanation"#
    );
    let asked = setting.hook.take();
    let request = &asked[0]["request"];
    assert_eq!(request["operation"], "CONNECT");
    assert_eq!(request["kind"]["kind"], "PodAttachOptions");
    assert_eq!(
        request["object"],
        json!({ "kind": "PodAttachOptions", "apiVersion": "v1", "stdin": true, "container": "x" })
    );
}
