//! Whether the node takes a pod. The scheduler has decided already, but with an older view, and not for every pod.
//! Pure. Upstream: `kubelet/lifecycle/predicate.go`.

use crate::pod;
use api::core::v1::{Container, ContainerPort, Node, Pod};
use apimachinery::quantity::Quantity;
use std::collections::BTreeMap;

/// Why a pod is not taken: the reason and message of its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: String,
    pub message: String,
}

/// The reason for which labels of the node are at fault.
const NODE_AFFINITY: &str = "NodeAffinity";

impl Rejection {
    /// Whether other labels of the node would do.
    pub fn is_by_labels(&self) -> bool {
        self.reason == NODE_AFFINITY
    }
}

fn predicate(name: &str, description: &str) -> Rejection {
    Rejection {
        reason: name.into(),
        message: format!("Predicate {name} failed: {description}"),
    }
}

/// `others` are the pods that the node already has; `allocatable` is what it offers to all of them.
pub fn admit(
    spec: &Pod,
    others: &[impl AsRef<Pod>],
    node: &Node,
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<(), Rejection> {
    check_system(spec)?;
    check_resources(spec, others, allocatable)?;
    if !api::node_affinity::pod_matches_node(&spec.spec, node) {
        return Err(predicate(
            NODE_AFFINITY,
            "node(s) didn't match Pod's node affinity/selector",
        ));
    }
    if !spec.spec.node_name.is_empty() && spec.spec.node_name != node.metadata.name {
        return Err(predicate(
            "NodeName",
            "node(s) didn't match the requested node name",
        ));
    }
    check_ports(spec, others)?;
    // Static pods belong to the node, whatever its taints.
    let repelled = !pod::is_static(spec)
        && node
            .spec
            .taints
            .iter()
            .filter(|taint| taint.effect == "NoExecute")
            .any(|taint| !api::taints::tolerated(&spec.spec.tolerations, taint));
    if repelled {
        return Err(predicate(
            "TaintToleration",
            "node(s) had taints that the pod didn't tolerate",
        ));
    }
    Ok(())
}

fn check_system(spec: &Pod) -> Result<(), Rejection> {
    let wanted = spec.metadata.labels.get("kubernetes.io/os");
    if wanted.is_some_and(|os| os != "linux") {
        return Err(Rejection {
            reason: "PodOSSelectorNodeLabelDoesNotMatch".into(),
            message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label".into(),
        });
    }
    if spec.spec.os.as_ref().is_some_and(|os| os.name != "linux") {
        return Err(Rejection {
            reason: "PodOSNotSupported".into(),
            message: "Failed to admit pod as the OS field doesn't match node OS".into(),
        });
    }
    Ok(())
}

fn check_resources(
    spec: &Pod,
    others: &[impl AsRef<Pod>],
    allocatable: &BTreeMap<String, Quantity>,
) -> Result<(), Rejection> {
    let pods = allocatable.get("pods").map_or(0, Quantity::value);
    let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if count >= pods {
        return Err(out_of("pods", 1, count, pods));
    }
    for (resource, request) in api::pod_requests::pod_requests(spec) {
        // What the node doesn't know at all is someone else's to provide.
        let Some(capacity) = allocatable.get(&resource) else {
            continue;
        };
        let scale = |quantity: &Quantity| {
            if resource == "cpu" {
                quantity.milli_value()
            } else {
                quantity.value()
            }
        };
        let requested = scale(&request);
        let of_other = |other: &Pod| {
            api::pod_requests::pod_requests(other)
                .get(&resource)
                .map_or(0, scale)
        };
        let used: i64 = others.iter().map(|other| of_other(other.as_ref())).sum();
        let capacity = scale(capacity);
        if requested > 0 && requested.saturating_add(used) > capacity {
            return Err(out_of(&resource, requested, used, capacity));
        }
    }
    Ok(())
}

fn out_of(resource: &str, requested: i64, used: i64, capacity: i64) -> Rejection {
    Rejection {
        reason: format!("OutOf{resource}"),
        message: format!(
            "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    }
}

fn host_ports(spec: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let sidecars = spec
        .spec
        .init_containers
        .iter()
        .filter(|container: &&Container| pod::is_sidecar(container));
    sidecars
        .chain(&spec.spec.containers)
        .flat_map(|container| &container.ports)
        .filter(|port| port.host_port > 0)
}

fn check_ports(spec: &Pod, others: &[impl AsRef<Pod>]) -> Result<(), Rejection> {
    let protocol = |port: &ContainerPort| {
        if port.protocol.is_empty() {
            "TCP".to_owned()
        } else {
            port.protocol.clone()
        }
    };
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0";
    let clash = |a: &ContainerPort, b: &ContainerPort| {
        a.host_port == b.host_port
            && protocol(a) == protocol(b)
            && (any(&a.host_ip) || any(&b.host_ip) || a.host_ip == b.host_ip)
    };
    let taken = host_ports(spec).any(|port| {
        others
            .iter()
            .any(|other| host_ports(other.as_ref()).any(|b| clash(port, b)))
    });
    if taken {
        return Err(predicate(
            "NodePorts",
            "node(s) didn't have free ports for the requested pod ports",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Message;
    use std::sync::Arc;

    fn pod(spec: &str) -> Pod {
        Pod::from_json(format!(r#"{{"metadata":{{"name":"p"}},"spec":{spec}}}"#).as_bytes()).unwrap()
    }

    fn check(spec: &str, other: &str, expected: Result<(), (&str, &str)>) {
        let node = br#"{"metadata":{"name":"n","labels":{"zone":"a"}},"spec":{"taints":[{"key":"x","effect":"NoExecute"}]}}"#;
        let node = Node::from_json(node).unwrap();
        let allocatable = [("cpu", "2"), ("memory", "1Gi"), ("pods", "2")]
            .map(|(name, amount)| (name.to_owned(), Quantity::parse(amount).unwrap()));
        let others = [Arc::new(pod(other))];
        let result = admit(&pod(spec), &others, &node, &allocatable.into());
        let words = result
            .as_ref()
            .copied()
            .map_err(|no| (no.reason.as_str(), no.message.as_str()));
        assert_eq!(words, expected);
    }

    const TOLERANT: &str = r#""tolerations":[{"operator":"Exists"}]"#;

    #[test]
    fn resources_ports_selectors_taints() {
        let with = |fields: &str| format!("{{{TOLERANT},{fields}}}");
        check(&with(r#""containers":[{"name":"a"}]"#), "{}", Ok(()));
        check(
            &with(r#""containers":[{"name":"a","resources":{"requests":{"cpu":"1500m"}}}]"#),
            r#"{"containers":[{"name":"b","resources":{"requests":{"cpu":"1"}}}]}"#,
            Err((
                "OutOfcpu",
                "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
            )),
        );
        check(
            &with(r#""nodeSelector":{"zone":"b"}"#),
            "{}",
            Err((
                "NodeAffinity",
                "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
            )),
        );
        let port = r#""containers":[{"name":"a","ports":[{"containerPort":1,"hostPort":80}]}]"#;
        check(
            &with(port),
            &format!("{{{port}}}"),
            Err((
                "NodePorts",
                "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
            )),
        );
        check(
            "{}",
            "{}",
            Err((
                "TaintToleration",
                "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate",
            )),
        );
        check(
            &with(r#""os":{"name":"windows"}"#),
            "{}",
            Err((
                "PodOSNotSupported",
                "Failed to admit pod as the OS field doesn't match node OS",
            )),
        );
    }
}
