use api::Resource;
use api::authentication::v1::TokenRequest;
use api::coordination::v1::Lease;
use api::core::v1::{Node, Pod};
use api::policy::v1::Eviction;
use auth::UserInfo;
use auth::authorizers::AlwaysDeny;
use auth::objects::MemoryObjects;
use auth::user::NODES;

use super::*;
use crate::testing::{Request, from_json, told};

fn plugin() -> NodeRestriction {
    let objects = Arc::new(MemoryObjects::new());
    objects.insert::<Node>(from_json(r#"{"metadata":{"name":"a","uid":"node-uid"}}"#));
    objects.insert::<Pod>(from_json(
        r#"{"metadata":{"namespace":"ns","name":"mine","uid":"u1"},"spec":{"nodeName":"a","volumes":[{"name":"t","projected":
            {"sources":[{"serviceAccountToken":{"path":"t"}},{"serviceAccountToken":{"path":"v","audience":"vault"}}]}}]}}"#,
    ));
    objects.insert::<Pod>(from_json(
        r#"{"metadata":{"namespace":"ns","name":"other","uid":"u2"},"spec":{"nodeName":"b"}}"#,
    ));
    NodeRestriction::new(objects, Arc::new(AlwaysDeny))
}

async fn check<T: Resource>(request: Request, new: Option<&str>, old: Option<&str>, expected: &str) {
    let request = request.by(UserInfo::new("system:node:a", &[NODES]));
    let mut new: Option<T> = new.map(from_json);
    let old: Option<T> = old.map(from_json);
    let outcome = request.run(&plugin(), new.as_mut(), old.as_ref()).await;
    let told = told(&outcome);
    assert_eq!(
        told.split_once(" is forbidden: ")
            .map_or(told, |(_, reason)| reason),
        expected
    );
}

#[tokio::test]
async fn others_are_not_restricted() {
    let mut pod: Pod = from_json(r#"{"metadata":{"namespace":"ns","name":"p"}}"#);
    assert_eq!(
        told(&Request::create().run(&plugin(), Some(&mut pod), None).await),
        "ok"
    );
}

#[tokio::test]
async fn a_node_makes_mirror_pods_of_its_own() {
    let pod = |owner: &str, spec: &str| {
        format!(
            r#"{{"metadata":{{"namespace":"ns","name":"p","annotations":{{"kubernetes.io/config.mirror":"x"}},
                "ownerReferences":[{owner}]}},"spec":{{"nodeName":"a"{spec}}}}}"#
        )
    };
    let owner = r#"{"apiVersion":"v1","kind":"Node","name":"a","uid":"node-uid","controller":true}"#;
    let create =
        async |json: &str, expected: &str| check::<Pod>(Request::create(), Some(json), None, expected).await;
    create(&pod(owner, ""), "ok").await;
    create(
        &pod("", ""),
        r#"node "a" can only create pods with an owner reference set to itself"#,
    )
    .await;
    let stale = owner.replace("node-uid", "old");
    create(&pod(&stale, ""), "node a UID mismatch: expected old got node-uid").await;
    let secret = pod(owner, r#","volumes":[{"name":"s","secret":{"secretName":"x"}}]"#);
    create(&secret, r#"node "a" can not create pods that reference secrets"#).await;
    create(
        r#"{"metadata":{"namespace":"ns","name":"p"},"spec":{"nodeName":"a"}}"#,
        r#"pod does not have "kubernetes.io/config.mirror" annotation, node "a" can only create mirror pods"#,
    )
    .await;
}

#[tokio::test]
async fn a_node_reports_deletes_and_evicts_its_own_pods() {
    let mine = r#"{"metadata":{"namespace":"ns","name":"mine"},"spec":{"nodeName":"a"}}"#;
    let other = r#"{"metadata":{"namespace":"ns","name":"other"},"spec":{"nodeName":"b"}}"#;
    let labelled =
        r#"{"metadata":{"namespace":"ns","name":"mine","labels":{"a":"b"}},"spec":{"nodeName":"a"}}"#;
    let status = || Request::update().subresource("status");
    check::<Pod>(status(), Some(mine), Some(mine), "ok").await;
    let refused = r#"node "a" can only update pod status for pods with spec.nodeName set to itself"#;
    check::<Pod>(status(), Some(other), Some(other), refused).await;
    check::<Pod>(
        status(),
        Some(labelled),
        Some(mine),
        r#"node "a" cannot update labels through pod status"#,
    )
    .await;
    let delete = || Request::new(Operation::Delete);
    check::<Pod>(delete(), None, Some(mine), "ok").await;
    check::<Pod>(
        delete(),
        None,
        Some(other),
        r#"node "a" can only delete pods with spec.nodeName set to itself"#,
    )
    .await;
    let evict = || Request {
        resource: Some(("", "pods")),
        ..Request::create().subresource("eviction")
    };
    let eviction = |name: &str| format!(r#"{{"metadata":{{"namespace":"ns","name":"{name}"}}}}"#);
    check::<Eviction>(evict(), Some(&eviction("mine")), None, "ok").await;
    check::<Eviction>(
        evict(),
        Some(&eviction("other")),
        None,
        "node a can only evict pods with spec.nodeName set to itself",
    )
    .await;
    check::<Eviction>(evict(), Some(&eviction("gone")), None, r#"pods "gone" not found"#).await;
}

#[tokio::test]
async fn a_node_changes_itself_but_not_what_schedules_onto_it() {
    let node = |labels: &str, taints: &str| {
        format!(r#"{{"metadata":{{"name":"a","labels":{{{labels}}}}},"spec":{{"taints":[{taints}]}}}}"#)
    };
    let update = async |new: &str, expected: &str| {
        check::<Node>(Request::update(), Some(new), Some(&node("", "")), expected).await
    };
    update(
        &node(r#""kubernetes.io/os":"linux","example.com/x":"y""#, ""),
        "ok",
    )
    .await;
    update(
        &node("", r#"{"key":"k","effect":"NoSchedule"}"#),
        r#"node "a" is not allowed to modify taints"#,
    )
    .await;
    let label = r#""node-restriction.kubernetes.io/pci":"yes""#;
    update(
        &node(label, ""),
        "is not allowed to modify labels: node-restriction.kubernetes.io/pci",
    )
    .await;
    let role = r#""node-role.kubernetes.io/control-plane":"""#;
    let refused =
        r#"node "a" is not allowed to set the following labels: node-role.kubernetes.io/control-plane"#;
    check::<Node>(Request::create(), Some(&node(role, "")), None, refused).await;
    let other = r#"{"metadata":{"name":"b"}}"#;
    check::<Node>(
        Request::update(),
        Some(other),
        Some(other),
        r#"node "a" is not allowed to modify node "b""#,
    )
    .await;
}

#[tokio::test]
async fn leases_and_tokens_are_the_nodes_own() {
    let lease = |namespace: &str, name: &str| {
        format!(r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}"}}}}"#)
    };
    check::<Lease>(
        Request::create(),
        Some(&lease("kube-node-lease", "a")),
        None,
        "ok",
    )
    .await;
    let refused = "can only access node lease with the same name as the requesting node";
    check::<Lease>(
        Request::create(),
        Some(&lease("kube-node-lease", "b")),
        None,
        refused,
    )
    .await;
    let refused = r#"can only access leases in the "kube-node-lease" system namespace"#;
    check::<Lease>(Request::create(), Some(&lease("kube-system", "a")), None, refused).await;

    let token = async |pod: &str, uid: &str, audiences: &str, expected: &str| {
        let request = Request {
            resource: Some(("", "serviceaccounts")),
            name: Some("web"),
            ..Request::create().subresource("token")
        };
        let json = format!(
            r#"{{"metadata":{{"namespace":"ns","name":"web"}},"spec":{{"audiences":[{audiences}],
                "boundObjectRef":{{"apiVersion":"v1","kind":"Pod","name":"{pod}","uid":"{uid}"}}}}}}"#
        );
        check::<TokenRequest>(request, Some(&json), None, expected).await;
    };
    token("mine", "u1", "", "ok").await;
    token("mine", "u1", r#""vault""#, "ok").await;
    let refused = r#"audience "other" not found in pod spec volume, system:node:a is not authorized to request tokens for this audience"#;
    token("mine", "u1", r#""other""#, refused).await;
    token(
        "other",
        "u2",
        "",
        "node requested token bound to a pod scheduled on a different node",
    )
    .await;
    token(
        "mine",
        "",
        "",
        "node requested token with a pod binding without a uid",
    )
    .await;
}
