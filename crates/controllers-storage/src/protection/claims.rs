//! Claims are used by the pods that a kubelet may run.
//!
//! Claims of a namespace are looked at together: that no pod uses them is asked of the server, and one answer is good
//! for all of them.

use std::sync::Arc;

use api::core::v1::{PersistentVolumeClaim, Pod};
use api::pod_conditions::is_terminal;
use client::{Error, ListParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, ObjectKey, Store};
use futures_util::future::BoxFuture;

use super::{Step, add, remove, step};
use crate::pod_claims;

const NAME: &str = "pvcprotection";
const FINALIZER: &str = "kubernetes.io/pvc-protection";
/// Pods a page of the live list.
const PAGE: u32 = 500;

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let pods = context.informers.of::<Pod>();
    let claims = context.informers.of::<PersistentVolumeClaim>();
    pod_claims::add_index(&pods.store());
    let queue = context.queue(NAME);
    let own = queue.clone();
    claims.add_handler(move |event| {
        let metadata = &event.object().metadata;
        if !event.is_deleted() && step(metadata, FINALIZER) != Step::Nothing {
            own.add(metadata.namespace.clone());
        }
    });
    let (store, own) = (claims.store(), queue.clone());
    pods.add_handler(move |event| {
        let released = match event {
            // Another pod of the same name hides that the first one went.
            Event::Updated { old, new } if old.metadata.uid != new.metadata.uid => Some(old),
            Event::Deleted(pod) => Some(pod),
            event => Some(event.object()).filter(|pod| is_terminal(pod) || pod.spec.node_name.is_empty()),
        };
        let waits = |claim: ObjectKey| {
            let claim = store.get(&claim);
            claim.is_some_and(|claim| step(&claim.metadata, FINALIZER) == Step::RemoveIfUnused)
        };
        if let Some(pod) = released.filter(|pod| pod_claims::claims(pod).any(waits)) {
            own.add(pod.metadata.namespace.clone());
        }
    });
    let controller = Controller {
        pods: pods.store(),
        claims: claims.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, 1, Arc::new(controller)).await;
}

/// Does the pod keep the claim? A pod that isn't scheduled doesn't: no kubelet starts one whose claim is going.
fn uses(pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    // The kubelet is done with it, or it was forced: its own claims needn't wait for whatever else keeps it.
    let is_shut_down =
        pod.metadata.deletion_timestamp.is_some() && pod.metadata.deletion_grace_period_seconds == Some(0);
    !pod.spec.node_name.is_empty()
        && pod.spec.volumes.iter().any(|volume| {
            let names_it = pod_claims::claim_of(pod, volume).as_ref() == Some(&claim.metadata.name);
            let is_ephemeral = volume.volume_source.ephemeral.is_some();
            names_it && (!is_ephemeral || (!is_shut_down && pod_claims::is_made_for(claim, pod)))
        })
}

struct Controller {
    context: Context,
    pods: Store<Pod>,
    claims: Store<PersistentVolumeClaim>,
}

impl Reconcile<String> for Controller {
    fn reconcile<'a>(&'a self, namespace: &'a String) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let mut live = None;
            let mut failure = None;
            for claim in self.claims.namespace(namespace) {
                if let Err(error) = self.sync(&claim, &mut live).await {
                    failure = Some(error);
                }
            }
            match failure {
                Some(error) => Err(error.into()),
                None => Ok(Outcome::Done),
            }
        })
    }
}

impl Controller {
    async fn sync(&self, claim: &PersistentVolumeClaim, live: &mut Option<Vec<Pod>>) -> Result<(), Error> {
        let client = &self.context.client;
        match step(&claim.metadata, FINALIZER) {
            Step::Nothing => Ok(()),
            Step::Add => add(client, claim, FINALIZER).await,
            Step::RemoveIfUnused if self.is_used(claim, live).await? => Ok(()),
            Step::RemoveIfUnused => remove(client, claim, FINALIZER).await,
        }
    }

    /// The cache tells of users cheaply; that there are none, only the server can.
    async fn is_used(
        &self,
        claim: &PersistentVolumeClaim,
        live: &mut Option<Vec<Pod>>,
    ) -> Result<bool, Error> {
        let cached = pod_claims::users(&self.pods, &ObjectKey::of(&claim.metadata));
        if cached.iter().any(|pod| uses(pod, claim)) {
            return Ok(true);
        }
        if live.is_none() {
            let pods = self.context.client.api::<Pod>();
            let pods = pods.namespace(&claim.metadata.namespace);
            *live = Some(pods.list_paged(&ListParams::default(), PAGE).await?.items);
        }
        Ok(live.iter().flatten().any(|pod| uses(pod, claim)))
    }
}

#[cfg(test)]
mod tests {
    use api::Message;

    use super::*;

    #[test]
    fn users_of_a_claim() {
        let claim = |owner: &str| {
            let mut claim = PersistentVolumeClaim::default();
            claim.metadata.name = "p-v".into();
            if !owner.is_empty() {
                claim.metadata.owner_references = vec![api::meta::v1::OwnerReference {
                    uid: owner.into(),
                    controller: Some(true),
                    ..Default::default()
                }];
            }
            claim
        };
        let check = |metadata: &str, spec: &str, owner: &str, expected: bool| {
            let json = format!(r#"{{"metadata":{{"name":"p","uid":"1"{metadata}}},"spec":{{{spec}}}}}"#);
            let pod = Pod::from_json(json.as_bytes()).expect("well-formed");
            assert_eq!(uses(&pod, &claim(owner)), expected, "{json}");
        };
        let named = r#""volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"p-v"}}]"#;
        let own = r#""volumes":[{"name":"v","ephemeral":{}}]"#;
        let gone = r#","deletionTimestamp":"2026-01-01T00:00:00Z","deletionGracePeriodSeconds":0"#;
        check("", &format!(r#"{named},"nodeName":"n""#), "", true);
        check("", named, "", false);
        check("", r#""nodeName":"n""#, "", false);
        check(gone, &format!(r#"{named},"nodeName":"n""#), "", true);
        check("", &format!(r#"{own},"nodeName":"n""#), "1", true);
        check("", &format!(r#"{own},"nodeName":"n""#), "2", false);
        check(gone, &format!(r#"{own},"nodeName":"n""#), "1", false);
    }
}
