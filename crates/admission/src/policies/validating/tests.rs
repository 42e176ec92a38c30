use std::sync::Arc;

use api::admissionregistration::v1;
use api::core::v1::{ConfigMap, Namespace, Pod};
use auth::authorizers::AlwaysDeny;
use auth::objects::MemoryObjects;
use auth::{Change, UserInfo};

use super::*;
use crate::policies::testing::OneForm;
use crate::testing::{Request, from_json};

const CONSTRAINTS: &str = r#""matchConstraints": {"matchPolicy": "Exact", "namespaceSelector": {}, "objectSelector": {},
    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]}"#;

/// A policy with the given members of its spec, bound with the given members of a binding's.
fn plugin(spec: &str, binding: &str) -> ValidatingAdmissionPolicy {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert::<Namespace>(from_json(r#"{"metadata":{"name":"ns","labels":{"team":"red"}}}"#));
    objects.insert::<ConfigMap>(from_json(
        r#"{"metadata":{"namespace":"ns","name":"most","labels":{"limit":"y"}},"data":{"most":"1"}}"#,
    ));
    let authorizer = Arc::new(AlwaysDeny);
    let plugin = ValidatingAdmissionPolicy::new(objects, Arc::new(OneForm), authorizer, &Registry::new());
    let policy: v1::ValidatingAdmissionPolicy = from_json(&format!(
        r#"{{"metadata":{{"name":"p"}},"spec":{{{CONSTRAINTS},{spec}}}}}"#
    ));
    let bound: v1::ValidatingAdmissionPolicyBinding = from_json(&format!(
        r#"{{"metadata":{{"name":"b"}},"spec":{{"policyName":"p",{binding}}}}}"#
    ));
    let follower = plugin.follower();
    follower.apply(Change::Set(&policy));
    follower.apply(Change::Set(&bound));
    plugin
}

const DENY: &str = r#""validationActions":["Deny"]"#;

fn pod() -> Pod {
    from_json(
        r#"{"metadata":{"namespace":"ns","name":"web"},"spec":{"containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y:1"}]}}"#,
    )
}

async fn create(plugin: &ValidatingAdmissionPolicy) -> Result<Vec<String>, Status> {
    let request = Request::create().by(UserInfo::new("ada", &["dev"]));
    request.run(plugin, Some(&mut pod()), None).await
}

/// What a client is told: the refusal after the policy's and binding's names.
async fn check(spec: &str, binding: &str, expected: &str) {
    let told = match create(&plugin(spec, binding)).await {
        Ok(warnings) if warnings.is_empty() => "ok".to_owned(),
        Ok(warnings) => format!("warns {}", warnings.join("; ")),
        Err(status) => {
            let message = status.message.rsplit_once(" denied request: ");
            let message = message.map_or(status.message.as_str(), |(_, after)| after);
            format!("{} {message}", status.code)
        }
    };
    assert_eq!(told, expected, "{spec} {binding}");
}

#[tokio::test]
async fn what_is_not_valid_is_refused() {
    let refused = create(&plugin(
        r#""validations":[{"expression":"size(object.spec.containers) < 2"}]"#,
        DENY,
    ))
    .await;
    let status = refused.expect_err("two containers are too many");
    let message = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: size(object.spec.containers) < 2";
    assert_eq!(status.message, format!("pods \"web\" is forbidden: {message}"));
    assert_eq!((status.code, status.reason), (422, Reason::Invalid));
    let details = status.details.expect("a refusal has details");
    assert_eq!(details.causes[0].message, message);
}

#[tokio::test]
async fn validations_say_what_is_wrong() {
    let validations = |validation: &str| format!(r#""validations":[{validation}]"#);
    let check =
        async |validation: &str, expected: &str| check(&validations(validation), DENY, expected).await;
    check(r#"{"expression":"true"}"#, "ok").await;
    check(r#"{"expression":"false","message":"never"}"#, "422 never").await;
    check(
        r#"{"expression":"false","message":"x","reason":"Forbidden"}"#,
        "403 x",
    )
    .await;
    check(
        r#"{"expression":"false","messageExpression":"'no ' + object.metadata.name"}"#,
        "422 no web",
    )
    .await;
    check(
        r#"{"expression":"false","message":"x","messageExpression":"object.none"}"#,
        "422 x",
    )
    .await;
    check(
        r#"{"expression":"false","message":"x","messageExpression":"'a\\nb'"}"#,
        "422 x",
    )
    .await;
    check(
        r#"{"expression":"object.none == 1"}"#,
        "422 expression 'object.none == 1' resulted in error: no such key: none",
    )
    .await;
    check(
        r#"{"expression":"request.userInfo.username == 'ada' && 'dev' in request.userInfo.groups"}"#,
        "ok",
    )
    .await;
    check(
        r#"{"expression":"request.operation == 'CREATE' && request.resource.resource == 'pods'"}"#,
        "ok",
    )
    .await;
    check(
        r#"{"expression":"namespaceObject.metadata.labels.team == 'blue'","message":"wrong team"}"#,
        "422 wrong team",
    )
    .await;
    check(r#"{"expression":"oldObject == null"}"#, "ok").await;
    let asks = r#"{"expression":"authorizer.group('').resource('pods').namespace('ns').check('delete').allowed()","message":"may not delete"}"#;
    check(asks, "422 may not delete").await;
    check(
        r#"{"expression":"!authorizer.requestResource.check('create').allowed()"}"#,
        "ok",
    )
    .await;
}

#[tokio::test]
async fn variables_build_on_each_other() {
    let spec = r#""variables":[{"name":"images","expression":"object.spec.containers.map(c, c.image)"},
        {"name":"first","expression":"variables.images[0]"}],
        "validations":[{"expression":"variables.first == 'z'","messageExpression":"variables.first + ' of ' + string(size(variables.images))"}]"#;
    check(spec, DENY, "422 x:1 of 2").await;
    let spec = r#""variables":[{"name":"bad","expression":"object.none"}],"validations":[{"expression":"variables.bad == 1"}]"#;
    check(
        spec,
        DENY,
        "422 expression 'variables.bad == 1' resulted in error: composited variable \"bad\" fails to evaluate: no such key: none",
    )
    .await;
}

#[tokio::test]
async fn conditions_and_failures() {
    let never = r#""validations":[{"expression":"false"}]"#;
    let with = |condition: &str, more: &str| {
        format!(r#""matchConditions":[{{"name":"c","expression":"{condition}"}}],{more}{never}"#)
    };
    check(&with("object.metadata.name == 'db'", ""), DENY, "ok").await;
    check(&with("true", ""), DENY, "422 failed expression: false").await;
    let failing = "422 expression 'object.none == 1' resulted in error: no such key: none";
    check(&with("object.none == 1", ""), DENY, failing).await;
    check(
        &with("object.none == 1", r#""failurePolicy":"Ignore","#),
        DENY,
        "ok",
    )
    .await;
    let fails = r#""failurePolicy":"Ignore","validations":[{"expression":"object.none == 1"}]"#;
    check(fails, DENY, "ok").await;
}

#[tokio::test]
async fn bindings_say_what_follows() {
    let never = r#""validations":[{"expression":"false","message":"m"}]"#;
    let warned = "warns Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': m";
    check(never, r#""validationActions":["Warn","Audit"]"#, warned).await;
    check(never, r#""validationActions":["Audit"]"#, "ok").await;
    let elsewhere = r#""validationActions":["Deny"],"matchResources":{"namespaceSelector":{"matchLabels":{"team":"blue"}},"objectSelector":{}}"#;
    check(never, elsewhere, "ok").await;
    let here = elsewhere.replace("blue", "red");
    check(never, &here, "422 m").await;
}

#[tokio::test]
async fn parameters_come_from_bindings() {
    let spec = r#""paramKind":{"apiVersion":"v1","kind":"ConfigMap"},
        "validations":[{"expression":"size(object.spec.containers) <= int(params.data.most)","message":"too many"}]"#;
    let bound = |reference: &str| format!(r#"{DENY},"paramRef":{{{reference}}}"#);
    let check = async |reference: &str, expected: &str| check(spec, &bound(reference), expected).await;
    check(
        r#""name":"most","parameterNotFoundAction":"Deny""#,
        "422 too many",
    )
    .await;
    check(
        r#""selector":{"matchLabels":{"limit":"y"}},"parameterNotFoundAction":"Deny""#,
        "422 too many",
    )
    .await;
    check(r#""name":"none","parameterNotFoundAction":"Allow""#, "ok").await;
    let missing = "422 failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    check(r#""name":"none","parameterNotFoundAction":"Deny""#, missing).await;
    let spec = r#""paramKind":{"apiVersion":"x.y/v1","kind":"None"},"validations":[{"expression":"true"}]"#;
    let unknown = "422 failed to configure policy: failed to find resource referenced by paramKind: 'x.y/v1, Kind=None'";
    super::tests::check(spec, DENY, unknown).await;
}

#[tokio::test]
async fn a_policy_that_is_gone_refuses_nothing() {
    let plugin = plugin(r#""validations":[{"expression":"false"}]"#, DENY);
    assert!(create(&plugin).await.is_err());
    let policy: v1::ValidatingAdmissionPolicy = from_json(r#"{"metadata":{"name":"p"}}"#);
    plugin.follower().apply(Change::Removed(&policy));
    assert!(plugin.index.hooks().is_empty());
    assert!(create(&plugin).await.is_ok());
}
