//! Pods that bear the finalizer and have no job that counts them any more: without it they can go.

use api::Kind;
use api::batch::v1::Job;
use api::core::v1::Pod;
use client::{Client, Error};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::ownership::controller_of;
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;

use super::plan::is_finished;
use super::pods::is_tracked;
use super::{drop_finalizer, is_ours};

pub(super) struct Orphans {
    client: Client,
    jobs: Store<Job>,
    pods: Store<Pod>,
}

impl Orphans {
    pub fn new(context: &Context, jobs: Store<Job>, pods: Store<Pod>) -> Orphans {
        Orphans {
            client: context.client.clone(),
            jobs,
            pods,
        }
    }

    /// Whether nobody is going to count the pod.
    async fn is_orphan(&self, pod: &Pod) -> Result<bool, Error> {
        let Some(reference) = controller_of(&pod.metadata) else {
            return Ok(true);
        };
        if reference.kind != Job::KIND {
            return Ok(false);
        }
        let is_it = |job: &Job| job.metadata.uid == reference.uid;
        let is_over = |job: &Job| !is_it(job) || (is_ours(job) && is_finished(job));
        let key = ObjectKey::new(&pod.metadata.namespace, &reference.name);
        if let Some(job) = self.jobs.get(&key).filter(|job| is_it(job)) {
            return Ok(is_over(&job));
        }
        // The pod may be known before its job is.
        match self
            .client
            .api::<Job>()
            .namespace(&key.namespace)
            .get(&key.name)
            .await
        {
            Ok(job) => Ok(is_over(&job)),
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Reconcile<ObjectKey> for Orphans {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(pod) = self.pods.get(key).filter(|pod| is_tracked(pod)) else {
                return Ok(Outcome::Done);
            };
            if self.is_orphan(&pod).await? {
                let api = self.client.api::<Pod>().namespace(&key.namespace);
                drop_finalizer(&api, &pod).await?;
            }
            Ok(Outcome::Done)
        })
    }
}
