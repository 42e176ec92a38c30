//! Liveness and readiness: which checks stand behind `/livez`, `/readyz` and `/healthz`.

use std::sync::Arc;

use component_base::health::{Checks, Latch};
use component_base::shutdown::Shutdown;
use futures_util::FutureExt;
use storage::Store;

/// What must have happened once after the start; upstream's names of those that there are.
pub const POST_START_HOOKS: &[&str] = &[
    "generic-apiserver-start-informers",
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller",
    "start-legacy-token-tracking-controller",
    "start-service-ip-repair-controllers",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "bootstrap-controller",
    "start-kubernetes-service-cidr-controller",
];

/// The three endpoints.
pub struct Health {
    pub livez: Checks,
    pub readyz: Checks,
    pub healthz: Checks,
    hooks: Vec<(&'static str, Latch)>,
}

impl Health {
    /// The checks of a server over this store.
    pub fn new(store: &Arc<dyn Store>, shutdown: &Shutdown) -> Health {
        let hooks: Vec<(&'static str, Latch)> = POST_START_HOOKS
            .iter()
            .map(|name| (*name, Latch::default()))
            .collect();
        let endpoint = |name: &str| {
            let mut checks = Checks::new(name);
            let store = store.clone();
            checks.add("etcd", move || match store.current_revision().now_or_never() {
                // A store that must ask others answers later: reads report its failures.
                None | Some(Ok(_)) => Ok(()),
                Some(Err(error)) => Err(error.to_string()),
            });
            for (hook, latch) in &hooks {
                checks.add_latch(&format!("poststarthook/{hook}"), latch);
            }
            checks
        };
        let (livez, mut readyz, healthz) = (endpoint("livez"), endpoint("readyz"), endpoint("healthz"));
        let shutdown = shutdown.clone();
        readyz.add("shutdown", move || {
            if shutdown.is_triggered() {
                Err("process is shutting down".to_owned())
            } else {
                Ok(())
            }
        });
        Health {
            livez,
            readyz,
            healthz,
            hooks,
        }
    }

    /// A post-start hook is through.
    pub fn done(&self, hook: &str) {
        for (_, latch) in self.hooks.iter().filter(|(name, _)| *name == hook) {
            latch.open();
        }
    }
}
