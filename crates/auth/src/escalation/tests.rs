use api::meta::v1::ObjectMeta;
use api::rbac::v1::{ClusterRole, ClusterRoleBinding, Subject};

use super::*;
use crate::{Change, Follower};

fn strings(list: &str) -> Vec<String> {
    list.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            if part == "core" {
                String::new()
            } else {
                part.to_owned()
            }
        })
        .collect()
}

fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
    PolicyRule {
        verbs: strings(verbs),
        api_groups: strings(groups),
        resources: strings(resources),
        resource_names: strings(names),
        non_resource_urls: Vec::new(),
    }
}

fn rbac() -> Rbac {
    let rbac = Rbac::new();
    let rules = [
        (
            "reader",
            vec![
                rule("get,list", "core", "pods,*/scale", ""),
                rule("get", "core", "secrets", "one"),
            ],
        ),
        (
            "binder",
            vec![rule("bind", "rbac.authorization.k8s.io", "clusterroles", "admin")],
        ),
        (
            "escalator",
            vec![rule("escalate", "rbac.authorization.k8s.io", "clusterroles", "")],
        ),
        ("admin", vec![rule("*", "*", "*", "")]),
    ];
    for (name, rules) in rules {
        let metadata = ObjectMeta {
            name: name.into(),
            ..ObjectMeta::default()
        };
        rbac.apply(Change::Set(&ClusterRole {
            metadata: metadata.clone(),
            rules,
            ..ClusterRole::default()
        }));
        let subjects = vec![Subject {
            kind: "User".into(),
            name: name.into(),
            ..Subject::default()
        }];
        let role_ref = RoleRef {
            kind: "ClusterRole".into(),
            name: name.into(),
            ..RoleRef::default()
        };
        rbac.apply(Change::Set(&ClusterRoleBinding {
            metadata,
            subjects,
            role_ref,
        }));
    }
    rbac
}

async fn write(user: &str, groups: &[&str], rules: &[PolicyRule], aggregates: bool) -> String {
    let (rbac, user) = (rbac(), UserInfo::new(user, groups));
    let writer = Writer {
        user: &user,
        namespace: "",
        rbac: &rbac,
        authorizer: &rbac,
    };
    writer
        .may_write_role("clusterroles", "new", rules, aggregates)
        .await
        .err()
        .unwrap_or_else(|| "yes".to_owned())
}

#[tokio::test]
async fn a_role_holds_no_more_than_its_writer() {
    let within = [
        rule("get", "core", "pods,deployments/scale", ""),
        rule("get", "core", "secrets", "one"),
    ];
    assert_eq!(write("reader", &[], &within, false).await, "yes");
    let beyond = [
        rule("get,delete,watch", "core", "pods", ""),
        rule("get", "core", "secrets", ""),
    ];
    let expected = "user \"reader\" (groups=[\"dev\" \"ops\"]) is attempting to grant RBAC permissions not currently held:\n\
        {APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"watch\"]}\n\
        {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}";
    assert_eq!(write("reader", &["dev", "ops"], &beyond, false).await, expected);
    assert_eq!(write("escalator", &[], &beyond, true).await, "yes");
    assert_eq!(write("reader", &[PRIVILEGED], &beyond, true).await, "yes");
    let aggregation = "must have cluster-admin privileges to use the aggregationRule";
    assert_eq!(write("reader", &[], &within, true).await, aggregation);
}

#[tokio::test]
async fn a_binding_grants_no_more_than_its_writer_has() {
    let rbac = rbac();
    let bind = async |user: &str, role: &str| {
        let user = UserInfo::new(user, &[]);
        let writer = Writer {
            user: &user,
            namespace: "ns",
            rbac: &rbac,
            authorizer: &rbac,
        };
        let role = RoleRef {
            kind: "ClusterRole".into(),
            name: role.into(),
            ..RoleRef::default()
        };
        match writer.may_bind(&role).await {
            Ok(()) => "yes",
            Err(Refusal::NoRole(_)) => "no role",
            Err(Refusal::Escalation(_)) => "no",
        }
    };
    assert_eq!(bind("reader", "reader").await, "yes");
    assert_eq!(bind("reader", "admin").await, "no");
    assert_eq!(bind("binder", "admin").await, "yes");
    assert_eq!(bind("binder", "reader").await, "no");
    assert_eq!(bind("binder", "none").await, "no role");
}

#[test]
fn paths_are_covered_by_prefix() {
    let paths = |list: &str| PolicyRule {
        verbs: strings("get"),
        non_resource_urls: strings(list),
        ..PolicyRule::default()
    };
    assert!(covers::uncovered(&[paths("/api/*,/healthz")], &[paths("/api/v1,/healthz")]).is_empty());
    assert_eq!(
        covers::uncovered(&[paths("/api/*")], &[paths("/apis,/api/*")]),
        [paths("/apis")]
    );
}
