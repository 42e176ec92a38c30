//! The API objects that pods refer to: config maps, secrets, service account tokens, services.
//!
//! - [`Objects`] is what the rest of the kubelet asks.
//! - [`Detached`] answers for a kubelet without an API server.
//! - [`watched`] follows each referenced object with a watch of its own, so that changes arrive without polling.
//! - [`tokens`] requests tokens and renews them in time.
//!
//! Upstream: `pkg/kubelet/{configmap,secret,token}`, `util/manager`.

pub mod tokens;
pub mod watched;

use crate::env::build::Missing;
use api::core::v1::{ConfigMap, Pod, Secret, ServiceAccountTokenProjection};
use futures_util::future::BoxFuture;
use std::{collections::BTreeMap, sync::Arc};

pub trait Objects: Send + Sync {
    /// From now on the pod's references matter; called on every change of the pod.
    fn register(&self, pod: &Pod);
    /// The pod is gone.
    fn unregister(&self, pod: &Pod);
    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ConfigMap>, Missing>>;
    fn secret<'a>(&'a self, namespace: &'a str, name: &'a str)
    -> BoxFuture<'a, Result<Arc<Secret>, Missing>>;
    fn token<'a>(
        &'a self,
        pod: &'a Pod,
        projection: &'a ServiceAccountTokenProjection,
    ) -> BoxFuture<'a, Result<String, String>>;
    /// The runtime's own name for a RuntimeClass.
    fn runtime_handler<'a>(&'a self, class: &'a str) -> BoxFuture<'a, Result<String, String>>;
    /// The variables that announce services to the pod; fails until services are known.
    fn service_variables(&self, pod: &Pod) -> Result<BTreeMap<String, String>, String>;
}

/// Without an API server only static pods run, and they can refer to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Detached;

fn no_client(kind: &str, namespace: &str, name: &str) -> Missing {
    Missing::Failed(format!(
        "couldn't get {kind} {namespace}/{name}, no kubeClient defined"
    ))
}

impl Objects for Detached {
    fn register(&self, _: &Pod) {}

    fn unregister(&self, _: &Pod) {}

    fn config_map<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<ConfigMap>, Missing>> {
        Box::pin(std::future::ready(Err(no_client("configMap", namespace, name))))
    }

    fn secret<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Secret>, Missing>> {
        Box::pin(std::future::ready(Err(no_client("secret", namespace, name))))
    }

    fn token<'a>(
        &'a self,
        _: &'a Pod,
        _: &'a ServiceAccountTokenProjection,
    ) -> BoxFuture<'a, Result<String, String>> {
        let message = "cannot use TokenManager when kubelet is in standalone mode";
        Box::pin(std::future::ready(Err(message.to_owned())))
    }

    fn runtime_handler<'a>(&'a self, class: &'a str) -> BoxFuture<'a, Result<String, String>> {
        let message = format!("failed to get RuntimeClass {class:?}: no kubeClient defined");
        Box::pin(std::future::ready(Err(message)))
    }

    fn service_variables(&self, _: &Pod) -> Result<BTreeMap<String, String>, String> {
        Ok(BTreeMap::new())
    }
}
