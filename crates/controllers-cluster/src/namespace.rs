//! Empties namespaces that are being deleted, then lets them go.
//!
//! [`content`] deletes one resource's objects; [`conditions`] tells users what is left.
//!
//! Upstream: pkg/controller/namespace

pub mod conditions;
mod content;

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Namespace;
use apimachinery::time::Time;
use client::discovery::{self, Discovered, ServedResource};
use client::{Client, Error};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;

use conditions::Findings;

const NAME: &str = "namespace";
/// The finalizer that says "not emptied yet".
const FINALIZER: &str = "kubernetes";
/// A little time for informers of admission plugins to learn that the namespace is going, so that nothing slips in.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the controller until shutdown.
pub async fn run(context: Context, workers: usize) {
    let namespaces = context.informers.of::<Namespace>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    namespaces.add_handler(move |event| {
        let namespace = event.object();
        let going = namespace.metadata.deletion_timestamp.is_some();
        if !event.is_deleted() && going && !is_finalized(namespace) {
            own.add_after(namespace.metadata.name.clone(), GRACE);
        }
    });
    let controller = Controller {
        namespaces: namespaces.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

fn is_finalized(namespace: &Namespace) -> bool {
    namespace.spec.finalizers.is_empty()
}

struct Controller {
    context: Context,
    namespaces: Store<Namespace>,
}

impl Reconcile<String> for Controller {
    fn reconcile<'a>(&'a self, name: &'a String) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            if self.namespaces.get(&ObjectKey::cluster(name)).is_none() {
                return Ok(Outcome::Done);
            }
            match self.empty(name).await {
                // Gone meanwhile, which is what we want.
                Err(driver) if is_not_found(&driver) => Ok(Outcome::Done),
                outcome => outcome,
            }
        })
    }
}

fn is_not_found(error: &driver::Error) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_not_found)
}

impl Controller {
    async fn empty(&self, name: &str) -> Result<Outcome, driver::Error> {
        let api = self.context.client.api::<Namespace>();
        let mut namespace = api.get(name).await?;
        let Some(deleted_at) = namespace.metadata.deletion_timestamp else {
            return Ok(Outcome::Done);
        };
        if is_finalized(&namespace) {
            return Ok(Outcome::Done);
        }
        if namespace.status.phase != "Terminating" {
            namespace.status.phase = "Terminating".into();
            namespace = api.update_status(&namespace).await?;
        }
        let findings = self.delete_content(name, deleted_at).await;
        let now = Time(self.context.clock.now());
        if conditions::apply(&mut namespace.status, &findings, now) {
            namespace = api.update_status(&namespace).await?;
        }
        if let Some(error) = findings.first_error() {
            return Err(format!("cannot delete all content of namespace {name}: {error}").into());
        }
        if let Some(estimate) = findings.estimate() {
            // Half of it at most: what is left may be faster than its grace period.
            return Ok(Outcome::RequeueAfter(Duration::from_secs(estimate / 2 + 1)));
        }
        namespace
            .spec
            .finalizers
            .retain(|finalizer| finalizer != FINALIZER);
        api.update_subresource(name, "finalize", &namespace).await?;
        Ok(Outcome::Done)
    }

    async fn delete_content(&self, name: &str, deleted_at: Time) -> Findings {
        let mut findings = Findings::default();
        let client: &Client = &self.context.client;
        let discovered = match discovery::preferred_resources(client).await {
            Ok(discovered) => discovered,
            Err(error) => {
                findings.discovery_failed(error.to_string());
                return findings;
            }
        };
        if !discovered.stale_groups.is_empty() {
            findings.discovery_failed(format!("stale groups: {}", discovered.stale_groups.join(", ")));
        }
        let elapsed = self.context.clock.now().as_second() - deleted_at.timestamp().as_second();
        let (pods, others) = deletable(discovered);
        for resource in pods {
            content::delete(client, &resource, name, elapsed, &mut findings).await;
        }
        // Pods first: what they use (network policies, secrets) must outlive them.
        if findings.has_remaining() {
            return findings;
        }
        for resource in others {
            content::delete(client, &resource, name, elapsed, &mut findings).await;
        }
        findings
    }
}

/// The namespaced resources whose objects can be deleted, pods apart from the others.
fn deletable(discovered: Discovered) -> (Vec<ServedResource>, Vec<ServedResource>) {
    let deletable = discovered
        .resources
        .into_iter()
        .filter(|resource| resource.namespaced && resource.supports(&["delete"]));
    deletable.partition(|resource| resource.gvr.group.is_empty() && resource.gvr.resource == "pods")
}
