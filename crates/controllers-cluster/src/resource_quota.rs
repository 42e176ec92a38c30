//! Counts what is used of resource quotas: admission charges requests, and this corrects what it can't know, above
//! all what deleted objects give back.
//!
//! [`plan`] decides what a status becomes; `monitors` know which resources there are and watch those that quotas
//! name; `tallies` are what they see. What an object uses is told by [`api::quota`], as to admission.
//!
//! Upstream: pkg/controller/resourcequota

mod monitors;
pub mod plan;
mod tallies;

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::ResourceQuota;
use apimachinery::time::Time;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, ObjectKey, Store, WorkQueue};
use futures_util::future::BoxFuture;

use monitors::Monitors;

const QUEUE: &str = "resourcequota_primary";
/// For quotas on whose first count users wait.
const URGENT_QUEUE: &str = "resourcequota_priority";

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    pub workers: usize,
    /// How often everything is counted anew; zero for never.
    pub sync_period: Duration,
}

/// Runs the controller until shutdown.
pub async fn run(context: Context, options: Options) {
    let quotas = context.informers.of::<ResourceQuota>();
    let (queue, urgent) = (context.queue(QUEUE), context.queue(URGENT_QUEUE));
    let monitors = Monitors::new(context.clone(), quotas.store(), queue.clone());
    let (own, own_urgent, known) = (queue.clone(), urgent.clone(), monitors.clone());
    quotas.add_handler(move |event| {
        if is_news(event) {
            let quota = event.object();
            let is_urgent = plan::is_urgent(quota, |name| known.is_counted(name));
            let queue = if is_urgent { &own_urgent } else { &own };
            queue.add(ObjectKey::of(&quota.metadata));
        }
    });
    let controller = Arc::new(Controller {
        quotas: quotas.store(),
        monitors: monitors.clone(),
        context: context.clone(),
    });
    let working = async {
        if context.shutdown.guard(monitors.discovered()).await.is_none() {
            return;
        }
        tokio::join!(
            context.drive(QUEUE, queue.clone(), options.workers, controller.clone()),
            context.drive(URGENT_QUEUE, urgent, options.workers, controller),
        );
    };
    let resyncing = resync(&context, quotas.store(), &queue, options.sync_period);
    tokio::join!(monitors.clone().run(), working, resyncing);
}

/// Status updates are our own, or admission's charges, which are right: only limits make us count.
fn is_news(event: &Event<ResourceQuota>) -> bool {
    match event {
        Event::Added(_) => true,
        Event::Updated { old, new } => old.spec.hard != new.spec.hard,
        Event::Deleted(_) => false,
    }
}

async fn resync(
    context: &Context,
    quotas: Store<ResourceQuota>,
    queue: &WorkQueue<ObjectKey>,
    period: Duration,
) {
    if period.is_zero() {
        return;
    }
    while context
        .shutdown
        .guard(context.clock.sleep(period))
        .await
        .is_some()
    {
        quotas.keys().into_iter().for_each(|key| queue.add(key));
    }
}

struct Controller {
    context: Context,
    quotas: Store<ResourceQuota>,
    monitors: Arc<Monitors>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(quota) = self.quotas.get(key) else {
                return Ok(Outcome::Done);
            };
            let shares = self.monitors.shares(&quota, Time(self.context.clock.now())).await;
            if let Some(status) = plan::recount(&quota, &shares) {
                let updated = ResourceQuota {
                    status,
                    ..(*quota).clone()
                };
                let api = self.context.client.api::<ResourceQuota>();
                // A conflict means that admission charged meanwhile: counted anew with what it admitted.
                match api.namespace(&key.namespace).update_status(&updated).await {
                    Err(error) if error.is_not_found() => return Ok(Outcome::Done),
                    outcome => drop(outcome?),
                }
            }
            let is_whole = shares.iter().all(|share| share.usage.is_some());
            Ok(if is_whole { Outcome::Done } else { Outcome::Retry })
        })
    }
}
