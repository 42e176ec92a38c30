//! Makes the volume claims that pods bring with them (KEP-1698). They go with their pod, by garbage collection.
//!
//! Upstream: pkg/controller/volume/ephemeral

use std::sync::Arc;

use api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimTemplate, Pod};
use component_base::metrics::IntCounter;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::ownership::controller_ref;
use controller_runtime::{Context, Event, ObjectKey, Recorder, Store};
use futures_util::future::BoxFuture;

use crate::pod_claims;

const NAME: &str = "ephemeral_volume";

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let pods = context.informers.of::<Pod>();
    let claims = context.informers.of::<PersistentVolumeClaim>();
    pod_claims::add_index(&pods.store());
    let queue = context.queue(NAME);
    let own = queue.clone();
    pods.add_handler(move |event| {
        // What a pod's volumes are is said when it is created.
        if let Event::Added(pod) = event
            && concerns(pod)
        {
            own.add(ObjectKey::of(&pod.metadata));
        }
    });
    let (store, own) = (pods.store(), queue.clone());
    claims.add_handler(move |event| {
        if event.is_deleted() {
            let users = pod_claims::users(&store, &ObjectKey::of(&event.object().metadata));
            users
                .iter()
                .filter(|pod| concerns(pod))
                .for_each(|pod| own.add(ObjectKey::of(&pod.metadata)));
        }
    });
    let counter = |name: &str, help: &str| {
        context
            .metrics
            .counter(&format!("ephemeral_volume_controller_{name}"), help)
    };
    let controller = Controller {
        pods: pods.store(),
        claims: claims.store(),
        recorder: context.recorder.for_component(NAME),
        attempts: counter(
            "create_total",
            "Number of PersistentVolumeClaim creation requests",
        ),
        failures: counter(
            "create_failures_total",
            "Number of PersistentVolumeClaim creation requests that failed",
        ),
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

fn concerns(pod: &Pod) -> bool {
    let mut volumes = pod.spec.volumes.iter();
    pod.metadata.deletion_timestamp.is_none()
        && volumes.any(|volume| volume.volume_source.ephemeral.is_some())
}

struct Controller {
    context: Context,
    recorder: Recorder,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
    attempts: IntCounter,
    failures: IntCounter,
}

/// What becomes of one volume. Pure.
#[derive(Debug, PartialEq)]
enum Step {
    Nothing,
    Create(Box<PersistentVolumeClaim>),
    Refuse(String),
}

fn plan(
    pod: &Pod,
    name: &str,
    template: &PersistentVolumeClaimTemplate,
    present: Option<&PersistentVolumeClaim>,
) -> Step {
    let namespace = &pod.metadata.namespace;
    match present {
        Some(claim) if pod_claims::is_made_for(claim, pod) => Step::Nothing,
        Some(_) => Step::Refuse(format!(
            "PVC {namespace}/{name} was not created for pod {namespace}/{} (pod is not owner)",
            pod.metadata.name
        )),
        None => {
            let mut claim = PersistentVolumeClaim::default();
            claim.metadata.name = name.to_owned();
            claim.metadata.namespace = namespace.clone();
            claim.metadata.owner_references = vec![controller_ref(pod)];
            claim.metadata.labels = template.metadata.labels.clone();
            claim.metadata.annotations = template.metadata.annotations.clone();
            claim.spec = template.spec.clone();
            Step::Create(Box::new(claim))
        }
    }
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(pod) = self.pods.get(key).filter(|pod| concerns(pod)) else {
                return Ok(Outcome::Done);
            };
            for volume in &pod.spec.volumes {
                let template = volume.volume_source.ephemeral.as_ref();
                let Some(template) = template.and_then(|source| source.volume_claim_template.as_ref()) else {
                    continue;
                };
                let name = pod_claims::ephemeral_claim(&pod, volume);
                if let Err(why) = self.provide(&pod, &name, template).await {
                    let message = format!("ephemeral volume {}: {why}", volume.name);
                    self.recorder
                        .event(&*pod, EventType::Warning, "FailedBinding", message.clone());
                    return Err(format!("pod {key}, {message}").into());
                }
            }
            Ok(Outcome::Done)
        })
    }
}

impl Controller {
    async fn provide(
        &self,
        pod: &Pod,
        name: &str,
        template: &PersistentVolumeClaimTemplate,
    ) -> Result<(), String> {
        let namespace = &pod.metadata.namespace;
        let present = self.claims.get(&ObjectKey::new(namespace, name));
        let claim = match plan(pod, name, template, present.as_deref()) {
            Step::Nothing => return Ok(()),
            Step::Refuse(why) => return Err(why),
            Step::Create(claim) => claim,
        };
        self.attempts.inc();
        let claims = self.context.client.api::<PersistentVolumeClaim>();
        match claims.namespace(namespace).create(&claim).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.failures.inc();
                Err(format!("create PVC {name}: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use api::Message;

    use super::*;

    #[test]
    fn a_claim_is_made_for_the_pod_and_no_other_taken() {
        let json = br#"{"metadata":{"name":"p","namespace":"ns","uid":"1"},"spec":{"volumes":[{"name":"v","ephemeral":
            {"volumeClaimTemplate":{"metadata":{"labels":{"a":"b"}},"spec":{"storageClassName":"fast"}}}}]}}"#;
        let pod = Pod::from_json(json).expect("well-formed");
        let volume = &pod.spec.volumes[0];
        let template = volume.volume_source.ephemeral.as_ref().expect("ephemeral");
        let template = template.volume_claim_template.as_ref().expect("a template");
        let name = pod_claims::ephemeral_claim(&pod, volume);
        assert_eq!(name, "p-v");
        let Step::Create(claim) = plan(&pod, &name, template, None) else {
            panic!("no claim");
        };
        assert_eq!(claim.metadata.labels["a"], "b");
        assert_eq!(claim.spec.storage_class_name.as_deref(), Some("fast"));
        assert_eq!(plan(&pod, &name, template, Some(&claim)), Step::Nothing);
        let mut foreign = claim;
        foreign.metadata.owner_references.clear();
        let refused = "PVC ns/p-v was not created for pod ns/p (pod is not owner)";
        assert_eq!(
            plan(&pod, &name, template, Some(&foreign)),
            Step::Refuse(refused.into())
        );
    }
}
