//! The webhooks of all configurations, in the order in which they are asked: by the configurations' names, and within
//! one as they stand there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use api::Object;
use api::admissionregistration::v1::{
    MatchCondition, MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
    WebhookClientConfig,
};
use auth::{Change, Follower};

use crate::expressions::Compiler;
use crate::expressions::conditions::Conditions;
use crate::matching::{MatchPolicy, Selectors};

/// How long a webhook is waited for if it does not say; the API defaults it to the same.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// One webhook.
#[derive(Debug)]
pub struct Hook {
    pub name: String,
    pub configuration: String,
    /// Tells it from all others, also those of its name.
    pub id: String,
    pub client: WebhookClientConfig,
    pub rules: Vec<RuleWithOperations>,
    pub policy: MatchPolicy,
    /// Or why they can't be looked at.
    pub selectors: Result<Selectors, String>,
    /// A webhook that can't be asked is passed over.
    pub fails_open: bool,
    pub side_effects: Option<String>,
    pub timeout: Duration,
    pub versions: Vec<String>,
    /// It wants to see again what others made of the object after it.
    pub reinvoked: bool,
    pub conditions: Conditions,
}

/// Both sorts of webhooks are two types with the same fields.
macro_rules! compile {
    ($configuration:expr, |$hook:ident| $reinvoked:expr) => {{
        let configuration = &$configuration.metadata.name;
        let mut seen = BTreeMap::<&str, usize>::new();
        let compiled = $configuration.webhooks.iter().map(|$hook| {
            let repeated = seen.entry(&$hook.name).or_default();
            let id = format!("{configuration}/{}/{repeated}", $hook.name);
            *repeated += 1;
            Hook {
                name: $hook.name.clone(),
                configuration: configuration.clone(),
                id,
                client: $hook.client_config.clone(),
                rules: $hook.rules.clone(),
                policy: MatchPolicy::from_field($hook.match_policy.as_deref()),
                selectors: Selectors::new(
                    $hook.namespace_selector.as_deref(),
                    $hook.object_selector.as_deref(),
                )
                .map_err(|error| error.to_string()),
                fails_open: $hook.failure_policy.as_deref() == Some("Ignore"),
                side_effects: $hook.side_effects.clone(),
                timeout: timeout($hook.timeout_seconds),
                versions: $hook.admission_review_versions.clone(),
                reinvoked: $reinvoked,
                conditions: conditions(&$hook.match_conditions),
            }
        });
        compiled.map(Arc::new).collect::<Vec<_>>()
    }};
}

/// Most have none: that costs no compiler.
fn conditions(conditions: &[MatchCondition]) -> Conditions {
    match conditions {
        [] => Conditions::default(),
        some => Conditions::new(some, &Compiler::new(false)),
    }
}

fn timeout(seconds: Option<i32>) -> Duration {
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs)
}

fn compile_mutating(object: &dyn Object) -> Vec<Arc<Hook>> {
    object
        .downcast_ref::<MutatingWebhookConfiguration>()
        .map(|configuration| {
            compile!(configuration, |hook| hook.reinvocation_policy.as_deref()
                == Some("IfNeeded"))
        })
        .unwrap_or_default()
}

fn compile_validating(object: &dyn Object) -> Vec<Arc<Hook>> {
    object
        .downcast_ref::<ValidatingWebhookConfiguration>()
        .map(|configuration| compile!(configuration, |hook| false))
        .unwrap_or_default()
}

/// The webhooks of one sort, kept up to date by the server's watch.
pub struct Hooks {
    resources: &'static [(&'static str, &'static str)],
    compile: fn(&dyn Object) -> Vec<Arc<Hook>>,
    by_configuration: Mutex<BTreeMap<String, Vec<Arc<Hook>>>>,
    all: RwLock<Arc<[Arc<Hook>]>>,
}

impl Hooks {
    pub fn mutating() -> Self {
        Self::new(
            &[("admissionregistration.k8s.io", "mutatingwebhookconfigurations")],
            compile_mutating,
        )
    }

    pub fn validating() -> Self {
        Self::new(
            &[("admissionregistration.k8s.io", "validatingwebhookconfigurations")],
            compile_validating,
        )
    }

    fn new(
        resources: &'static [(&'static str, &'static str)],
        compile: fn(&dyn Object) -> Vec<Arc<Hook>>,
    ) -> Self {
        Self {
            resources,
            compile,
            by_configuration: Mutex::default(),
            all: RwLock::new(Arc::new([])),
        }
    }

    /// Is there any?
    pub fn any(&self) -> bool {
        !self.all.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// All webhooks, in order.
    pub fn all(&self) -> Arc<[Arc<Hook>]> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Follower for Hooks {
    fn resources(&self) -> &'static [(&'static str, &'static str)] {
        self.resources
    }

    fn apply(&self, change: Change<'_>) {
        let mut configurations = self
            .by_configuration
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = change.object().metadata().name.clone();
        match change {
            Change::Set(object) => configurations.insert(name, (self.compile)(object)),
            Change::Removed(_) => configurations.remove(&name),
        };
        let all = configurations.values().flatten().cloned().collect();
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all;
    }
}
