use super::*;
use crate::Resource;
use crate::message::Message;

const POD: &str = r#"{"metadata":{"namespace":"ns","name":"p"},"spec":{"containers":[
    {"name":"a","resources":{"requests":{"cpu":"100m","example.com/gpu":"2"},"limits":{"cpu":"1","memory":"1Gi"}}},
    {"name":"b","resources":{"requests":{"cpu":"200m","memory":"64Mi"}}}]}}"#;

fn usage<T: Resource>(json: &str) -> String {
    let object = T::from_json(json.as_bytes()).unwrap();
    let counted = Counted {
        group: T::GROUP,
        resource: T::PLURAL,
        object: &object,
    };
    let now = Time::parse("2026-01-01T00:00:00Z").unwrap();
    let usage = without_zeros(counted.usage(now));
    usage
        .iter()
        .map(|(name, quantity)| format!("{name}={quantity}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn kinds_use_their_resources() {
    assert_eq!(
        usage::<Pod>(POD),
        "count/pods=1 cpu=300m limits.cpu=1 limits.memory=1Gi memory=64Mi pods=1 requests.cpu=300m \
         requests.example.com/gpu=2 requests.memory=64Mi"
    );
    let ended = POD.replace(r#""spec""#, r#""status":{"phase":"Succeeded"},"spec""#);
    assert_eq!(usage::<Pod>(&ended), "count/pods=1");
    let service = r#"{"spec":{"type":"LoadBalancer","ports":[{"port":80},{"port":81}]}}"#;
    assert_eq!(
        usage::<Service>(service),
        "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2"
    );
    let claim = r#"{"spec":{"storageClassName":"fast","resources":{"requests":{"storage":"1Gi"}}}}"#;
    assert_eq!(
        usage::<PersistentVolumeClaim>(claim),
        "count/persistentvolumeclaims=1 fast.storageclass.storage.k8s.io/persistentvolumeclaims=1 \
         fast.storageclass.storage.k8s.io/requests.storage=1Gi persistentvolumeclaims=1 requests.storage=1Gi"
    );
    assert_eq!(
        usage::<crate::apps::v1::Deployment>("{}"),
        "count/deployments.apps=1"
    );
    assert_eq!(
        usage::<crate::core::v1::Secret>("{}"),
        "count/secrets=1 secrets=1"
    );
}

#[test]
fn quotas_apply_by_scope_and_resource() {
    let pod = Pod::from_json(POD.as_bytes()).unwrap();
    let counted = Counted {
        group: "",
        resource: "pods",
        object: &pod,
    };
    let check = |spec: &str, hard: &str, expected: bool| {
        let quota = format!(r#"{{"spec":{{{spec}}},"status":{{"hard":{{"{hard}":"1"}}}}}}"#);
        assert_eq!(
            counted.matches(&ResourceQuota::from_json(quota.as_bytes()).unwrap()),
            expected,
            "{spec} {hard}"
        );
    };
    check("", "pods", true);
    check("", "services", false);
    check("", "count/pods", true);
    check(r#""scopes":["NotTerminating","NotBestEffort"]"#, "pods", true);
    check(r#""scopes":["BestEffort"]"#, "pods", false);
    let class = |operator: &str| {
        format!(
            r#""scopeSelector":{{"matchExpressions":[{{"scopeName":"PriorityClass","operator":"{operator}","values":["high"]}}]}}"#
        )
    };
    check(&class("In"), "pods", false);
    check(&class("NotIn"), "pods", true);
}

#[test]
fn a_limited_resource_must_be_stated_by_each_container() {
    let pod = Pod::from_json(POD.as_bytes()).unwrap();
    let counted = Counted {
        group: "",
        resource: "pods",
        object: &pod,
    };
    let limited = ["limits.memory", "memory", "pods", "requests.cpu"].map(str::to_owned);
    assert_eq!(
        counted.missing(&limited).as_deref(),
        Some("must specify limits.memory for: b; memory for: a")
    );
    assert_eq!(counted.missing(&["requests.cpu".to_owned()]), None);
}

#[test]
fn differences_stop_at_zero() {
    let list = |text: &str| -> ResourceList {
        text.split(' ')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), Quantity::parse(value).unwrap()))
            .collect()
    };
    assert_eq!(
        subtract_to_zero(&list("cpu=2 pods=1"), &list("cpu=1 memory=1Gi pods=3")),
        list("cpu=1 memory=0 pods=0")
    );
    assert_eq!(
        exceeded(&list("cpu=2 pods=1"), &list("cpu=1500m memory=1Gi pods=1")),
        ["cpu"]
    );
    assert_eq!(
        mask(&list("cpu=2 pods=1"), &["pods".to_owned(), "x".to_owned()]),
        list("pods=1")
    );
}
