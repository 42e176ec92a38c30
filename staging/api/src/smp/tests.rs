use super::apply;
use crate::types::{apps_v1, core_v1};
use expect_test::{Expect, expect};
use serde_json::Value;

/// Applies a patch to a pod's or a deployment's JSON and shows the result, or the error.
fn check(original: &str, patch: &str, expected: Expect) {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let ty = if original.contains("replicas") {
        &apps_v1::DEPLOYMENT
    } else {
        &core_v1::POD
    };
    let found = match apply(parse(original), parse(patch), ty) {
        Ok(merged) => merged.to_string(),
        Err(error) => format!("error: {error}"),
    };
    expected.assert_eq(&found);
}

#[test]
fn members_merge_and_null_deletes() {
    check(
        r#"{"metadata":{"labels":{"a":"1","b":"2"}}}"#,
        r#"{"metadata":{"labels":{"a":null,"c":"3"},"annotations":{"x":null,"y":"z"}}}"#,
        expect![[r#"{"metadata":{"annotations":{"y":"z"},"labels":{"b":"2","c":"3"}}}"#]],
    );
}

#[test]
fn containers_merge_by_name() {
    check(
        r#"{"spec":{"containers":[{"name":"a","image":"i"},{"name":"b","image":"j"}]}}"#,
        r#"{"spec":{"containers":[{"name":"b","image":"k"},{"name":"c"}]}}"#,
        expect![[
            r#"{"spec":{"containers":[{"image":"i","name":"a"},{"image":"k","name":"b"},{"name":"c"}]}}"#
        ]],
    );
}

#[test]
fn items_are_deleted_or_replaced_by_directive() {
    check(
        r#"{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#,
        r#"{"spec":{"containers":[{"$patch":"delete","name":"a"}]}}"#,
        expect![[r#"{"spec":{"containers":[{"name":"b"}]}}"#]],
    );
    check(
        r#"{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}"#,
        r#"{"spec":{"containers":[{"name":"c"},{"$patch":"replace"}]}}"#,
        expect![[r#"{"spec":{"containers":[{"name":"c"}]}}"#]],
    );
    check(
        r#"{"spec":{"securityContext":{"runAsUser":1,"fsGroup":2}}}"#,
        r#"{"spec":{"securityContext":{"$patch":"replace","runAsUser":3}}}"#,
        expect![[r#"{"spec":{"securityContext":{"runAsUser":3}}}"#]],
    );
}

#[test]
fn lists_without_strategy_are_replaced() {
    check(
        r#"{"spec":{"tolerations":[{"key":"a"}],"containers":[{"name":"a","args":["x","y"]}]}}"#,
        r#"{"spec":{"tolerations":[{"key":"b"}],"containers":[{"name":"a","args":["z"]}]}}"#,
        expect![[r#"{"spec":{"containers":[{"args":["z"],"name":"a"}],"tolerations":[{"key":"b"}]}}"#]],
    );
}

#[test]
fn scalars_merge_as_a_set_and_are_deleted_in_parallel() {
    check(
        r#"{"metadata":{"finalizers":["a","b","c"]}}"#,
        r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["b"],"finalizers":["d","a"]}}"#,
        expect![[r#"{"metadata":{"finalizers":["d","a","c"]}}"#]],
    );
}

#[test]
fn element_order_is_kept_around_the_servers_items() {
    check(
        r#"{"spec":{"containers":[{"name":"a"},{"name":"server"},{"name":"b"}]}}"#,
        r#"{"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"i"}]}}"#,
        expect![[r#"{"spec":{"containers":[{"name":"server"},{"name":"b"},{"image":"i","name":"a"}]}}"#]],
    );
}

#[test]
fn retained_keys_clear_the_others() {
    check(
        r#"{"spec":{"replicas":1,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}}"#,
        r#"{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}"#,
        expect![[r#"{"spec":{"replicas":1,"strategy":{"type":"Recreate"}}}"#]],
    );
    check(
        r#"{"spec":{"replicas":1,"strategy":{"type":"RollingUpdate"}}}"#,
        r#"{"spec":{"strategy":{"$retainKeys":["rollingUpdate"],"type":"Recreate"}}}"#,
        expect!["error: invalid patch format of retainKeys"],
    );
}

#[test]
fn volumes_retain_the_source_that_the_patch_names() {
    check(
        r#"{"spec":{"volumes":[{"name":"v","emptyDir":{}}]}}"#,
        r#"{"spec":{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/p"}}]}}"#,
        expect![[r#"{"spec":{"volumes":[{"hostPath":{"path":"/p"},"name":"v"}]}}"#]],
    );
}

#[test]
fn bad_patches_say_why() {
    check(
        r#"{"spec":{"containers":[{"name":"a"}]}}"#,
        r#"{"spec":{"containers":[{"image":"i"}]}}"#,
        expect![[r#"error: map: {"image":"i"} does not contain declared merge key: name"#]],
    );
    check(
        r#"{"spec":{}}"#,
        r#"{"$patch":"merge"}"#,
        expect![[r#"error: unknown patch type: merge in map: {"$patch":"merge"}"#]],
    );
    check(
        r#"{"spec":{"unknown":{}}}"#,
        r#"{"spec":{"unknown":{}}}"#,
        expect![[r#"error: unable to find api field in struct PodSpec for the json field "unknown""#]],
    );
}
