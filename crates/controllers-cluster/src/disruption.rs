//! Keeps account of how many pods of each disruption budget may be evicted, and takes back announcements of
//! disruptions that did not come.
//!
//! [`rules`] are pure; [`scales`] finds how many pods a pod's controller is for.
//!
//! Upstream: pkg/controller/disruption

pub mod rules;
mod scales;

use std::sync::Arc;

use api::core::v1::Pod;
use api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use apimachinery::labels::Selector;
use apimachinery::time::Time;
use client::{Client, Error, Patch, PatchParams};
use component_base::clock::Clock;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::event_recorder::EventType;
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::{BoxFuture, join};
use serde_json::json;

use rules::Expected;
use scales::Scales;

const NAME: &str = "disruption";
const STALE_NAME: &str = "stale_pod_disruption";

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let budgets = context.informers.of::<PodDisruptionBudget>();
    let pods = context.informers.of::<Pod>();
    let (queue, stale) = (context.queue(NAME), context.queue(STALE_NAME));
    let own = queue.clone();
    budgets.add_handler(move |event| own.add(ObjectKey::of(&event.object().metadata)));
    let (store, concerned, announced) = (budgets.store(), queue.clone(), stale.clone());
    let clock = context.clock.clone();
    pods.add_handler(move |event| {
        let pod = event.object();
        for budget in store.namespace(&pod.metadata.namespace) {
            if selector_of(&budget).matches(&pod.metadata.labels) {
                concerned.add(ObjectKey::of(&budget.metadata));
            }
        }
        if !event.is_deleted() && rules::announced_for(pod, Time(clock.now())).is_some() {
            announced.add(ObjectKey::of(&pod.metadata));
        }
    });
    let retractor = Retractor {
        client: context.client.clone(),
        clock: context.clock.clone(),
        pods: pods.store(),
    };
    let controller = Controller {
        scales: Scales::new(&context.informers),
        budgets: budgets.store(),
        pods: pods.store(),
        context: context.clone(),
    };
    let account = context.drive(NAME, queue, 1, Arc::new(controller));
    join(account, context.drive(STALE_NAME, stale, 1, Arc::new(retractor))).await;
}

struct Controller {
    context: Context,
    budgets: Store<PodDisruptionBudget>,
    pods: Store<Pod>,
    scales: Scales,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            match self.budgets.get(key) {
                Some(budget) => self.sync(&budget).await,
                None => Ok(Outcome::Done),
            }
        })
    }
}

impl Controller {
    async fn sync(&self, budget: &PodDisruptionBudget) -> Result<Outcome, driver::Error> {
        let selector = selector_of(budget);
        let mut pods = self.pods.namespace(&budget.metadata.namespace);
        pods.retain(|pod| selector.matches(&pod.metadata.labels));
        if pods.is_empty() {
            self.tell(
                budget,
                EventType::Normal,
                "NoPods",
                "No matching pods found".into(),
            );
        }
        let now = Time(self.context.clock.now());
        let expected = match self.expected(budget, &pods) {
            Ok(expected) => expected,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                let reason = "CalculateExpectedPodCountFailed";
                self.tell(budget, EventType::Warning, reason, message);
                let status = rules::failed(budget, &why, now);
                self.write(budget, status).await?;
                return Ok(Outcome::Done);
            }
        };
        let disrupted = rules::disrupted(budget, &pods, now);
        for pod in pods
            .iter()
            .filter(|pod| disrupted.remained.contains(&pod.metadata.name))
        {
            let (namespace, name) = (&budget.metadata.namespace, &budget.metadata.name);
            let message = format!("Pod was expected by PDB {namespace}/{name} to be deleted but it wasn't");
            self.context
                .recorder
                .event(&**pod, EventType::Warning, "NotDeleted", message);
        }
        let status = rules::status(budget, &pods, expected, &disrupted, now);
        self.write(budget, status).await?;
        Ok(disrupted.look_again.map_or(Outcome::Done, Outcome::RequeueAfter))
    }

    fn expected(&self, budget: &PodDisruptionBudget, pods: &[Arc<Pod>]) -> Result<Expected, String> {
        let mut scale = 0;
        if rules::needs_scale(budget) {
            let found = self.scales.sum(pods).map_err(|error| error.to_string())?;
            if found.has_unmanaged {
                let selector = api::selector::shown(budget.spec.selector.as_deref());
                let message = format!(
                    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
                );
                self.tell(budget, EventType::Warning, "UnmanagedPods", message);
            }
            scale = found.replicas;
        }
        rules::expected(budget, pods.len(), scale).map_err(|error| error.to_string())
    }

    async fn write(
        &self,
        budget: &PodDisruptionBudget,
        status: PodDisruptionBudgetStatus,
    ) -> Result<(), Error> {
        if status == budget.status {
            return Ok(());
        }
        let updated = PodDisruptionBudget {
            status,
            ..budget.clone()
        };
        let api = self
            .context
            .client
            .api::<PodDisruptionBudget>()
            .namespace(&budget.metadata.namespace);
        match api.update_status(&updated).await {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    fn tell(&self, budget: &PodDisruptionBudget, type_: EventType, reason: &str, message: String) {
        self.context.recorder.event(budget, type_, reason, message);
    }
}

/// Takes back announcements.
struct Retractor {
    client: Client,
    clock: Arc<dyn Clock>,
    pods: Store<Pod>,
}

impl Reconcile<ObjectKey> for Retractor {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let now = Time(self.clock.now());
            let Some(pod) = self.pods.get(key) else {
                return Ok(Outcome::Done);
            };
            match rules::announced_for(&pod, now) {
                None => return Ok(Outcome::Done),
                Some(left) if !left.is_zero() => return Ok(Outcome::RequeueAfter(left)),
                Some(_) => {}
            }
            let condition = rules::retracted(now);
            let patch = Patch::Strategic(json!({
                "metadata": {"uid": pod.metadata.uid},
                "status": {"conditions": [{
                    "type": condition.type_,
                    "status": condition.status,
                    "lastTransitionTime": now.to_string(),
                    "reason": null,
                    "message": null,
                }]},
            }));
            let pods = self.client.api::<Pod>().namespace(&key.namespace);
            match pods
                .patch_status(&key.name, &patch, &PatchParams::default())
                .await
            {
                Err(error) if error.is_not_found() => {}
                outcome => drop(outcome?),
            }
            Ok(Outcome::Done)
        })
    }
}

/// The budget's selector; nothing when it is absent or can't be understood.
fn selector_of(budget: &PodDisruptionBudget) -> Selector {
    let selector = budget.spec.selector.as_deref();
    selector
        .and_then(|selector| api::selector::from_label_selector(selector).ok())
        .unwrap_or_else(Selector::nothing)
}
