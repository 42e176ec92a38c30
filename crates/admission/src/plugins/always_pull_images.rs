//! Every pod pulls its images anew, so that the pull secrets of one pod do not serve another.

use api::core::v1::{Pod, PodSpec};
use apimachinery::field::{Error, Path};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;

use crate::plugin::{Outcome, done, pass};
use crate::{Attributes, Operation, Plugin, Review};

const ALWAYS: &str = "Always";

pub struct AlwaysPullImages;

fn policies(spec: &mut PodSpec) -> impl Iterator<Item = &mut String> {
    let containers = spec.init_containers.iter_mut().chain(&mut spec.containers);
    let ephemeral = spec
        .ephemeral_containers
        .iter_mut()
        .map(|container| &mut container.ephemeral_container_common);
    containers
        .map(|container| &mut container.image_pull_policy)
        .chain(ephemeral.map(|common| &mut common.image_pull_policy))
}

fn check(pod: &Pod) -> Result<(), Status> {
    let spec = &pod.spec;
    let named = |list: &'static str, policies: Vec<&str>| {
        let wrong = policies
            .into_iter()
            .enumerate()
            .filter(|(_, policy)| *policy != ALWAYS)
            .map(|(index, policy)| (index, policy.to_owned()));
        wrong
            .map(move |(index, policy)| {
                let path = Path::new("spec")
                    .child(list)
                    .index(index)
                    .child("imagePullPolicy");
                Error::not_supported(&path, policy, &[ALWAYS])
            })
            .collect::<Vec<_>>()
    };
    let mut errors = named(
        "initContainers",
        spec.init_containers
            .iter()
            .map(|c| c.image_pull_policy.as_str())
            .collect(),
    );
    errors.extend(named(
        "containers",
        spec.containers
            .iter()
            .map(|c| c.image_pull_policy.as_str())
            .collect(),
    ));
    let ephemeral = spec
        .ephemeral_containers
        .iter()
        .map(|c| c.ephemeral_container_common.image_pull_policy.as_str());
    errors.extend(named("ephemeralContainers", ephemeral.collect()));
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind {
        group: String::new(),
        kind: "Pod".to_owned(),
    };
    Err(Status::invalid(&kind, &pod.metadata.name, errors))
}

fn concerns(attributes: &Attributes<'_>) -> bool {
    attributes.is("", "pods", "") || attributes.is("", "pods", "ephemeralcontainers")
}

impl Plugin for AlwaysPullImages {
    fn name(&self) -> &'static str {
        "AlwaysPullImages"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if concerns(attributes)
            && let Some(pod) = review.object_as_mut::<Pod>()
        {
            policies(&mut pod.spec).for_each(|policy| ALWAYS.clone_into(policy));
        }
        pass()
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        match review.object_as::<Pod>() {
            Some(pod) if concerns(attributes) => done(check(pod)),
            _ => pass(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Request, from_json};

    #[tokio::test]
    async fn policies_are_set_and_a_later_change_is_refused() {
        let json = r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"a","imagePullPolicy":"IfNotPresent"}]}}"#;
        let mut pod: Pod = from_json(json);
        let message = check(&pod).unwrap_err().message;
        assert!(
            message.contains(r#"spec.containers[0].imagePullPolicy: Unsupported value: "IfNotPresent""#),
            "{message}"
        );
        Request::create()
            .run(&AlwaysPullImages, Some(&mut pod), None)
            .await
            .unwrap();
        assert_eq!(pod.spec.containers[0].image_pull_policy, ALWAYS);
    }
}
