//! Liveness and readiness: which checks stand behind `/livez`, `/readyz` and `/healthz`.

use std::sync::Arc;
use std::time::Duration;

use component_base::clock::Clock;
use component_base::health::{Check, Checks, Latch};

use crate::lifecycle::Lifecycle;

/// What must have happened once after the start; upstream's names of those that there are.
pub const POST_START_HOOKS: &[&str] = &[
    "start-apiserver-admission-initializer",
    "generic-apiserver-start-informers",
    "priority-and-fairness-config-consumer",
    "priority-and-fairness-filter",
    "start-apiextensions-informers",
    "start-apiextensions-controllers",
    "crd-informer-synced",
    "start-system-namespaces-controller",
    "start-cluster-authentication-info-controller",
    "start-kube-apiserver-identity-lease-controller",
    "start-kube-apiserver-identity-lease-garbage-collector",
    "storage-readiness",
    "start-legacy-token-tracking-controller",
    "start-service-ip-repair-controllers",
    "rbac/bootstrap-roles",
    "scheduling/bootstrap-system-priority-classes",
    "priority-and-fairness-config-producer",
    "bootstrap-controller",
    "start-kubernetes-service-cidr-controller",
    "apiservice-status-local-available-controller",
    "apiservice-status-remote-available-controller",
    "apiservice-registration-controller",
    "apiservice-discovery-controller",
    "kube-apiserver-autoregistration",
];

/// What else a server depends on, such as its stores.
#[derive(Clone, Default)]
pub struct Dependencies {
    /// Behind all three endpoints.
    pub checks: Vec<Arc<dyn Check>>,
    /// Behind `/readyz` only.
    pub readiness: Vec<Arc<dyn Check>>,
}

/// The three endpoints.
pub struct Health {
    pub livez: Checks,
    pub readyz: Checks,
    pub healthz: Checks,
    hooks: Vec<(&'static str, Latch)>,
}

impl Health {
    /// The checks of a server with these dependencies. For `livez_grace` from now on, hooks that are not through don't count
    /// against its being alive.
    pub fn new(
        dependencies: &Dependencies,
        lifecycle: &Lifecycle,
        clock: &Arc<dyn Clock>,
        livez_grace: Duration,
    ) -> Health {
        let hooks: Vec<(&'static str, Latch)> = POST_START_HOOKS
            .iter()
            .map(|name| (*name, Latch::default()))
            .collect();
        let mut livez = endpoint("livez", dependencies);
        let mut readyz = endpoint("readyz", dependencies);
        let mut healthz = endpoint("healthz", dependencies);
        for check in &dependencies.readiness {
            readyz.push(check.clone());
        }
        // Caches are filled before the server is built, and followed from then on.
        readyz.add("informer-sync", || Ok(()));
        let grace_ends = clock.monotonic() + livez_grace;
        for (hook, latch) in &hooks {
            let name = format!("poststarthook/{hook}");
            let (latch_of_livez, clock) = (latch.clone(), clock.clone());
            livez.add(&name, move || {
                if latch_of_livez.is_open() || clock.monotonic() < grace_ends {
                    Ok(())
                } else {
                    Err("not finished".to_owned())
                }
            });
            readyz.add_latch(&name, latch);
            healthz.add_latch(&name, latch);
        }
        let initiated = lifecycle.initiated.clone();
        readyz.add("shutdown", move || {
            if initiated.is_triggered() {
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

    /// Whether requests may be sent here.
    pub fn is_ready(&self) -> bool {
        self.readyz
            .answer("/readyz", None)
            .is_some_and(|answer| answer.status.is_success())
    }
}

/// The checks that all endpoints share.
fn endpoint(name: &str, dependencies: &Dependencies) -> Checks {
    let mut checks = Checks::new(name);
    // Log lines are written as they come: there is no flusher that could hang.
    checks.add("log", || Ok(()));
    for check in &dependencies.checks {
        checks.push(check.clone());
    }
    checks
}
