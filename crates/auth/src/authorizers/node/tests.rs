use api::Message;

use super::*;
use crate::user::NODES;

fn pod(name: &str, node: &str, mirror: bool) -> Pod {
    let annotation = if mirror {
        r#""kubernetes.io/config.mirror":"x""#
    } else {
        ""
    };
    let json = format!(
        r#"{{"metadata":{{"namespace":"ns","name":"{name}","annotations":{{{annotation}}}}},"spec":{{
          "nodeName":"{node}","serviceAccountName":"web","containers":[],
          "volumes":[{{"name":"a","secret":{{"secretName":"key"}}}},{{"name":"b","configMap":{{"name":"conf"}}}},
                     {{"name":"c","persistentVolumeClaim":{{"claimName":"data"}}}}]}}}}"#
    );
    Pod::from_json(json.as_bytes()).unwrap()
}

fn authorizer() -> NodeAuthorizer {
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let services = PolicyRule {
        verbs: strings(&["list"]),
        api_groups: strings(&[""]),
        resources: strings(&["services"]),
        ..PolicyRule::default()
    };
    let authorizer = NodeAuthorizer::new(vec![services]);
    authorizer.apply(Change::Set(&pod("p1", "a", false)));
    let volume = PersistentVolume::from_json(
        br#"{"metadata":{"name":"pv"},"spec":{"claimRef":{"namespace":"ns","name":"data"},
             "csi":{"driver":"d","volumeHandle":"h","nodePublishSecretRef":{"name":"mount","namespace":"csi"},
                    "controllerPublishSecretRef":{"name":"attach","namespace":"csi"}}}}"#,
    );
    authorizer.apply(Change::Set(&volume.unwrap()));
    authorizer
}

/// `node verb resource[/sub] namespace/name [field selector]`
fn ask(authorizer: &NodeAuthorizer, request: &str) -> String {
    let words: Vec<&str> = request.split(' ').collect();
    let (resource, subresource) = words[2].split_once('/').unwrap_or((words[2], ""));
    let (namespace, name) = words[3].split_once('/').unwrap();
    let group = match resource {
        "leases" => "coordination.k8s.io",
        "csinodes" | "volumeattachments" => "storage.k8s.io",
        _ => "",
    };
    let attributes = Attributes {
        user: UserInfo::new(&user_of(words[0]), &[NODES]),
        verb: words[1].into(),
        api_group: group.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        namespace: namespace.into(),
        name: name.into(),
        resource_request: true,
        field_selector: words.get(4).copied().unwrap_or_default().into(),
        ..Attributes::default()
    };
    match authorizer.decide(&attributes) {
        Decision::Allow { .. } => "yes".to_owned(),
        Decision::NoOpinion { reason } | Decision::Deny { reason } => {
            format!("no {reason}").trim_end().to_owned()
        }
    }
}

#[test]
fn a_node_reads_what_its_pods_use() {
    let authorizer = authorizer();
    let stranger = "no no relationship found between node 'b' and this object";
    for object in [
        "secrets ns/key",
        "configmaps ns/conf",
        "persistentvolumeclaims ns/data",
        "persistentvolumes /pv",
        "secrets csi/mount",
    ] {
        assert_eq!(ask(&authorizer, &format!("a get {object}")), "yes", "{object}");
        assert_eq!(ask(&authorizer, &format!("b get {object}")), stranger, "{object}");
    }
    assert_eq!(
        ask(&authorizer, "a get secrets csi/attach"),
        "no no relationship found between node 'a' and this object"
    );
    assert_eq!(ask(&authorizer, "a create serviceaccounts/token ns/web"), "yes");
    assert_eq!(
        ask(&authorizer, "b create serviceaccounts/token ns/web"),
        stranger
    );
    assert_eq!(ask(&authorizer, "a list secrets ns/"), "no No Object name found");
    assert_eq!(
        ask(&authorizer, "a delete secrets ns/key"),
        "no can only read resources of this type"
    );
    assert_eq!(ask(&authorizer, "a list services ns/"), "yes");
    assert_eq!(ask(&authorizer, "a list endpoints ns/"), "no");
}

#[test]
fn rights_end_with_the_last_pod() {
    let authorizer = authorizer();
    let second = pod("p2", "a", false);
    authorizer.apply(Change::Set(&second));
    authorizer.apply(Change::Removed(&pod("p1", "a", false)));
    assert_eq!(ask(&authorizer, "a get secrets ns/key"), "yes");
    authorizer.apply(Change::Removed(&second));
    let refused = "no no relationship found between node 'a' and this object";
    assert_eq!(ask(&authorizer, "a get secrets ns/key"), refused);
    assert_eq!(ask(&authorizer, "a get persistentvolumes /pv"), refused);
}

#[test]
fn mirror_and_unbound_pods_lead_nowhere() {
    let authorizer = authorizer();
    authorizer.apply(Change::Set(&pod("static", "b", true)));
    authorizer.apply(Change::Set(&pod("pending", "", false)));
    assert_eq!(
        ask(&authorizer, "b get secrets ns/key"),
        "no no relationship found between node 'b' and this object"
    );
    assert_eq!(ask(&authorizer, "b get pods ns/static"), "yes");
}

#[test]
fn a_node_handles_its_own_objects() {
    let authorizer = authorizer();
    assert_eq!(ask(&authorizer, "a get nodes /a"), "yes");
    assert_eq!(
        ask(&authorizer, "a get nodes /b"),
        "no node 'a' cannot read 'b', only its own Node object"
    );
    assert_eq!(
        ask(&authorizer, "a list nodes /"),
        "no node 'a' cannot read all nodes, only its own Node object"
    );
    assert_eq!(ask(&authorizer, "a delete nodes /a"), "no");
    assert_eq!(ask(&authorizer, "a patch nodes/status /a"), "yes");
    assert_eq!(ask(&authorizer, "a list pods / spec.nodeName=a"), "yes");
    let selector = "no can only list/watch pods with spec.nodeName field selector";
    assert_eq!(ask(&authorizer, "a list pods / spec.nodeName=b"), selector);
    assert_eq!(ask(&authorizer, "a watch pods /"), selector);
    assert_eq!(ask(&authorizer, "a update leases kube-node-lease/a"), "yes");
    assert_eq!(
        ask(&authorizer, "a update leases kube-node-lease/b"),
        "no can only access node lease with the same name as the requesting node"
    );
    assert_eq!(
        ask(&authorizer, "a get leases kube-system/a"),
        r#"no can only access leases in the "kube-node-lease" system namespace"#
    );
}
