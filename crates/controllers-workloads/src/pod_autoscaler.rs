//! Sets the number of pods of whatever can be scaled, by what metrics say of them (KEP-117, autoscaling/v2).
//!
//! [`sources`] turn each metric of the specification into a number of pods, by [`replicas`]; [`history`] bounds how
//! fast it changes; [`metrics`] and [`target`] read and write; `draft` is the status to come.
//!
//! Upstream: pkg/controller/podautoscaler

mod draft;
pub mod history;
mod measures;
pub mod metrics;
pub mod replicas;
pub mod sources;
pub mod target;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api::autoscaling::v1::Scale;
use api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior, MetricStatus};
use api::core::v1::Pod;
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use controller_runtime::backoff::Exponential;
use controller_runtime::driver::{self, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::work_queue::metrics::QueueMetrics;
use controller_runtime::{Context, ObjectKey, Recorder, Store, WorkQueue};
use futures_util::future::BoxFuture;

use draft::{ABLE_TO_SCALE, Draft, SCALING_ACTIVE, SCALING_LIMITED};
use history::{Bounds, History, Verdict, bound_plainly, seconds};
use measures::{Action, ErrorKind, Measures};
use metrics::Metrics;
use replicas::{Scaled, Startup, Tolerances};
use sources::{Failure, Observed};
use target::{Scales, Target};

const NAME: &str = "horizontalpodautoscaler";
const COMPONENT: &str = "horizontal-pod-autoscaler";

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub workers: usize,
    /// How often each autoscaler is looked at.
    pub sync_period: Duration,
    /// How long the highest recommendation holds, without behaviour.
    pub downscale_stabilization: Duration,
    pub tolerance: f64,
    pub startup: Startup,
}

/// Runs the controller until shutdown.
pub async fn run(context: Context, options: Options) {
    let autoscalers = context.informers.of::<HorizontalPodAutoscaler>();
    let pods = context.informers.of::<Pod>();
    // Success or failure: the next look is a period away.
    let period = Exponential {
        initial: options.sync_period,
        max: options.sync_period,
        factor: 1.0,
    };
    let queue = WorkQueue::with(period, QueueMetrics::new(&context.metrics, NAME));
    let measures = Measures::new(&context.metrics);
    let (own, store, gauge) = (queue.clone(), autoscalers.store(), measures.count.clone());
    autoscalers.add_handler(move |event| {
        gauge.set(i64::try_from(store.len()).unwrap_or(i64::MAX));
        let key = ObjectKey::of(&event.object().metadata);
        if event.is_deleted() {
            own.add(key);
        } else {
            own.add_after(key, options.sync_period);
        }
    });
    let workers = options.workers;
    let controller = Controller {
        autoscalers: autoscalers.store(),
        pods: pods.store(),
        scales: Scales::new(context.client.clone(), context.clock.clone()),
        metrics: Metrics::new(context.client.clone()),
        recorder: context.recorder.for_component(COMPONENT),
        memories: Mutex::default(),
        measures,
        options,
        context: context.clone(),
    };
    context.drive(NAME, queue, workers, Arc::new(controller)).await;
}

/// What is remembered of an autoscaler between syncs.
#[derive(Default)]
struct Memory {
    history: History,
    selector: Option<Selector>,
}

struct Controller {
    context: Context,
    options: Options,
    recorder: Recorder,
    autoscalers: Store<HorizontalPodAutoscaler>,
    pods: Store<Pod>,
    scales: Scales,
    metrics: Metrics,
    memories: Mutex<HashMap<ObjectKey, Memory>>,
    measures: Measures,
}

/// Why a sync ended early. What users should know is in events and conditions already.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Error {
    message: String,
    kind: ErrorKind,
}

fn internal(message: String) -> Error {
    Error {
        message,
        kind: ErrorKind::Internal,
    }
}

/// What the metrics ask for together.
struct Computed {
    replicas: i32,
    metric: String,
    statuses: Vec<MetricStatus>,
    /// Some metrics told nothing, and the others were enough.
    partial: Option<Error>,
}

/// The number of pods to have, and why it changes.
struct Decision {
    replicas: i32,
    reason: String,
    statuses: Vec<MetricStatus>,
    partial: Option<Error>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<driver::Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(autoscaler) = self.autoscalers.get(key) else {
                self.memories().remove(key);
                self.measures.forget(key);
                return Ok(driver::Outcome::Done);
            };
            let start = self.context.clock.monotonic();
            let mut action = Action::None;
            let mut draft = Draft::new(&autoscaler, Time(self.context.clock.now()));
            let outcome = self.sync(key, &autoscaler, &mut draft, &mut action).await;
            let written = self.write(&autoscaler, draft).await;
            let outcome = outcome.and(written);
            let kind = outcome.as_ref().err().map(|error| error.kind);
            let took = self.context.clock.monotonic().saturating_sub(start);
            self.measures.reconciled(action, kind, took);
            outcome?;
            Ok(driver::Outcome::RequeueAfter(self.options.sync_period))
        })
    }
}

impl Controller {
    fn memories(&self) -> MutexGuard<'_, HashMap<ObjectKey, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn warn(&self, autoscaler: &HorizontalPodAutoscaler, reason: &str, message: &str) {
        self.recorder
            .event(autoscaler, EventType::Warning, reason, message.to_owned());
    }

    async fn sync(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        draft: &mut Draft,
        action: &mut Action,
    ) -> Result<(), Error> {
        let reference = &autoscaler.spec.scale_target_ref;
        let shown = format!("{}/{}/{}", reference.kind, key.namespace, reference.name);
        let (target, scale) = self.look_up(autoscaler, draft, &shown).await?;
        draft.set(
            ABLE_TO_SCALE,
            true,
            "SucceededGetScale",
            "the HPA controller was able to get the target's current scale",
        );
        let current = scale.spec.replicas;
        let now = self.context.clock.monotonic();
        let begin = |memory: &mut Memory| memory.history.begin(current, now);
        begin(self.memories().entry(key.clone()).or_default());
        let decision = self.decide(key, autoscaler, &scale, draft, &shown).await?;
        let desired = decision.replicas;
        let rescales = desired != current;
        if rescales {
            let change = Change {
                from: current,
                to: desired,
                reason: &decision.reason,
            };
            if let Err(error) = self.rescale(key, autoscaler, &target, scale, change, draft).await {
                draft.finish(current, None, decision.statuses, false);
                return Err(internal(format!("failed to rescale {shown}: {error}")));
            }
            *action = if desired > current {
                Action::Up
            } else {
                Action::Down
            };
        }
        draft.finish(current, Some(desired), decision.statuses, rescales);
        self.measures.desired(key, desired);
        decision.partial.map_or(Ok(()), Err)
    }

    async fn look_up(
        &self,
        autoscaler: &HorizontalPodAutoscaler,
        draft: &mut Draft,
        shown: &str,
    ) -> Result<(Target, Scale), Error> {
        let reference = &autoscaler.spec.scale_target_ref;
        let found = self.scales.get(&autoscaler.metadata.namespace, reference).await;
        found.map_err(|error| {
            let message = error.to_string();
            self.warn(autoscaler, "FailedGetScale", &message);
            draft.set(
                ABLE_TO_SCALE,
                false,
                "FailedGetScale",
                format!("the HPA controller was unable to get the target's current scale: {message}"),
            );
            match error {
                target::Error::Version(_) => Error {
                    message: format!("invalid API version in scale target reference: {message}"),
                    kind: ErrorKind::Spec,
                },
                target::Error::UnknownKind { .. } => internal(format!(
                    "unable to determine resource for scale target reference: {message}"
                )),
                target::Error::Client(_) => internal(format!(
                    "failed to query scale subresource for {shown}: {message}"
                )),
            }
        })
    }

    /// The bounds of the specification need no metric; else the metrics decide, within bounds.
    async fn decide(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        scale: &Scale,
        draft: &mut Draft,
        shown: &str,
    ) -> Result<Decision, Error> {
        let bounds = Bounds {
            current: scale.spec.replicas,
            min: autoscaler.spec.min_replicas.unwrap_or(1),
            max: autoscaler.spec.max_replicas,
        };
        let plainly = |replicas: i32, reason: &str| {
            Ok(Decision {
                replicas,
                reason: reason.to_owned(),
                statuses: Vec::new(),
                partial: None,
            })
        };
        if bounds.current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            draft.set(SCALING_ACTIVE, false, "ScalingDisabled", message);
            draft.forget_scaled_to_zero();
            return plainly(0, "");
        }
        if bounds.current > bounds.max {
            return plainly(bounds.max, "Current number of replicas above Spec.MaxReplicas");
        }
        if bounds.current < bounds.min {
            return plainly(bounds.min, "Current number of replicas below Spec.MinReplicas");
        }
        let computed = self.compute(key, autoscaler, scale, draft).await.map_err(|failed| {
            let Failed { error, statuses } = failed;
            draft.finish(bounds.current, None, statuses, false);
            self.warn(autoscaler, "FailedComputeMetricsReplicas", &error.message);
            Error {
                message: format!(
                    "failed to compute desired number of replicas based on listed metrics for {shown}: {}",
                    error.message
                ),
                kind: error.kind,
            }
        })?;
        let wanted = computed.replicas.max(0);
        let reason = if wanted > bounds.current {
            format!("{} above target", computed.metric)
        } else {
            "All metrics below target".to_owned()
        };
        Ok(Decision {
            replicas: self.normalize(key, autoscaler, wanted, bounds, draft),
            reason,
            statuses: computed.statuses,
            partial: computed.partial,
        })
    }

    /// What the history and the bounds leave of it.
    fn normalize(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        wanted: i32,
        bounds: Bounds,
        draft: &mut Draft,
    ) -> i32 {
        let now = self.context.clock.monotonic();
        let mut memories = self.memories();
        let history = &mut memories.entry(key.clone()).or_default().history;
        let (stable, verdict) = match autoscaler.spec.behavior.as_deref() {
            None => {
                let stable = history.stabilize(wanted, self.options.downscale_stabilization, now);
                (stable, bound_plainly(stable, bounds))
            }
            Some(behavior) => {
                let windows = self.windows(behavior);
                let stable = history.stabilize_both(bounds.current, wanted, windows, now);
                (stable, history.bound(behavior, stable, bounds, now))
            }
        };
        let grows = autoscaler.spec.behavior.is_some() && wanted >= bounds.current;
        let (reason, message) = match (stable == wanted, grows) {
            (true, _) => ("ReadyForNewScale", "recommended size matches current size"),
            (false, true) => (
                "ScaleUpStabilized",
                "recent recommendations were lower than current one, applying the lowest recent recommendation",
            ),
            (false, false) => (
                "ScaleDownStabilized",
                "recent recommendations were higher than current one, applying the highest recent recommendation",
            ),
        };
        draft.set(ABLE_TO_SCALE, true, reason, message);
        let Verdict {
            replicas,
            reason,
            message,
        } = verdict;
        draft.set(SCALING_LIMITED, replicas != stable, reason, message);
        replicas
    }

    fn windows(&self, behavior: &HorizontalPodAutoscalerBehavior) -> (Duration, Duration) {
        let of = |rules: Option<&api::autoscaling::v2::HPAScalingRules>| {
            rules
                .and_then(|rules| rules.stabilization_window_seconds)
                .map(seconds)
        };
        let up = of(behavior.scale_up.as_deref()).unwrap_or_default();
        let down = of(behavior.scale_down.as_deref()).unwrap_or(self.options.downscale_stabilization);
        (up, down)
    }

    fn tolerances(&self, autoscaler: &HorizontalPodAutoscaler) -> Tolerances {
        let behavior = autoscaler.spec.behavior.as_deref();
        let of = |rules: Option<&api::autoscaling::v2::HPAScalingRules>| {
            let tolerance = rules.and_then(|rules| rules.tolerance.as_ref());
            tolerance.map_or(self.options.tolerance, |tolerance| tolerance.as_f64())
        };
        Tolerances {
            down: of(behavior.and_then(|behavior| behavior.scale_down.as_deref())),
            up: of(behavior.and_then(|behavior| behavior.scale_up.as_deref())),
        }
    }

    /// The highest number that any metric asks for. One that tells nothing may hide a higher one: then the number
    /// must not go down.
    async fn compute(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        scale: &Scale,
        draft: &mut Draft,
    ) -> Result<Computed, Failed> {
        let selector = self.selector(key, autoscaler, scale, draft)?;
        let mut pods = self.pods.namespace(&key.namespace);
        pods.retain(|pod| selector.matches(&pod.metadata.labels));
        let selector = selector.to_string();
        let observed = Observed {
            namespace: &key.namespace,
            selector: &selector,
            scaled: Scaled {
                pods: &pods,
                current: scale.spec.replicas,
                tolerances: self.tolerances(autoscaler),
                startup: self.options.startup,
                now: self.context.clock.now(),
            },
            running: scale.status.replicas,
            metrics: &self.metrics,
            scales: &self.scales,
        };
        let specs = &autoscaler.spec.metrics;
        let mut best: Option<(i32, String)> = None;
        let (mut statuses, mut failures) = (Vec::new(), Vec::new());
        for spec in specs {
            let start = self.context.clock.monotonic();
            let outcome = observed.evaluate(spec).await;
            let took = self.context.clock.monotonic().saturating_sub(start);
            let current = autoscaler.status.current_replicas;
            self.measures.computed(&spec.type_, &outcome, current, took);
            match outcome {
                Ok(outcome) => {
                    statuses.push(outcome.status);
                    if best.as_ref().is_none_or(|(most, _)| outcome.replicas > *most) {
                        best = Some((outcome.replicas, outcome.name));
                    }
                }
                Err(failure) => {
                    self.warn(autoscaler, failure.reason, &failure.message);
                    // Upstream keeps a place for it.
                    statuses.push(MetricStatus::default());
                    failures.push(failure);
                }
            }
        }
        let partial = failures
            .first()
            .map(|first| invalid(first, failures.len(), specs.len()));
        let at_least =
            |(replicas, _): &(i32, String)| failures.is_empty() || *replicas >= scale.spec.replicas;
        match best.filter(at_least) {
            Some((replicas, metric)) => {
                let message =
                    format!("the HPA was able to successfully calculate a replica count from {metric}");
                draft.set(SCALING_ACTIVE, true, "ValidMetricFound", message);
                Ok(Computed {
                    replicas,
                    metric,
                    statuses,
                    partial,
                })
            }
            None => {
                let error = partial.unwrap_or_else(|| internal("no metrics are specified".to_owned()));
                if let Some(first) = failures.first() {
                    let message = format!(
                        "the HPA was unable to compute the replica count: {}",
                        first.message
                    );
                    draft.set(SCALING_ACTIVE, false, first.reason, message);
                }
                Err(Failed { error, statuses })
            }
        }
    }

    /// The selector of the target's pods, which must not be another autoscaler's too.
    fn selector(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        scale: &Scale,
        draft: &mut Draft,
    ) -> Result<Selector, Failed> {
        let text = &scale.status.selector;
        let mut refuse = |event: &str, reason: &str, message: String, condition: Option<&str>| {
            self.warn(autoscaler, event, &message);
            draft.set(SCALING_ACTIVE, false, reason, condition.unwrap_or(&message));
            Failed {
                error: internal(message),
                statuses: Vec::new(),
            }
        };
        if text.is_empty() {
            let condition = Some("the HPA target's scale is missing a selector");
            let message = "selector is required".to_owned();
            return Err(refuse("SelectorRequired", "InvalidSelector", message, condition));
        }
        let selector = Selector::parse(text).map_err(|error| {
            let message =
                format!("couldn't convert selector into a corresponding internal selector object: {error}");
            refuse("InvalidSelector", "InvalidSelector", message, None)
        })?;
        let rivals = self.rivals(key, &selector);
        if rivals.len() > 1 {
            let rivals = rivals.join(" ");
            let message = format!("pods by selector {text} are controlled by multiple HPAs: [{rivals}]");
            return Err(refuse("AmbiguousSelector", "AmbiguousSelector", message, None));
        }
        Ok(selector)
    }

    /// The autoscalers, this one among them, that select a pod of this one's.
    fn rivals(&self, key: &ObjectKey, selector: &Selector) -> Vec<String> {
        let mut memories = self.memories();
        memories.entry(key.clone()).or_default().selector = Some(selector.clone());
        let mut pods = self.pods.namespace(&key.namespace);
        pods.retain(|pod| selector.matches(&pod.metadata.labels));
        let selects = |memory: &Memory| {
            let selector = memory.selector.as_ref();
            selector.is_some_and(|selector| pods.iter().any(|pod| selector.matches(&pod.metadata.labels)))
        };
        let same = memories
            .iter()
            .filter(|(other, memory)| other.namespace == key.namespace && selects(memory));
        let mut names: Vec<String> = same
            .map(|(other, _)| format!("{{{} {}}}", other.name, other.namespace))
            .collect();
        names.sort();
        names
    }

    async fn rescale(
        &self,
        key: &ObjectKey,
        autoscaler: &HorizontalPodAutoscaler,
        target: &Target,
        scale: Scale,
        change: Change<'_>,
        draft: &mut Draft,
    ) -> Result<(), client::Error> {
        let Change { from, to, reason } = change;
        if let Err(error) = self.scales.set(target, scale, to).await {
            let message = format!("New size: {to}; reason: {reason}; error: {error}");
            self.warn(autoscaler, "FailedRescale", &message);
            let message = format!("the HPA controller was unable to update the target scale: {error}");
            draft.set(ABLE_TO_SCALE, false, "FailedUpdateScale", message);
            return Err(error);
        }
        let message = format!("the HPA controller was able to update the target scale to {to}");
        draft.set(ABLE_TO_SCALE, true, "SucceededRescale", message);
        let message = format!("New size: {to}; reason: {reason}");
        self.recorder
            .event(autoscaler, EventType::Normal, "SuccessfulRescale", message);
        if let Some(behavior) = &autoscaler.spec.behavior {
            let now = self.context.clock.monotonic();
            let mut memories = self.memories();
            let history = &mut memories.entry(key.clone()).or_default().history;
            history.scaled(behavior, from, to, now);
        }
        draft.forget_scaled_to_zero();
        Ok(())
    }

    async fn write(&self, autoscaler: &HorizontalPodAutoscaler, draft: Draft) -> Result<(), Error> {
        if draft.status == autoscaler.status {
            return Ok(());
        }
        let updated = HorizontalPodAutoscaler {
            status: draft.status,
            ..autoscaler.clone()
        };
        let api = self.context.client.api::<HorizontalPodAutoscaler>();
        match api
            .namespace(&autoscaler.metadata.namespace)
            .update_status(&updated)
            .await
        {
            Err(error) if !error.is_not_found() => {
                self.warn(autoscaler, "FailedUpdateStatus", &error.to_string());
                let name = &autoscaler.metadata.name;
                Err(internal(format!("failed to update status for {name}: {error}")))
            }
            _ => Ok(()),
        }
    }
}

struct Change<'a> {
    from: i32,
    to: i32,
    reason: &'a str,
}

/// No number could be computed; this is what the metrics that did tell something said.
struct Failed {
    error: Error,
    statuses: Vec<MetricStatus>,
}

fn invalid(first: &Failure, failed: usize, all: usize) -> Error {
    Error {
        message: format!(
            "invalid metrics ({failed} invalid out of {all}), first error is: {}",
            first.whole
        ),
        kind: if first.is_of_spec {
            ErrorKind::Spec
        } else {
            ErrorKind::Internal
        },
    }
}
