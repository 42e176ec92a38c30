//! Pods stay for a while on a node that is not ready or cannot be reached.

use api::core::v1::{Pod, Toleration};

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NO_EXECUTE: &str = "NoExecute";

pub struct DefaultTolerationSeconds {
    pub not_ready: i64,
    pub unreachable: i64,
}

impl DefaultTolerationSeconds {
    fn add(&self, pod: &mut Pod) {
        for (key, seconds) in [(NOT_READY, self.not_ready), (UNREACHABLE, self.unreachable)] {
            if !pod
                .spec
                .tolerations
                .iter()
                .any(|toleration| covers(toleration, key))
            {
                pod.spec.tolerations.push(Toleration {
                    key: key.to_owned(),
                    operator: "Exists".to_owned(),
                    effect: NO_EXECUTE.to_owned(),
                    toleration_seconds: Some(seconds),
                    ..Toleration::default()
                });
            }
        }
    }
}

/// An empty key stands for all taints, an empty effect for all effects.
fn covers(toleration: &Toleration, key: &str) -> bool {
    (toleration.key == key || toleration.key.is_empty())
        && (toleration.effect == NO_EXECUTE || toleration.effect.is_empty())
}

impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("", "pods", "")
            && let Some(pod) = review.object_as_mut::<Pod>()
        {
            self.add(pod);
        }
        pass()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Request, from_json};

    async fn check(tolerations: &str, expected: &str) {
        let mut pod: Pod = from_json(&format!(r#"{{"spec":{{"tolerations":[{tolerations}]}}}}"#));
        let plugin = DefaultTolerationSeconds {
            not_ready: 300,
            unreachable: 60,
        };
        Request::create()
            .run(&plugin, Some(&mut pod), None)
            .await
            .unwrap();
        let told: Vec<String> = pod
            .spec
            .tolerations
            .iter()
            .map(|toleration| format!("{}:{:?}", toleration.key, toleration.toleration_seconds))
            .collect();
        assert_eq!(told.join(" "), expected);
    }

    #[tokio::test]
    async fn tolerations_are_added_where_none_covers_the_taint() {
        check(
            "",
            "node.kubernetes.io/not-ready:Some(300) node.kubernetes.io/unreachable:Some(60)",
        )
        .await;
        let own = r#"{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute"}"#;
        check(
            own,
            "node.kubernetes.io/unreachable:None node.kubernetes.io/not-ready:Some(300)",
        )
        .await;
        check(r#"{"operator":"Exists"}"#, ":None").await;
        let other = r#"{"operator":"Exists","effect":"NoSchedule"}"#;
        check(
            other,
            ":None node.kubernetes.io/not-ready:Some(300) node.kubernetes.io/unreachable:Some(60)",
        )
        .await;
    }
}
