//! Which pods are to be collected, and why. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use api::core::v1::{Node, Pod};
use api::pod_conditions::is_terminal;

use crate::nodes::condition;
use crate::nodes::taints::OUT_OF_SERVICE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Ended, and there are too many of those.
    Terminated,
    /// Its node is gone.
    Orphaned,
    /// Being deleted on a node that is shut down for good.
    OutOfService,
    /// Being deleted before any node had it.
    Unscheduled,
}

pub struct Observed<'a> {
    pub pods: &'a [Arc<Pod>],
    pub nodes: &'a [Arc<Node>],
    pub gone_nodes: &'a HashSet<String>,
    pub threshold: usize,
}

pub fn doomed(observed: &Observed<'_>) -> Vec<(Arc<Pod>, Reason)> {
    let mut doomed: Vec<(Arc<Pod>, Reason)> = surplus(observed.pods, observed.threshold)
        .into_iter()
        .map(|pod| (pod, Reason::Terminated))
        .collect();
    let taken: HashSet<String> = doomed.iter().map(|(pod, _)| pod.metadata.uid.clone()).collect();
    let nodes: HashMap<&str, &Node> = observed
        .nodes
        .iter()
        .map(|node| (node.metadata.name.as_str(), node.as_ref()))
        .collect();
    for pod in observed
        .pods
        .iter()
        .filter(|pod| !taken.contains(&pod.metadata.uid))
    {
        let deleting = pod.metadata.deletion_timestamp.is_some();
        let node = nodes.get(pod.spec.node_name.as_str());
        let reason = if observed.gone_nodes.contains(&pod.spec.node_name) {
            Reason::Orphaned
        } else if deleting && pod.spec.node_name.is_empty() {
            Reason::Unscheduled
        } else if deleting && node.is_some_and(|node| is_out_of_service(node)) {
            Reason::OutOfService
        } else {
            continue;
        };
        doomed.push((pod.clone(), reason));
    }
    doomed
}

fn is_out_of_service(node: &Node) -> bool {
    let ready = condition(node, "Ready").is_some_and(|ready| ready.status == "True");
    !ready && node.spec.taints.iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

/// The ended pods beyond the threshold: evicted ones first, then the oldest.
fn surplus(pods: &[Arc<Pod>], threshold: usize) -> Vec<Arc<Pod>> {
    if threshold == 0 {
        return Vec::new();
    }
    let mut ended: Vec<&Arc<Pod>> = pods.iter().filter(|pod| is_terminal(pod)).collect();
    let count = ended.len().saturating_sub(threshold);
    let evicted = |pod: &Pod| pod.status.phase == "Failed" && pod.status.reason == "Evicted";
    ended.sort_by_key(|pod| {
        (
            !evicted(pod),
            pod.metadata.creation_timestamp,
            pod.metadata.name.clone(),
        )
    });
    ended.into_iter().take(count).cloned().collect()
}

#[cfg(test)]
mod tests {
    use api::core::v1::Taint;
    use apimachinery::time::Time;

    use super::*;

    /// `name:node`, with `-` for being deleted, `+` for ended, `!` for evicted.
    fn pod(text: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        let (name, node) = text
            .trim_end_matches(['-', '+', '!'])
            .split_once(':')
            .expect("name:node");
        pod.metadata.name = name.into();
        pod.metadata.uid = name.into();
        pod.spec.node_name = node.into();
        if text.ends_with('-') {
            pod.metadata.deletion_timestamp = Time::from_unix(1, 0);
        }
        if text.ends_with(['+', '!']) {
            pod.status.phase = "Failed".into();
        }
        if text.ends_with('!') {
            pod.status.reason = "Evicted".into();
        }
        Arc::new(pod)
    }

    fn check(pods: &str, threshold: usize, expected: &str) {
        let mut down = Node::default();
        down.metadata.name = "down".into();
        down.spec.taints.push(Taint {
            key: OUT_OF_SERVICE.into(),
            ..Taint::default()
        });
        let pods: Vec<Arc<Pod>> = pods.split_whitespace().map(pod).collect();
        let gone_nodes = ["gone".to_owned()].into();
        let nodes = [Arc::new(down)];
        let observed = Observed {
            pods: &pods,
            nodes: &nodes,
            gone_nodes: &gone_nodes,
            threshold,
        };
        let doomed: Vec<String> = doomed(&observed)
            .into_iter()
            .map(|(pod, reason)| format!("{} {reason:?}", pod.metadata.name))
            .collect();
        assert_eq!(doomed.join(", "), expected);
    }

    #[test]
    fn decisions() {
        check("a:up b:gone c: d:-", 10, "b Orphaned, d Unscheduled");
        check("a:down b:down- c:up-", 10, "b OutOfService");
        check("a:up+ b:up! c:up+ d:up", 1, "b Terminated, a Terminated");
        check("a:up+ b:up+", 0, "");
    }
}
