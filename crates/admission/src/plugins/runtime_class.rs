//! A pod's runtime class exists, and its overhead and scheduling become the pod's.

use std::sync::Arc;

use api::core::v1::{Pod, Toleration};
use api::node::v1::RuntimeClass;
use apimachinery::status::Status;
use auth::Objects;

use crate::plugin::{Outcome, pass};
use crate::{Attributes, Operation, Plugin, Review};

const OVERHEAD_DIFFERS: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
const OVERHEAD_ALONE: &str =
    "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

pub struct RuntimeClassPlugin {
    objects: Arc<dyn Objects>,
}

impl RuntimeClassPlugin {
    pub fn new(objects: Arc<dyn Objects>) -> Self {
        Self { objects }
    }

    async fn class(
        &self,
        attributes: &Attributes<'_>,
        pod: &Pod,
    ) -> Result<Option<Box<RuntimeClass>>, Status> {
        let Some(name) = &pod.spec.runtime_class_name else {
            return Ok(None);
        };
        match self.objects.find::<RuntimeClass>("", name).await? {
            Some(class) => Ok(Some(class)),
            None => Err(attributes.forbidden(
                Some(pod),
                format!("pod rejected: RuntimeClass {name:?} not found"),
            )),
        }
    }

    async fn set(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(pod) = review.object_as_mut::<Pod>() else {
            return Ok(());
        };
        let Some(class) = self.class(attributes, pod).await? else {
            return Ok(());
        };
        if let Some(overhead) = &class.overhead {
            if !pod.spec.overhead.is_empty() && pod.spec.overhead != overhead.pod_fixed {
                return Err(attributes.forbidden(Some(pod), OVERHEAD_DIFFERS));
            }
            pod.spec.overhead = overhead.pod_fixed.clone();
        }
        let Some(scheduling) = &class.scheduling else {
            return Ok(());
        };
        for (key, value) in &scheduling.node_selector {
            match pod.spec.node_selector.get(key) {
                Some(own) if own != value => {
                    let message = format!(
                        "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}"
                    );
                    return Err(attributes.forbidden(Some(pod), message));
                }
                _ => drop(pod.spec.node_selector.insert(key.clone(), value.clone())),
            }
        }
        pod.spec.tolerations = merge(std::mem::take(&mut pod.spec.tolerations), &scheduling.tolerations);
        Ok(())
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let Some(pod) = review.object_as::<Pod>() else {
            return Ok(());
        };
        let class = self.class(attributes, pod).await?;
        match class.as_ref().and_then(|class| class.overhead.as_ref()) {
            Some(overhead) if overhead.pod_fixed != pod.spec.overhead => {
                Err(attributes.forbidden(Some(pod), OVERHEAD_DIFFERS))
            }
            None if !pod.spec.overhead.is_empty() => Err(attributes.forbidden(Some(pod), OVERHEAD_ALONE)),
            _ => Ok(()),
        }
    }
}

/// Both lists, without those that another one covers.
fn merge(first: Vec<Toleration>, second: &[Toleration]) -> Vec<Toleration> {
    let all: Vec<Toleration> = first.into_iter().chain(second.iter().cloned()).collect();
    let mut merged: Vec<Toleration> = Vec::new();
    for (index, toleration) in all.iter().enumerate() {
        let by_earlier = merged.iter().any(|other| covers(other, toleration));
        let by_later = all[index + 1..]
            .iter()
            .any(|other| other != toleration && covers(other, toleration));
        if !by_earlier && !by_later {
            merged.push(toleration.clone());
        }
    }
    merged
}

/// Does `wide` tolerate all that `narrow` does?
fn covers(wide: &Toleration, narrow: &Toleration) -> bool {
    let value = wide.operator == "Exists" || (wide.value == narrow.value && narrow.operator != "Exists");
    let key = wide.key == narrow.key || (wide.key.is_empty() && wide.operator == "Exists");
    let effect = wide.effect == narrow.effect || wide.effect.is_empty();
    // Only NoExecute has an end; without seconds it never comes.
    let seconds = match (wide.toleration_seconds, narrow.toleration_seconds) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => wide >= narrow,
    };
    wide == narrow || (value && key && effect && seconds)
}

impl Plugin for RuntimeClassPlugin {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("", "pods", "") {
            Box::pin(self.set(attributes, review))
        } else {
            pass()
        }
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is("", "pods", "") {
            Box::pin(self.check(attributes, review))
        } else {
            pass()
        }
    }
}

#[cfg(test)]
mod tests {
    use auth::objects::MemoryObjects;

    use super::*;
    use crate::testing::{Request, from_json, told};

    async fn check(spec: &str, expected: &str) {
        let objects = Arc::new(MemoryObjects::new());
        objects.insert::<RuntimeClass>(from_json(
            r#"{"metadata":{"name":"vm"},"overhead":{"podFixed":{"cpu":"100m"}},
                "scheduling":{"nodeSelector":{"vm":"yes"},"tolerations":[{"key":"vm","operator":"Exists"}]}}"#,
        ));
        let mut pod: Pod = from_json(&format!(r#"{{"metadata":{{"name":"p"}},"spec":{{{spec}}}}}"#));
        let outcome = Request::create()
            .run(&RuntimeClassPlugin::new(objects), Some(&mut pod), None)
            .await;
        let spec = &pod.spec;
        let told = match told(&outcome) {
            "ok" => format!(
                "{:?} {:?} {}",
                spec.overhead.keys().collect::<Vec<_>>(),
                spec.node_selector,
                spec.tolerations.len()
            ),
            refusal => refusal.to_owned(),
        };
        assert!(told.ends_with(expected), "{told}");
    }

    #[tokio::test]
    async fn a_pod_takes_over_what_its_class_says() {
        check(r#""runtimeClassName":"vm""#, r#"["cpu"] {"vm": "yes"} 1"#).await;
        let covered =
            r#""runtimeClassName":"vm","tolerations":[{"key":"vm","operator":"Equal","value":"a"}]"#;
        check(covered, r#"["cpu"] {"vm": "yes"} 1"#).await;
        check("", "[] {} 0").await;
        check(
            r#""runtimeClassName":"none""#,
            r#"pod rejected: RuntimeClass "none" not found"#,
        )
        .await;
        check(
            r#""runtimeClassName":"vm","overhead":{"cpu":"1"}"#,
            OVERHEAD_DIFFERS,
        )
        .await;
        check(r#""overhead":{"cpu":"1"}"#, OVERHEAD_ALONE).await;
        let conflict =
            "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no";
        check(r#""runtimeClassName":"vm","nodeSelector":{"vm":"no"}"#, conflict).await;
    }
}
