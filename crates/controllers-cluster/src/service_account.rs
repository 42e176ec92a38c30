//! Makes the service account `default` in every namespace.
//!
//! Upstream: pkg/controller/serviceaccount/serviceaccounts_controller.go

use std::sync::Arc;

use api::core::v1::{Namespace, ServiceAccount};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, ObjectKey, Store};
use futures_util::future::BoxFuture;

const NAME: &str = "serviceaccount";
const WORKERS: usize = 1;
/// The account of pods that name none.
const DEFAULT: &str = "default";

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let namespaces = context.informers.of::<Namespace>();
    let accounts = context.informers.of::<ServiceAccount>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    namespaces.add_handler(move |event| {
        if !event.is_deleted() {
            own.add(event.object().metadata.name.clone());
        }
    });
    let deleted = queue.clone();
    accounts.add_handler(move |event| {
        if let Event::Deleted(account) = event {
            deleted.add(account.metadata.namespace.clone());
        }
    });
    let controller = Controller {
        namespaces: namespaces.store(),
        accounts: accounts.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    namespaces: Store<Namespace>,
    accounts: Store<ServiceAccount>,
}

impl Reconcile<String> for Controller {
    fn reconcile<'a>(&'a self, namespace: &'a String) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let active = self
                .namespaces
                .get(&ObjectKey::cluster(namespace))
                .is_some_and(|n| is_active(&n));
            if !active || self.accounts.get(&ObjectKey::new(namespace, DEFAULT)).is_some() {
                return Ok(Outcome::Done);
            }
            let mut account = ServiceAccount::default();
            account.metadata.name = DEFAULT.into();
            account.metadata.namespace = namespace.clone();
            let accounts = self.context.client.api::<ServiceAccount>().namespace(namespace);
            match accounts.create(&account).await {
                Err(error) if error.is_already_exists() || error.is_namespace_terminating() => {}
                // The namespace is gone: there is nothing left to furnish.
                Err(error) if error.is_not_found() => {}
                outcome => drop(outcome?),
            }
            Ok(Outcome::Done)
        })
    }
}

/// Whether a namespace takes new objects.
pub(crate) fn is_active(namespace: &Namespace) -> bool {
    namespace.status.phase != "Terminating" && namespace.metadata.deletion_timestamp.is_none()
}
