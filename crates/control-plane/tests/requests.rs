//! What each bad request is answered, in upstream's words.

#[path = "requests/custom_resources.rs"]
mod custom_resources;
#[path = "requests/mutating_policies.rs"]
mod mutating_policies;
mod support;

use expect_test::{Expect, expect};

use serde_json::{Value, json};
use support::Cluster;

/// Runs a table of `METHOD TARGET BODY` and checks the answers, one a line.
async fn check(cluster: &Cluster, requests: &[&str], expected: Expect) {
    let mut lines = Vec::new();
    for request in requests {
        let mut words = request.splitn(3, ' ');
        let mut next = || words.next().unwrap_or_default();
        let (method, target, content) = (next(), next(), next());
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/api/v1/namespaces/default/{target}")
        };
        lines.push(masked(&cluster.send(method, &target, content).await.line()));
    }
    expected.assert_eq(&lines.join("\n"));
}

/// Without what differs from run to run.
fn masked(line: &str) -> String {
    for mark in [
        "UID in object meta: ",
        "ResourceVersion in record (",
        "patch: Invalid value: ",
    ] {
        if let Some((before, _)) = line.split_once(mark) {
            return format!("{before}{mark}…");
        }
    }
    line.to_owned()
}

#[tokio::test]
async fn identity_and_metadata() {
    let cluster = Cluster::start().await;
    let requests = [
        r#"POST configmaps {"metadata":{"name":"Bad_Name"}}"#,
        r#"POST configmaps {"metadata":{}}"#,
        r#"POST configmaps {"metadata":{"name":"a","labels":{"a":"-"}}}"#,
        r#"POST configmaps {"metadata":{"name":"a","namespace":"other"}}"#,
        r#"POST configmaps {"metadata":{"name":"a","resourceVersion":"5"}}"#,
        r#"POST configmaps {"kind":"Secret","metadata":{"name":"a"}}"#,
        r#"POST configmaps {"apiVersion":"v2","kind":"ConfigMap","metadata":{"name":"a"}}"#,
        r#"POST configmaps {"metadata":{"name":"a"}}"#,
        r#"POST configmaps {"metadata":{"name":"a"}}"#,
        r#"PUT configmaps/a {"metadata":{"name":"b"}}"#,
        r#"PUT configmaps/a {"metadata":{"name":"a","resourceVersion":"1"}}"#,
        r#"PUT configmaps/a {"metadata":{"name":"a","uid":"x"},"data":{"a":"b"}}"#,
        r#"PUT configmaps {"metadata":{"name":"a"}}"#,
        r#"PUT configmaps/absent {"metadata":{"name":"absent"}}"#,
        r#"DELETE configmaps/a {"preconditions":{"resourceVersion":"1"}}"#,
        r#"DELETE configmaps/a {"propagationPolicy":"Sideways"}"#,
        r#"DELETE configmaps/absent"#,
        r#"POST /api/v1/namespaces/nowhere/configmaps {"metadata":{"name":"a"}}"#,
        r#"POST /api/v1/namespaces {"metadata":{"name":"a.b"}}"#,
        r#"DELETE /api/v1/namespaces/default"#,
    ];
    check(&cluster, &requests, expect![[r#"
        422 Invalid ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
        422 Invalid ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required
        422 Invalid ConfigMap "a" is invalid: metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
        400 BadRequest the namespace of the provided object does not match the namespace sent on the request
        500  resourceVersion should not be set on objects to be created
        400 BadRequest Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion
        400 BadRequest ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2" in scheme "pkg/api/legacyscheme/scheme.go:30"
        201 ConfigMap a
        409 AlreadyExists configmaps "a" already exists
        400 BadRequest the name of the object (b) does not match the name on the URL (a)
        409 Conflict Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again
        409 Conflict Operation cannot be fulfilled on configmaps "a": StorageError: invalid object, Code: 4, Key: /registry/configmaps/default/a, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: x, UID in object meta: …
        405 MethodNotAllowed the server does not allow this method on the requested resource
        404 NotFound configmaps "absent" not found
        409 Conflict Operation cannot be fulfilled on ConfigMap "a": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (…
        422 Invalid DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Sideways": supported values: "Foreground", "Background", "Orphan", "nil"
        404 NotFound configmaps "absent" not found
        404 NotFound namespaces "nowhere" not found
        422 Invalid Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": must not contain dots
        403 Forbidden namespaces "default" is forbidden: this namespace may not be deleted"#]]).await;
}

#[tokio::test]
async fn bodies_and_patches() {
    let cluster = Cluster::start().await;
    let requests = [
        r#"POST configmaps {"metadata":{"name":"a""#,
        r#"POST configmaps []"#,
        r#"POST configmaps {"metadata":{"name":"a"},"data":{"a":1}}"#,
        r#"POST configmaps?fieldValidation=Strict {"metadata":{"name":"a","foo":1},"data":{"a":"1","a":"2"}}"#,
        r#"POST configmaps?fieldValidation=Maybe {"metadata":{"name":"a"}}"#,
        r#"POST configmaps?dryRun=Some {"metadata":{"name":"a"}}"#,
        r#"POST configmaps?dryRun=All {"metadata":{"name":"a"}}"#,
        r#"GET configmaps/a"#,
        r#"POST configmaps {"metadata":{"name":"a"},"data":{"a":"1"},"immutable":true}"#,
        r#"PATCH configmaps/a {"data":{"a":"2"}}"#,
        r#"PATCH configmaps/a {"data":"#,
        r#"PATCH configmaps/a [{"op":"test","path":"/data/a","value":"2"}]"#,
        r#"PATCH configmaps/a [{"op":"remove","path":"/data/b"}]"#,
        r#"PATCH configmaps/a {"data":{"a":"1","a":"1"}}"#,
        r#"PATCH configmaps/a?fieldValidation=Strict {"data":{"a":"1","a":"1"}}"#,
        r#"PATCH configmaps/a {"metadata":{"name":"b"}}"#,
        r#"PATCH configmaps/a {"metadata":{"resourceVersion":"1"}}"#,
        r#"POST secrets {"metadata":{"name":"a"},"data":{"a":"!"}}"#,
        r#"GET configmaps?limit=x"#,
        r#"GET configmaps?labelSelector=a=b=c"#,
        r#"GET configmaps?fieldSelector=data.a=1"#,
        r#"GET configmaps?resourceVersion=x"#,
    ];
    check(&cluster, &requests, expect![[r#"
        400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({"metadata":{"name":"a")
        400 BadRequest the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" } (5b5d)
        400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data of type string
        400 BadRequest ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "metadata.foo", duplicate field "data.a"
        422 Invalid CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Maybe": supported values: "", "Ignore", "Strict", "Warn"
        422 Invalid CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"
        201 ConfigMap a
        404 NotFound configmaps "a" not found
        201 ConfigMap a
        422 Invalid ConfigMap "a" is invalid: data: Forbidden: field is immutable when `immutable` is set
        400 BadRequest unexpected end of JSON input
        422 Invalid the server rejected our request due to an error in our request
        422 Invalid the server rejected our request due to an error in our request
        200 ConfigMap a
        422 Invalid  "" is invalid: patch: Invalid value: …
        400 BadRequest the name of the object (b) does not match the name on the URL (a)
        409 Conflict Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again
        400 BadRequest Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0
        400 BadRequest strconv.ParseInt: parsing "x": invalid syntax
        400 BadRequest found '=', expected: ',' or 'end of string'
        400 BadRequest "data.a" is not a known field selector: only "metadata.name", "metadata.namespace"
        400 BadRequest invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax"#]]).await;
    let yaml = "metadata: {name: why}\ndata:\n  a: one\n  a: two\n";
    let created = cluster
        .send_as(
            "admin-token",
            "POST",
            "/api/v1/namespaces/default/configmaps",
            "application/yaml",
            yaml,
        )
        .await;
    assert_eq!(
        (created.code, &created.json["data"]["a"]),
        (201, &Value::from("two"))
    );
    let warning = created
        .headers
        .get("warning")
        .and_then(|value| value.to_str().ok());
    expect![[r#"299 - "line 4: key \"a\" already set in map""#]].assert_eq(warning.unwrap_or_default());

    let target = "/api/v1/namespaces/default/configmaps/why?fieldManager=m&force=true&fieldValidation=Strict";
    let yaml = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: one\n  a: two\n";
    let refused = cluster
        .send_as(
            "admin-token",
            "PATCH",
            target,
            "application/apply-patch+yaml",
            yaml,
        )
        .await;
    let text = "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 5: key \"a\" already set in map";
    assert_eq!(
        (refused.code, &refused.json["message"]),
        (400, &Value::from(text))
    );
}

#[tokio::test]
async fn who_may_not() {
    let cluster = Cluster::start().await;
    let mut lines = Vec::new();
    for (token, method, target) in [
        ("bob-token", "GET", "/api/v1/namespaces/default/configmaps"),
        ("bob-token", "POST", "/api/v1/namespaces/default/configmaps"),
        ("bob-token", "GET", "/api/v1/nodes/n"),
        ("bob-token", "GET", "/metrics"),
        ("wrong", "GET", "/api/v1/nodes"),
        ("bob-token", "GET", "/healthz"),
    ] {
        let content = if method == "POST" {
            r#"{"metadata":{"name":"a"}}"#
        } else {
            ""
        };
        lines.push(
            cluster
                .send_as(token, method, target, "application/json", content)
                .await
                .line(),
        );
    }
    expect![[r#"
        403 Forbidden configmaps is forbidden: User "bob" cannot list resource "configmaps" in API group "" in the namespace "default"
        403 Forbidden configmaps is forbidden: User "bob" cannot create resource "configmaps" in API group "" in the namespace "default"
        403 Forbidden nodes "n" is forbidden: User "bob" cannot get resource "nodes" in API group "" at the cluster scope
        403 Forbidden forbidden: User "bob" cannot get path "/metrics"
        401 Unauthorized Unauthorized
        200"#]].assert_eq(&lines.join("\n"));
}

#[tokio::test]
async fn rules_of_kinds() {
    let cluster = Cluster::start().await;
    let requests = [
        r#"POST pods {"metadata":{"name":"p"},"spec":{"containers":[]}}"#,
        r#"POST pods {"metadata":{"name":"p"},"spec":{"restartPolicy":"Often","containers":[{"name":"A","image":""}]}}"#,
        r#"POST pods {"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","image":"i","resources":{"limits":{"cpu":"abc"}}}]}}"#,
        r#"POST pods {"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","image":"i"}]}}"#,
        r#"PATCH pods/p {"spec":{"dnsPolicy":"Default"}}"#,
        r#"PATCH pods/p {"spec":{"containers":[{"name":"a","image":"j"}]}}"#,
        r#"POST pods/p/binding {"metadata":{"name":"p"},"target":{"name":""}}"#,
        r#"POST pods/p/binding {"metadata":{"name":"p"},"target":{"name":"n"}}"#,
        r#"POST pods/p/binding {"metadata":{"name":"p"},"target":{"name":"m"}}"#,
        r#"POST services {"metadata":{"name":"1s"},"spec":{"ports":[{"port":80}]}}"#,
        r#"POST services {"metadata":{"name":"s"},"spec":{"ports":[{"port":0}],"type":"Odd"}}"#,
        r#"POST services {"metadata":{"name":"s"},"spec":{"ports":[{"port":80}],"clusterIP":"1.2.3.4"}}"#,
        r#"POST secrets {"metadata":{"name":"s"},"type":"kubernetes.io/tls"}"#,
        r#"POST /apis/apps/v1/namespaces/default/deployments {"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"a","image":"i"}]}}}}"#,
        r#"POST /apis/apps/v1/namespaces/default/deployments {"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"i"}]}}}}"#,
        r#"PATCH /apis/apps/v1/namespaces/default/deployments/d {"spec":{"selector":{"matchLabels":{"a":"c"}},"template":{"metadata":{"labels":{"a":"c"}}}}}"#,
        r#"PUT /apis/apps/v1/namespaces/default/deployments/d/scale {"metadata":{"name":"d"},"spec":{"replicas":-1}}"#,
        r#"POST /apis/scheduling.k8s.io/v1/priorityclasses {"metadata":{"name":"system-x"},"value":1}"#,
        r#"DELETE /apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical"#,
        r#"POST /apis/rbac.authorization.k8s.io/v1/clusterroles {"metadata":{"name":"r"},"rules":[{"verbs":[]}]}"#,
        r#"POST /apis/coordination.k8s.io/v1/namespaces/default/leases {"metadata":{"name":"l"},"spec":{"leaseDurationSeconds":0}}"#,
    ];
    check(&cluster, &requests, expect![[r#"
        422 Invalid Pod "p" is invalid: spec.containers: Required value
        422 Invalid Pod "p" is invalid: [spec.containers[0].name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?'), spec.containers[0].image: Required value, spec.restartPolicy: Unsupported value: "Often": supported values: "Always", "OnFailure", "Never"]
        400 BadRequest Pod in version "v1" cannot be handled as a Pod: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'
        201 Pod p
        422 Invalid Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
        @@ -136,7 +136,7 @@
          "RestartPolicy": "Always",
          "TerminationGracePeriodSeconds": 30,
          "ActiveDeadlineSeconds": null,
        - "DNSPolicy": "ClusterFirst",
        + "DNSPolicy": "Default",
          "NodeSelector": null,
          "ServiceAccountName": "default",
          "AutomountServiceAccountToken": null,

        200 Pod p
        500  target.name: Required value
        201  
        409 Conflict Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n"
        201 Service 1s
        422 Invalid Service "s" is invalid: [spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive, spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
        422 Invalid Service "s" is invalid: spec.clusterIPs: Invalid value: ["1.2.3.4"]: failed to allocate IP 1.2.3.4: the provided network does not match the current range
        422 Invalid Secret "s" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]
        422 Invalid Deployment.apps "d" is invalid: spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`
        201 Deployment d
        422 Invalid Deployment.apps "d" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable
        422 Invalid Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0
        422 Invalid PriorityClass.scheduling.k8s.io "system-x" is invalid: metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-x is not a known system priority class
        403 Forbidden priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class and cannot be deleted
        422 Invalid ClusterRole.rbac.authorization.k8s.io "r" is invalid: [rules[0].verbs: Required value: verbs must contain at least one value, rules[0].apiGroups: Required value: resource rules must supply at least one api group, rules[0].resources: Required value: resource rules must supply at least one resource]
        422 Invalid Lease.coordination.k8s.io "l" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"#]]).await;
}

/// Nobody comes to own what can't be set where they state it.
#[tokio::test]
async fn owners_of_a_signing_request() {
    let cluster = Cluster::start().await;
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let mut request = json!({
        "metadata": {"name": "r", "labels": {"l": "v"}},
        "spec": {"request": REQUEST, "signerName": "example.com/signer", "usages": ["any"]},
        "status": {"certificate": "bm9uZQ=="},
    });
    let created = cluster.send("POST", requests, &request.to_string()).await;
    assert_eq!(
        owners(&created.json),
        [" {\"f:metadata\":{\"f:labels\":{\".\":{},\"f:l\":{}}}}"]
    );

    request["status"] = json!({"conditions": [{"type": "Approved", "status": "True", "reason": "r"}]});
    let target = format!("{requests}/r/approval");
    let approved = cluster.send("PUT", &target, &request.to_string()).await;
    let approval = json!({"f:status": {"f:conditions": {".": {}, "k:{\"type\":\"Approved\"}": {
        ".": {}, "f:lastTransitionTime": {}, "f:lastUpdateTime": {}, "f:reason": {}, "f:status": {}, "f:type": {},
    }}}});
    assert_eq!(owners(&approved.json)[1..], [format!("approval {approval}")]);

    // Who signs does not come to own the approval that stands beside the certificate.
    let target = format!("{requests}/r/status");
    request["status"]["conditions"] = json!([
        {"type": "Approved", "status": "True", "reason": "r"},
        {"type": "Failed", "status": "True", "reason": "f"},
    ]);
    let signed = cluster.send("PUT", &target, &request.to_string()).await;
    assert_eq!(signed.code, 200);
    assert_eq!(owners(&signed.json).len(), 2);
}

/// Each manager's subresource and fields.
fn owners(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let entries = entries.into_iter().flatten();
    entries
        .map(|entry| {
            let subresource = entry["subresource"].as_str().unwrap_or_default();
            format!("{subresource} {}", entry["fieldsV1"])
        })
        .collect()
}

/// A request of somebody for a certificate, PEM in base64.
const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlITE1IUUNBUUF3RWpFUU1BNEdBMVVFQXd3SGMyOXRaVzl1WlRCWk1CTUdCeXFHU000OUFnRUdDQ3FHU000OQpBd0VIQTBJQUJOdEREbUtqZmh0S2h4eTUvajZDS1ZFcGJ0NzVDRjFyY3N2YnNpeUdDMlRXRzJJQlpuZmQ0NUVCCnROQ0tXZFZBSDhrUERaQTV0eklia0JWMytKQTFGaCtnQURBS0JnZ3Foa2pPUFFRREFnTkhBREJFQWlCYVRtQ2kKS1l5aGF5TmJWandmSmhhcTVuS3lQKy9xUjVmMXpzTnE4SjFrblFJZ1Ayb3dNTDg2TXlVb25DdGUrOG9vajVnRgpoUlNwU3JybC9Xbm5RY3BrOWpZPQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";
