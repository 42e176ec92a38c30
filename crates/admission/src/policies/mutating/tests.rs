use std::sync::Arc;

use api::admissionregistration::v1;
use api::core::v1::{ConfigMap, Namespace, Pod};
use auth::authorizers::AlwaysDeny;
use auth::objects::MemoryObjects;
use auth::{Change, UserInfo};
use component_base::clock::SystemClock;
use serde_json::{Value, json};

use super::*;
use crate::policies::testing::OneForm;
use crate::testing::{Request, from_json};

/// Policies with the given members of their specs, each bound with the given members of a binding's.
fn plugin(specs: &[Value], binding: &Value) -> MutatingAdmissionPolicy {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert::<Namespace>(from_json(r#"{"metadata":{"name":"ns","labels":{"team":"red"}}}"#));
    for name in ["blue", "green"] {
        objects.insert::<ConfigMap>(from_json(&format!(
            r#"{{"metadata":{{"namespace":"ns","name":"{name}","labels":{{"colour":"y"}}}},"data":{{"colour":"{name}"}}}}"#
        )));
    }
    let (kinds, authorizer) = (Arc::new(OneForm), Arc::new(AlwaysDeny));
    let clock = Arc::new(SystemClock::default());
    let plugin = MutatingAdmissionPolicy::new(objects, kinds, authorizer, clock, &Registry::new());
    let follower = plugin.follower();
    for (index, spec) in specs.iter().enumerate() {
        let name = format!("p{index}");
        let mut policy = json!({"metadata": {"name": name}, "spec": {
            "reinvocationPolicy": "Never",
            "matchConstraints": {"matchPolicy": "Exact", "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]},
        }});
        apimachinery::patch::merge_patch(&mut policy["spec"], spec);
        let mut bound = json!({"metadata": {"name": format!("b{index}")}, "spec": {"policyName": name}});
        apimachinery::patch::merge_patch(&mut bound["spec"], binding);
        let policy: v1::MutatingAdmissionPolicy = from_json(&policy.to_string());
        let bound: v1::MutatingAdmissionPolicyBinding = from_json(&bound.to_string());
        follower.apply(Change::Set(&policy));
        follower.apply(Change::Set(&bound));
    }
    plugin
}

fn apply(expression: &str) -> Value {
    json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}})
}

fn patch(expression: &str) -> Value {
    json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}})
}

async fn create(plugin: &MutatingAdmissionPolicy) -> Result<Pod, Status> {
    let mut pod = from_json(
        r#"{"metadata":{"namespace":"ns","name":"web","labels":{"app":"shop"}},"spec":{"hostname":"h","containers":[{"name":"a","image":"x:1"}]}}"#,
    );
    let request = Request::create().by(UserInfo::new("ada", &["dev"]));
    request.run(plugin, Some(&mut pod), None).await.map(|_| pod)
}

/// What becomes of a pod: its labels, or the code, the reason and the words after the policy's and binding's names.
async fn told(plugin: &MutatingAdmissionPolicy) -> String {
    match create(plugin).await {
        Ok(pod) => {
            let labels = pod.metadata.labels.iter();
            let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
            labels.join(" ")
        }
        Err(status) => {
            let message = status.message.split_once(" denied request: ");
            let message = message.map_or(status.message.as_str(), |(_, after)| after);
            format!("{} {} {message}", status.code, status.reason.as_str())
        }
    }
}

async fn check(specs: &[Value], binding: Value, expected: &str) {
    assert_eq!(
        told(&plugin(specs, &binding)).await,
        expected,
        "{specs:?} {binding}"
    );
}

async fn check_one(mutation: Value, expected: &str) {
    check(&[json!({ "mutations": [mutation] })], json!({}), expected).await;
}

#[tokio::test]
async fn configurations_are_laid_over() {
    let labels = |value: &str| {
        apply(&format!(
            r#"Object{{metadata: Object.metadata{{labels: {value}}}}}"#
        ))
    };
    check_one(labels(r#"{"a": "1"}"#), "a=1 app=shop").await;
    check_one(
        labels(r#"Object.metadata.labels{a: object.spec.hostname}"#),
        "a=h app=shop",
    )
    .await;
    check_one(
        labels(r#"{"a": string(authorizer.group("").resource("pods").check("get").allowed())}"#),
        "a=false app=shop",
    )
    .await;
    check_one(
        labels(r#"{"a": namespaceObject.metadata.labels.team}"#),
        "a=red app=shop",
    )
    .await;
    check_one(
        apply("Object{metadata: Object.spec{}}"),
        "403 Invalid type mismatch: unexpected type name \"Object.spec\", expected \"Object.metadata\", which matches field name path from root Object type",
    )
    .await;
    check_one(
        apply("Object{metadata: object.none}"),
        "403 Invalid expression 'Object{metadata: object.none}' resulted in error: no such key: none",
    )
    .await;
    check_one(
        apply("{}"),
        "403 Invalid must evaluate to Object but got map(dyn, dyn)",
    )
    .await;
}

#[tokio::test]
async fn patches_are_applied_or_refused() {
    check_one(
        patch(
            r#"[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("x/y"), value: "1"}]"#,
        ),
        "app=shop x/y=1",
    )
    .await;
    let moved = r#"[JSONPatch{op: "move", from: "/metadata/labels/app", path: "/metadata/labels/b"}]"#;
    check_one(patch(moved), "b=shop").await;
    let tested = |value: &str| {
        patch(&format!(
            r#"[JSONPatch{{op: "test", path: "/spec/hostname", value: "{value}"}}, JSONPatch{{op: "remove", path: "/metadata/labels"}}]"#
        ))
    };
    check_one(tested("h"), "").await;
    check_one(tested("i"), "app=shop").await;
    check_one(
        patch(r#"[JSONPatch{op: "remove", path: "/spec/none"}]"#),
        "403 Invalid JSON Patch: remove operation does not apply: doc is missing path: \"/spec/none\": missing value",
    )
    .await;
    check_one(
        patch(r#"[JSONPatch{op: "add", path: "/metadata/labels", value: Object.metadata.labels{a: Object{}}}]"#),
        "403 Invalid type mismatch: unexpected type name \"Object\", expected \"Object.metadata.labels.a\", which matches field name path from root Object type",
    )
    .await;
    check_one(
        patch(r#"JSONPatch{op: "x"}"#),
        "403 Invalid must evaluate to list(JSONPatch) but got JSONPatch",
    )
    .await;
    let pod = create(&plugin(
        &[json!({"mutations": [patch(
            r#"[JSONPatch{op: "add", path: "/spec/terminationGracePeriodSeconds", value: 6.0 / 2.0}]"#
        )]})],
        &json!({}),
    ))
    .await;
    let pod = pod.expect("a whole number is an integer");
    assert_eq!(pod.spec.termination_grace_period_seconds, Some(3));
}

/// A label more each time.
fn longer() -> Value {
    apply(
        r#"Object{metadata: Object.metadata{labels: {"n": object.metadata.labels[?"n"].orValue("") + "i"}}}"#,
    )
}

#[tokio::test]
async fn mutations_see_what_was_made_before() {
    let spec = json!({"mutations": [longer(), longer()]});
    check(&[spec], json!({}), "app=shop n=ii").await;
    let once = |policy: &str| json!({"reinvocationPolicy": policy, "mutations": [longer()]});
    check(&[once("Never"), once("Never")], json!({}), "app=shop n=ii").await;
    check(&[once("IfNeeded"), once("Never")], json!({}), "app=shop n=iii").await;
    check(
        &[once("IfNeeded"), once("IfNeeded")],
        json!({}),
        "app=shop n=iiii",
    )
    .await;
    let conditional = json!({
        "matchConditions": [{"name": "c", "expression": "'n' in object.metadata.labels"}],
        "variables": [{"name": "n", "expression": "object.metadata.labels.n"}],
        "mutations": [apply(r#"Object{metadata: Object.metadata{labels: {"seen": variables.n}}}"#)],
    });
    check(
        &[once("Never"), conditional.clone()],
        json!({}),
        "app=shop n=i seen=i",
    )
    .await;
    check(&[conditional, once("Never")], json!({}), "app=shop n=i").await;
}

#[tokio::test]
async fn failures_refuse_or_are_passed_over() {
    let failing = |policy: &str| json!({"failurePolicy": policy, "mutations": [apply("Object{x: object.none}"), longer()]});
    let words = "expression 'Object{x: object.none}' resulted in error: no such key: none";
    check(&[failing("Ignore")], json!({}), "app=shop n=i").await;
    check(&[failing("Fail")], json!({}), &format!("403 Invalid {words}")).await;
    let condition = json!({
        "matchConditions": [{"name": "c", "expression": "object.none == 1"}], "mutations": [longer()]});
    let plugin = plugin(&[condition, failing("Fail")], &json!({}));
    let status = create(&plugin).await.expect_err("both fail");
    let details = status.details.expect("a refusal has details");
    let causes: Vec<_> = details
        .causes
        .iter()
        .map(|cause| cause.message.as_str())
        .collect();
    let first = "policy 'p0' with binding 'b0' denied request: expression 'object.none == 1' resulted in error: no such key: none";
    let second = format!("policy 'p1' with binding 'b1' denied request: {words}");
    assert_eq!(causes, [first, &second]);
    assert_eq!(status.message, first);
    assert_eq!((details.kind.as_str(), details.name.as_str()), ("pods", "web"));
}

#[tokio::test]
async fn parameters_come_from_bindings() {
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "mutations": [apply(r#"Object{metadata: Object.metadata{labels: {params.data.colour: "y"}}}"#)],
    });
    let bound = |reference: Value| json!({ "paramRef": reference });
    let specs = [spec];
    let named = bound(json!({"name": "blue", "parameterNotFoundAction": "Deny"}));
    check(&specs, named, "app=shop blue=y").await;
    let selected =
        bound(json!({"selector": {"matchLabels": {"colour": "y"}}, "parameterNotFoundAction": "Deny"}));
    check(&specs, selected, "app=shop blue=y green=y").await;
    let missing = bound(json!({"name": "none", "parameterNotFoundAction": "Deny"}));
    check(
        &specs,
        missing,
        "403 Forbidden failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
    )
    .await;
    let allowed = bound(json!({"name": "none", "parameterNotFoundAction": "Allow"}));
    check(&specs, allowed, "app=shop").await;
    let elsewhere = json!({"matchResources": {"namespaceSelector": {"matchLabels": {"team": "blue"}}}});
    check(&[json!({"mutations": [longer()]})], elsewhere, "app=shop").await;
}
