use super::*;
use crate::field::{Error, Path};

fn deployments() -> GroupResource {
    GroupResource {
        group: "apps".into(),
        resource: "deployments".into(),
    }
}

#[track_caller]
fn check(status: Status, json: &str) {
    assert_eq!(String::from_utf8(status.to_json()).unwrap(), json);
    assert_eq!(Status::from_json(json.as_bytes()).unwrap(), status);
}

#[test]
fn documents_are_upstreams() {
    check(
        Status::not_found(&deployments(), "a"),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"a\" not found","reason":"NotFound","details":{"name":"a","group":"apps","kind":"deployments"},"code":404}"#,
    );
    check(
        Status::invalid(
            &GroupKind {
                group: "apps".into(),
                kind: "Deployment".into(),
            },
            "a",
            [Error::required(&Path::new("spec").child("selector"), "")],
        ),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Deployment.apps \"a\" is invalid: spec.selector: Required value","reason":"Invalid","details":{"name":"a","group":"apps","kind":"Deployment","causes":[{"reason":"FieldValueRequired","message":"Required value","field":"spec.selector"}]},"code":422}"#,
    );
    check(
        Status::success(Some(Details {
            name: "a".into(),
            kind: "pods".into(),
            uid: "u".into(),
            ..Details::default()
        })),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"a","kind":"pods","uid":"u"}}"#,
    );
}

#[test]
fn messages_name_what_is_known() {
    let none = GroupResource {
        group: String::new(),
        resource: String::new(),
    };
    for (status, message) in [
        (
            Status::forbidden(&deployments(), "a", "no"),
            "deployments.apps \"a\" is forbidden: no",
        ),
        (
            Status::forbidden(&deployments(), "", "no"),
            "deployments.apps is forbidden: no",
        ),
        (Status::forbidden(&none, "", "no"), "forbidden: no"),
        (
            Status::conflict(&deployments(), "a", "x"),
            "Operation cannot be fulfilled on deployments.apps \"a\": x",
        ),
        (
            Status::generic(409, "POST", &deployments(), "", ""),
            "the server reported a conflict (post deployments.apps)",
        ),
        (Status::timeout("slow", 1), "Timeout: slow"),
    ] {
        assert_eq!(status.message, message);
    }
}

#[test]
fn an_unknown_reason_is_judged_by_its_code() {
    let of = |code, reason: &str| Status {
        code,
        reason: reason.into(),
        ..Status::default()
    };
    assert!(of(404, "Odd").is_not_found());
    assert!(!of(404, "Forbidden").is_not_found());
    assert!(of(410, "").is_expired() && of(410, "Expired").is_expired());
    assert!(!of(409, "AlreadyExists").is_conflict());
}
