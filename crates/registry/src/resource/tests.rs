use serde_json::json;

use super::*;
use crate::rules::tests::parse;

fn texts(errors: ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn check_claim(devices: Value, expected: &[&str]) {
    let mut claim: ResourceClaim = parse(&json!({"spec": {"devices": devices}}));
    ResourceClaims::default(&mut claim);
    assert_eq!(texts(ResourceClaims::validate(&claim)), expected);
}

#[test]
fn claims_say_what_is_wrong() {
    check_claim(
        json!({"requests": [{"name": "a", "exactly": {"deviceClassName": "c"}}],
            "constraints": [{"matchAttribute": "example.com/x"}],
            "config": [{"requests": ["a"], "opaque": {"driver": "d", "parameters": {}}}]}),
        &[],
    );
    check_claim(
        json!({"requests": [
            {"name": "a", "exactly": {"deviceClassName": "", "allocationMode": "All", "count": 1}},
            {"name": "a"},
            {"name": "b", "exactly": {"deviceClassName": "c", "allocationMode": "x"},
                "firstAvailable": [{"name": "s", "deviceClassName": "c"}]},
        ], "constraints": [{}], "config": [{"requests": ["b/s/t", "c"]}]}),
        &[
            "spec.devices.requests[0].exactly.deviceClassName: Required value",
            "spec.devices.requests[0].exactly.count: Invalid value: 1: must not be specified when allocationMode is 'All'",
            "spec.devices.requests[1]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            "spec.devices.requests[2]: Invalid value: null: exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set",
            "spec.devices.requests[1]: Duplicate value: \"a\"",
            "spec.devices.constraints[0]: Required value: exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set",
            "spec.devices.config[0].requests[0]: Invalid value: \"b/s/t\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
            "spec.devices.config[0].requests[1]: Invalid value: \"c\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
            "spec.devices.config[0].opaque: Required value",
        ],
    );
}

#[test]
fn statuses_say_what_is_wrong() {
    let check = |status: Value, expected: &[&str]| {
        let spec = json!({"devices": {"requests": [{"name": "a", "exactly": {"deviceClassName": "c"}}]}});
        let old: ResourceClaim = parse(&json!({ "spec": spec }));
        let claim: ResourceClaim = parse(&json!({"spec": spec, "status": status}));
        assert_eq!(
            texts(ResourceClaims::validate_status_update(&claim, &old)),
            expected
        );
    };
    let result = json!({"request": "a", "driver": "d", "pool": "p", "device": "x"});
    let user = json!({"resource": "pods", "name": "p", "uid": "u"});
    check(
        json!({"allocation": {"devices": {"results": [result]}}, "reservedFor": [user],
            "devices": [{"driver": "d", "pool": "p", "device": "x"}]}),
        &[],
    );
    check(
        json!({"reservedFor": [user], "devices": [{"driver": "d", "pool": "p", "device": "x"}]}),
        &[
            "status.devices[0]: Invalid value: {\"Driver\":\"d\",\"Pool\":\"p\",\"Device\":\"x\",\"ShareID\":\"\"}: must be an allocated device in the claim",
            "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
        ],
    );
}

#[test]
fn slices_say_what_is_wrong() {
    let check = |spec: Value, expected: &[&str]| {
        let slice: ResourceSlice = parse(&json!({ "spec": spec }));
        let errors = slices::validate(&slice.spec, None, &Path::new("spec"));
        assert_eq!(texts(errors), expected);
    };
    let pool = json!({"name": "p", "resourceSliceCount": 1});
    check(
        json!({"driver": "d", "pool": pool, "allNodes": true, "devices": [{"name": "a"}]}),
        &[],
    );
    check(
        json!({"driver": "d", "pool": {"name": "p", "generation": -1}, "nodeName": "n", "allNodes": true,
            "devices": [{"name": "a", "attributes": {"m": {}}, "taints": [{"key": "k"}], "allNodes": true}, {"name": "a"}]}),
        &[
            "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
            "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
            "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            "spec.devices[0].attributes[m]: Invalid value: \"\": exactly one value must be specified",
            "spec.devices[0].taints[0].effect: Required value",
            "spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec",
            "spec.devices[1]: Duplicate value: \"a\"",
        ],
    );
}

#[test]
fn shows_what_must_not_change() {
    let spec: api::resource::v1::ResourceClaimTemplateSpec =
        parse(&json!({"metadata": {"labels": {"a": "b"}}, "spec": {}}));
    assert_eq!(
        internal::shown(&spec),
        apimachinery::field::Value::Json(
            r#"{"labels":{"a":"b"},"Spec":{"Devices":{"Requests":null,"Constraints":null,"Config":null}}}"#
                .to_owned()
        )
    );
}
