//! A node is born not ready, so that nothing is scheduled onto it before its first report.

use api::core::v1::{Node, Taint};

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

pub struct TaintNodesByCondition;

impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("", "nodes", "")
            && let Some(node) = review.object_as_mut::<Node>()
            && !node
                .spec
                .taints
                .iter()
                .any(|taint| taint.key == NOT_READY && taint.effect == NO_SCHEDULE)
        {
            let taint = Taint {
                key: NOT_READY.to_owned(),
                effect: NO_SCHEDULE.to_owned(),
                ..Taint::default()
            };
            node.spec.taints.push(taint);
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Request, from_json};

    #[tokio::test]
    async fn a_new_node_is_tainted_once() {
        let mut node: Node = from_json(r#"{"metadata":{"name":"a"}}"#);
        for _ in 0..2 {
            Request::create()
                .run(&TaintNodesByCondition, Some(&mut node), None)
                .await
                .unwrap();
            assert_eq!(node.spec.taints.len(), 1);
        }
    }
}
