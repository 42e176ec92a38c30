//! The plugins in their order, and the two phases over them.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use apimachinery::status::Status;
use component_base::clock::Clock;
use component_base::metrics::{Histogram, HistogramVec, Registry};

use crate::{Attributes, Operation, Plugin, Review};

/// Upstream's order. A plugin that is not built here is named all the same: it can be asked for on the
/// command line.
pub const ORDER: &[&str] = &[
    "AlwaysAdmit",
    "NamespaceAutoProvision",
    "NamespaceLifecycle",
    "NamespaceExists",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "AlwaysPullImages",
    "ImagePolicyWebhook",
    "PodSecurity",
    "PodNodeSelector",
    "Priority",
    "DefaultTolerationSeconds",
    "PodTolerationRestriction",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "PodGroupProtection",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "DenyServiceExternalIPs",
    "PodTopologyLabels",
    "PodGroupWorkloadExists",
    "NodeDeclaredFeatureValidator",
    "JobValidation",
    "PodResizeValidator",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
    "AlwaysDeny",
];

/// Those that are on unless turned off.
pub const DEFAULT_ON: &[&str] = &[
    "NamespaceLifecycle",
    "LimitRanger",
    "ServiceAccount",
    "TaintNodesByCondition",
    "PodSecurity",
    "Priority",
    "DefaultTolerationSeconds",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "PodGroupProtection",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "PodTopologyLabels",
    "PodGroupWorkloadExists",
    "NodeDeclaredFeatureValidator",
    "JobValidation",
    "PodResizeValidator",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
];

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("unknown admission plugin {0:?}")]
    Unknown(String),
    #[error("admission plugin {0:?} is both enabled and disabled")]
    Contradiction(String),
    #[error("admission plugin {0:?} is not available")]
    Unavailable(String),
}

/// Which plugins run: the defaults, more, fewer.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    enabled: Vec<String>,
    disabled: Vec<String>,
}

impl Selection {
    /// From `--enable-admission-plugins` and `--disable-admission-plugins`.
    pub fn new(enabled: &[String], disabled: &[String]) -> Result<Self, Error> {
        for name in enabled.iter().chain(disabled) {
            if !ORDER.contains(&name.as_str()) {
                return Err(Error::Unknown(name.clone()));
            }
        }
        if let Some(name) = enabled.iter().find(|name| disabled.contains(name)) {
            return Err(Error::Contradiction(name.clone()));
        }
        Ok(Self {
            enabled: enabled.to_vec(),
            disabled: disabled.to_vec(),
        })
    }

    fn runs(&self, name: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|other| other == name);
        named(&self.enabled) || (DEFAULT_ON.contains(&name) && !named(&self.disabled))
    }
}

/// The plugins that run, in order.
pub struct Chain {
    plugins: Vec<Link>,
    clock: Arc<dyn Clock>,
    durations: HistogramVec,
    steps: HistogramVec,
    passed: Passed,
}

/// A plugin, and where the time of what it lets pass is counted.
struct Link {
    plugin: Arc<dyn Plugin>,
    passed: Passed,
}

/// Histograms of what passes, by operation and phase: looked up once, as each write goes through all plugins twice. One
/// that nothing was counted in is not published.
#[derive(Default)]
struct Passed([[OnceLock<Histogram>; 2]; 4]);

impl Passed {
    fn of(&self, operation: Operation, phase: Phase) -> &OnceLock<Histogram> {
        &self.0[operation as usize][phase as usize]
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Mutate = 0,
    Validate = 1,
}

impl Phase {
    /// As the metric's label has it.
    fn label(self) -> &'static str {
        match self {
            Self::Mutate => "admit",
            Self::Validate => "validate",
        }
    }
}

const BUCKETS: &[f64] = &[0.005, 0.025, 0.1, 0.5, 1.0, 2.5];

impl Chain {
    /// Puts the selected ones of `available` into upstream's order. Those that upstream has no name for are
    /// checks that it makes elsewhere: they cannot be turned off, and run first. Asking for a plugin that is not
    /// available is an error: it would be a restriction that silently does not hold.
    pub fn new(
        available: Vec<Arc<dyn Plugin>>,
        selection: &Selection,
        clock: Arc<dyn Clock>,
        metrics: &Registry,
    ) -> Result<Self, Error> {
        let find = |name: &str| available.iter().find(|plugin| plugin.name() == name).cloned();
        if let Some(missing) = selection
            .enabled
            .iter()
            .find(|name| !DEFAULT_ON.contains(&name.as_str()) && find(name).is_none())
        {
            return Err(Error::Unavailable(missing.clone()));
        }
        let own = available
            .iter()
            .filter(|plugin| !ORDER.contains(&plugin.name()))
            .cloned();
        let selected = ORDER
            .iter()
            .filter(|name| selection.runs(name))
            .filter_map(|name| find(name));
        let link = |plugin| Link {
            plugin,
            passed: Passed::default(),
        };
        let plugins = own.chain(selected).map(link).collect();
        let durations = metrics.histogram_vec(
            "apiserver_admission_controller_admission_duration_seconds",
            "[STABLE] Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).",
            &["name", "operation", "rejected", "type"],
            BUCKETS,
        );
        let steps = metrics.histogram_vec(
            "apiserver_admission_step_admission_duration_seconds",
            "[STABLE] Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).",
            &["operation", "rejected", "type"],
            BUCKETS,
        );
        Ok(Self {
            plugins,
            clock,
            durations,
            steps,
            passed: Passed::default(),
        })
    }

    /// The names of the plugins that run.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.plugins.iter().map(|link| link.plugin.name())
    }

    /// The first phase: plugins may change the object. Once more from the start if one of them asks for it.
    pub async fn mutate(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        self.run(Phase::Mutate, attributes, review).await?;
        if !review.reinvocation.requested {
            return Ok(());
        }
        review.reinvocation.again = true;
        self.run(Phase::Mutate, attributes, review).await
    }

    /// The second phase: plugins see the final object.
    pub async fn validate(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        self.run(Phase::Validate, attributes, review).await
    }

    /// Is any plugin interested in this operation? A request that none wants skips both phases.
    pub fn handles(&self, operation: Operation) -> bool {
        self.plugins.iter().any(|link| link.plugin.handles(operation))
    }

    async fn run(
        &self,
        phase: Phase,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let started = self.clock.monotonic();
        let outcome = self.run_each(phase, attributes, review).await;
        let operation = attributes.operation;
        let histogram = || {
            let labels = [operation.as_str(), rejected(&outcome), phase.label()];
            self.steps.with_label_values(&labels)
        };
        let elapsed = self.clock.monotonic().saturating_sub(started);
        observe(
            outcome.is_ok(),
            self.passed.of(operation, phase),
            histogram,
            elapsed,
        );
        outcome
    }

    async fn run_each(
        &self,
        phase: Phase,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let operation = attributes.operation;
        let mut started = self.clock.monotonic();
        for Link { plugin, passed } in self.plugins.iter().filter(|link| link.plugin.handles(operation)) {
            let outcome = match phase {
                Phase::Mutate => plugin.mutate(attributes, review).await,
                Phase::Validate => plugin.validate(attributes, review).await,
            };
            let histogram = || {
                let labels = [
                    plugin.name(),
                    operation.as_str(),
                    rejected(&outcome),
                    phase.label(),
                ];
                self.durations.with_label_values(&labels)
            };
            let ended = self.clock.monotonic();
            let elapsed = ended.saturating_sub(started);
            observe(outcome.is_ok(), passed.of(operation, phase), histogram, elapsed);
            outcome?;
            started = ended;
        }
        Ok(())
    }
}

fn observe(passed: bool, known: &OnceLock<Histogram>, find: impl FnOnce() -> Histogram, elapsed: Duration) {
    let seconds = elapsed.as_secs_f64();
    if passed {
        known.get_or_init(find).observe(seconds);
    } else {
        find().observe(seconds);
    }
}

fn rejected(outcome: &Result<(), Status>) -> &'static str {
    if outcome.is_err() { "true" } else { "false" }
}

#[cfg(test)]
mod tests;
