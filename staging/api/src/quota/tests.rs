use std::sync::Arc;

use super::*;
use crate::Resource;
use crate::message::Message;

const POD: &str = r#"{"metadata":{"namespace":"ns","name":"p"},"spec":{"containers":[
    {"name":"a","resources":{"requests":{"cpu":"100m","example.com/gpu":"2"},"limits":{"cpu":"1","memory":"1Gi"}}},
    {"name":"b","resources":{"requests":{"cpu":"200m","memory":"64Mi"}}}]}}"#;

fn counted<'a>(
    group: &'a str,
    resource: &'a str,
    object: &'a dyn Object,
    devices: &'a dyn Devices,
) -> Counted<'a> {
    let evaluator = Evaluator {
        group,
        resource,
        devices,
    };
    Counted { evaluator, object }
}

fn usage<T: Resource>(json: &str) -> String {
    let object = T::from_json(json.as_bytes()).unwrap();
    let counted = counted(T::GROUP, T::PLURAL, &object, &NoDevices);
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
    let counted = counted("", "pods", &pod, &NoDevices);
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
    let counted = counted("", "pods", &pod, &NoDevices);
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

/// One class that stands for an extended resource, and a pod that asks for it.
struct Gpus {
    acknowledged: bool,
}

impl Devices for Gpus {
    fn extended_resource(&self, class: &str) -> Option<String> {
        (class == "gpu").then(|| "example.com/gpu".to_owned())
    }

    fn has_class_for(&self, resource: &str) -> bool {
        resource == "example.com/gpu"
    }

    fn pod(&self, _: &str, _: &str) -> Option<Arc<Pod>> {
        let mut pod = Pod::from_json(POD.as_bytes()).ok()?;
        pod.metadata.uid = "1".into();
        let claim = if self.acknowledged { "c" } else { "other" };
        let status = crate::core::v1::PodExtendedResourceClaimStatus {
            resource_claim_name: claim.into(),
            ..Default::default()
        };
        pod.status.extended_resource_claim_status = Some(Box::new(status));
        Some(Arc::new(pod))
    }

    fn claims(&self, _: &str) -> Vec<Arc<ResourceClaim>> {
        Vec::new()
    }
}

#[test]
fn device_claims_count_by_class_and_extended_resource() {
    let check = |claim: &str, devices: &dyn Devices, expected: &str| {
        let claim = ResourceClaim::from_json(claim.as_bytes()).unwrap();
        let counted = counted("resource.k8s.io", "resourceclaims", &claim, devices);
        let usage = counted.usage(Time::parse("2026-01-01T00:00:00Z").unwrap());
        let text: Vec<String> = usage
            .iter()
            .map(|(name, amount)| format!("{name}={amount}"))
            .collect();
        assert_eq!(text.join(" "), expected);
    };
    let alternatives = r#"{"spec":{"devices":{"requests":[
        {"name":"a","exactly":{"deviceClassName":"disk","allocationMode":"All"}},
        {"name":"b","firstAvailable":[
            {"name":"x","deviceClassName":"disk","allocationMode":"ExactCount","count":2},
            {"name":"y","deviceClassName":"disk","allocationMode":"ExactCount","count":3},
            {"name":"z","deviceClassName":"tape","allocationMode":"Unknown"}]}]}}}"#;
    check(
        alternatives,
        &NoDevices,
        "count/resourceclaims.resource.k8s.io=1 disk.deviceclass.resource.k8s.io/devices=35 \
         requests.deviceclass.resource.kubernetes.io/disk=35",
    );
    let made = r#"{"metadata":{"name":"c","namespace":"ns",
        "annotations":{"resource.kubernetes.io/extended-resource-claim":"true"},
        "ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":"1","controller":true}]},
        "spec":{"devices":{"requests":[{"name":"a","exactly":
            {"deviceClassName":"gpu","allocationMode":"ExactCount","count":2}}]}}}"#;
    // The pod is charged for its two already.
    check(
        made,
        &Gpus { acknowledged: true },
        "count/resourceclaims.resource.k8s.io=1 gpu.deviceclass.resource.k8s.io/devices=2 \
         requests.deviceclass.resource.kubernetes.io/gpu=2",
    );
    check(
        made,
        &Gpus { acknowledged: false },
        "count/resourceclaims.resource.k8s.io=1 gpu.deviceclass.resource.k8s.io/devices=2 \
         requests.deviceclass.resource.kubernetes.io/gpu=2 requests.example.com/gpu=2",
    );
}

#[test]
fn names_belong_to_kinds() {
    let check = |resource: (&str, &str), devices: &dyn Devices, name: &str, expected: bool| {
        let evaluator = Evaluator {
            group: resource.0,
            resource: resource.1,
            devices,
        };
        let name = [name.to_owned()];
        assert_eq!(!evaluator.matching(name.iter()).is_empty(), expected, "{name:?}");
    };
    let claims = ("resource.k8s.io", "resourceclaims");
    let gpus = Gpus { acknowledged: true };
    check(
        claims,
        &NoDevices,
        "gpu.deviceclass.resource.k8s.io/devices",
        true,
    );
    check(claims, &NoDevices, "requests.example.com/gpu", false);
    check(claims, &gpus, "requests.example.com/gpu", true);
    check(
        claims,
        &gpus,
        "requests.deviceclass.resource.kubernetes.io/gpu",
        true,
    );
    check(
        claims,
        &gpus,
        "requests.deviceclass.resource.kubernetes.io/disk",
        false,
    );
    check(
        ("", "pods"),
        &gpus,
        "requests.deviceclass.resource.kubernetes.io/disk",
        true,
    );
    check(("", "pods"), &gpus, "requests.kubernetes.io/disk", false);
    let storage = ("", "persistentvolumeclaims");
    check(
        storage,
        &gpus,
        "gold.storageclass.storage.k8s.io/requests.storage",
        true,
    );
    check(
        storage,
        &gpus,
        "gold.storageclass.storage.k8s.io/requests.cpu",
        false,
    );
    check(("apps", "deployments"), &gpus, "count/deployments.apps", true);
}

#[test]
fn updates_that_may_give_something_back() {
    let now = Time::parse("2026-01-01T00:00:00Z").unwrap();
    let pod = |status: &str| Pod::from_json(format!(r#"{{"status":{{{status}}}}}"#).as_bytes()).unwrap();
    assert!(replenishes(&pod(""), &pod(r#""phase":"Failed""#), now));
    assert!(!replenishes(
        &pod(r#""phase":"Pending""#),
        &pod(r#""phase":"Running""#),
        now
    ));
    let resized = |cpu: &str| {
        pod(&format!(
            r#""containerStatuses":[{{"name":"a","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]"#
        ))
    };
    assert!(replenishes(&resized("2"), &resized("1"), now));
    let service =
        |type_: &str| Service::from_json(format!(r#"{{"spec":{{"type":"{type_}"}}}}"#).as_bytes()).unwrap();
    assert!(replenishes(&service("NodePort"), &service("ClusterIP"), now));
    assert!(!replenishes(&service("ExternalName"), &service("ClusterIP"), now));
    let claim = |class: &str| {
        let json = format!(r#"{{"status":{{"currentVolumeAttributesClassName":"{class}"}}}}"#);
        PersistentVolumeClaim::from_json(json.as_bytes()).unwrap()
    };
    assert!(replenishes(&claim("gold"), &claim("silver"), now));
    assert!(!replenishes(&claim("gold"), &claim("gold"), now));
}
