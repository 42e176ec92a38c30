//! Publishes the cluster's certificate authority in every namespace, for pods to trust the API server by.
//!
//! Upstream: pkg/controller/certificates/rootcacertpublisher

use std::sync::Arc;

use api::core::v1::{ConfigMap, Namespace};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;

use crate::service_account::is_active;

const NAME: &str = "root_ca_cert_publisher";
const WORKERS: usize = 1;
pub const CONFIG_MAP: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const DESCRIPTION_TEXT: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using \
    internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed \
    across distributions of Kubernetes clusters.";

/// Runs the controller until shutdown. `bundle` is the authorities' certificates in PEM.
pub async fn run(context: Context, bundle: String) {
    let namespaces = context.informers.of::<Namespace>();
    let config_maps = context.informers.of::<ConfigMap>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    namespaces.add_handler(move |event| {
        if !event.is_deleted() {
            own.add(event.object().metadata.name.clone());
        }
    });
    let touched = queue.clone();
    config_maps.add_handler(move |event| {
        let metadata = &event.object().metadata;
        if metadata.name == CONFIG_MAP {
            touched.add(metadata.namespace.clone());
        }
    });
    let controller = Controller {
        namespaces: namespaces.store(),
        config_maps: config_maps.store(),
        bundle,
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    namespaces: Store<Namespace>,
    config_maps: Store<ConfigMap>,
    bundle: String,
}

/// The config map as it should be, unless it is so already.
fn wanted(namespace: &str, bundle: &str, current: Option<&ConfigMap>) -> Option<ConfigMap> {
    let mut wanted = current.cloned().unwrap_or_default();
    wanted.metadata.name = CONFIG_MAP.into();
    wanted.metadata.namespace = namespace.into();
    wanted
        .metadata
        .annotations
        .insert(DESCRIPTION.into(), DESCRIPTION_TEXT.into());
    wanted.data = [(KEY.to_owned(), bundle.to_owned())].into();
    (Some(&wanted) != current).then_some(wanted)
}

impl Reconcile<String> for Controller {
    fn reconcile<'a>(&'a self, namespace: &'a String) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            if !self
                .namespaces
                .get(&ObjectKey::cluster(namespace))
                .is_some_and(|n| is_active(&n))
            {
                return Ok(Outcome::Done);
            }
            let current = self.config_maps.get(&ObjectKey::new(namespace, CONFIG_MAP));
            let Some(wanted) = wanted(namespace, &self.bundle, current.as_deref()) else {
                return Ok(Outcome::Done);
            };
            let api = self.context.client.api::<ConfigMap>().namespace(namespace);
            let outcome = match current {
                Some(_) => api.update(&wanted).await,
                None => api.create(&wanted).await,
            };
            match outcome {
                // Ours from a moment ago: the cache will show it.
                Err(error) if error.is_already_exists() => {}
                Err(error) if error.is_namespace_terminating() || error.is_not_found() => {}
                outcome => drop(outcome?),
            }
            Ok(Outcome::Done)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restored_when_it_differs() {
        let made = wanted("ns", "PEM", None).expect("missing");
        assert_eq!(wanted("ns", "PEM", Some(&made)), None);
        let mut spoiled = made.clone();
        spoiled.data.insert("more".into(), "x".into());
        assert_eq!(wanted("ns", "PEM", Some(&spoiled)), Some(made.clone()));
        assert_eq!(
            wanted("ns", "NEW", Some(&made)).expect("rotated").data[KEY],
            "NEW"
        );
    }
}
