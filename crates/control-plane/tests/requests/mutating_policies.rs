//! MutatingAdmissionPolicies over typed objects: merged by their schema, defaulted, in the words of upstream.

use serde_json::{Value, json};

use super::support::Cluster;

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

fn policy(name: &str, mutation: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {
                "objectSelector": {"matchLabels": {"case": name}},
                "resourceRules": [{
                    "apiGroups": ["*"], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["deployments", "configmaps"],
                }],
            },
            "mutations": [mutation],
        },
    })
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

fn deployment(case: &str) -> String {
    let labels = json!({"case": case});
    json!({
        "metadata": {"name": "d", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]},
            },
        },
    })
    .to_string()
}

impl Cluster {
    /// Puts a policy in force.
    async fn bind(&self, policy: &Value) {
        let name = &policy["metadata"]["name"];
        let sent = |plural: &str| format!("{GROUP}/{plural}");
        let answer = self
            .send("POST", &sent("mutatingadmissionpolicies"), &policy.to_string())
            .await;
        assert_eq!(answer.code, 201, "{}", answer.json);
        let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name}}).to_string();
        let answer = self
            .send("POST", &sent("mutatingadmissionpolicybindings"), &binding)
            .await;
        assert_eq!(answer.code, 201, "{}", answer.json);
    }

    /// Sends it until it is not answered as if there were no policy; the test's deadline bounds it.
    async fn mutated(&self, target: &str, content: &str, is_plain: impl Fn(&Value) -> bool) -> (u16, Value) {
        loop {
            let answer = self.send("POST", &format!("{target}?dryRun=All"), content).await;
            if answer.code != 201 || !is_plain(&answer.json) {
                return (answer.code, answer.json);
            }
            tokio::task::yield_now().await;
        }
    }

    /// A deployment as a policy leaves it, or the refusal.
    async fn deployed(&self, name: &str, mutation: Value) -> Value {
        self.bind(&policy(name, mutation)).await;
        let is_plain = |found: &Value| {
            let spec = &found["spec"];
            spec["replicas"] == 1 && spec["template"]["spec"]["containers"][1]["image"] == "y:1"
        };
        let (code, json) = self.mutated(DEPLOYMENTS, &deployment(name), is_plain).await;
        if code == 201 {
            return json;
        }
        json!([code, json["reason"], json["message"]])
    }
}

#[tokio::test]
async fn typed_objects_are_mutated_by_their_schema() {
    let cluster = Cluster::start().await;
    let merged = cluster
        .deployed(
            "merged",
            apply(
                r#"Object{spec: Object.spec{replicas: 7, template: Object.spec.template{spec: Object.spec.template.spec{
                    containers: [Object.spec.template.spec.containers{name: "b", image: "z:1", ports: [
                        Object.spec.template.spec.containers.ports{containerPort: 80}]}]}}}}"#,
            ),
        )
        .await;
    let containers = &merged["spec"]["template"]["spec"]["containers"];
    assert_eq!(merged["spec"]["replicas"], 7);
    assert_eq!(containers[0]["image"], "x:1");
    assert_eq!(containers[1]["image"], "z:1");
    assert_eq!(
        containers[1]["ports"],
        json!([{"containerPort": 80, "protocol": "TCP"}])
    );
    let refused = async |name: &str, mutation: Value, code: u16, reason: &str, message: &str| {
        assert_eq!(
            cluster.deployed(name, mutation).await,
            json!([code, reason, message])
        );
    };
    refused(
        "atomic",
        apply("Object{spec: Object.spec{selector: Object.spec.selector{}}}"),
        403,
        "Invalid",
        "policy 'atomic' with binding 'atomic' denied request: error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector",
    )
    .await;
    refused(
        "foreign",
        apply("Object{spec: Object.spec{none: 1}}"),
        403,
        "Invalid",
        "policy 'foreign' with binding 'foreign' denied request: error applying patch: failed to convert patch object to typed object: .spec.none: field not declared in schema",
    )
    .await;
    refused(
        "strict",
        patch(r#"[JSONPatch{op: "add", path: "/spec/none", value: 1}]"#),
        500,
        "InternalError",
        r#"Internal error occurred: strict decoding error: unknown field "spec.none""#,
    )
    .await;
}

#[tokio::test]
async fn patches_are_made_of_expressions() {
    let cluster = Cluster::start().await;
    let expression = r#"[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b"), value: object.metadata.name}]"#;
    cluster.bind(&policy("patched", patch(expression))).await;
    let map =
        json!({"metadata": {"name": "m", "labels": {"case": "patched"}}, "data": {"x": "y"}}).to_string();
    let labels = |found: &Value| found["metadata"]["labels"].clone();
    let is_plain = |found: &Value| labels(found) == json!({"case": "patched"});
    let (code, found) = cluster.mutated(MAPS, &map, is_plain).await;
    assert_eq!(
        (code, labels(&found)),
        (201, json!({"case": "patched", "a/b": "m"}))
    );
}

#[tokio::test]
async fn expressions_that_are_wrong_are_not_stored() {
    let cluster = Cluster::start().await;
    let sent = policy("wrong", apply("Object{spec: none}")).to_string();
    let target = format!("{GROUP}/mutatingadmissionpolicies");
    let answer = cluster.send("POST", &target, &sent).await;
    assert_eq!(answer.code, 422);
    let cause = &answer.json["details"]["causes"][0];
    assert_eq!(cause["field"], "spec.mutations[0].applyConfiguration.expression");
    let message = cause["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("undeclared reference to 'none' (in container '')"),
        "{message}"
    );
}
