//! A pod that goes to a node bears the labels of where the node is.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::core::v1::{Binding, Node, Pod};
use auth::Objects;

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub struct PodTopologyLabels {
    objects: Arc<dyn Objects>,
}

impl PodTopologyLabels {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    /// Those of a node, of which there may be none.
    fn of_node(&self, name: &str) -> BTreeMap<String, String> {
        let node = self.objects.cached::<Node>("", name);
        let mut labels = node.map(|node| node.metadata.labels).unwrap_or_default();
        labels.retain(|key, _| LABELS.contains(&key.as_str()));
        labels
    }
}

impl Plugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("", "pods", "")
            && let Some(pod) = review.object_as_mut::<Pod>()
            && !pod.spec.node_name.is_empty()
        {
            pod.metadata.labels.extend(self.of_node(&pod.spec.node_name));
        }
        // The pod takes over what labels its binding has.
        if attributes.is("", "pods", "binding")
            && let Some(binding) = review.object_as_mut::<Binding>()
            && binding.target.kind == "Node"
        {
            let labels = self.of_node(&binding.target.name);
            binding.metadata.labels.extend(labels);
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use auth::objects::MemoryObjects;

    use super::*;
    use crate::testing::{Request, from_json};

    #[tokio::test]
    async fn pods_of_a_node_bear_its_topology() {
        let objects = Arc::new(MemoryObjects::new());
        objects.insert::<Node>(from_json(
            r#"{"metadata":{"name":"n","labels":{"topology.kubernetes.io/zone":"z","other":"x"}}}"#,
        ));
        let plugin = PodTopologyLabels::new(objects);
        let check = async |json: &str, expected: &[(&str, &str)]| {
            let mut pod: Pod = from_json(json);
            Request::create()
                .run(&plugin, Some(&mut pod), None)
                .await
                .unwrap();
            let labels: Vec<(&str, &str)> = pod
                .metadata
                .labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect();
            assert_eq!(labels, expected);
        };
        check(
            r#"{"spec":{"nodeName":"n"}}"#,
            &[("topology.kubernetes.io/zone", "z")],
        )
        .await;
        check(r#"{"spec":{"nodeName":"gone"}}"#, &[]).await;
        check("{}", &[]).await;
    }
}
