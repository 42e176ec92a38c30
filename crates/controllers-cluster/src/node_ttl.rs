//! Tells kubelets how long to cache secrets and config maps, by the size of the cluster.
//!
//! Upstream: pkg/controller/ttl

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::core::v1::Node;
use client::{Patch, PatchParams};
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, Event, ObjectKey, Store};
use futures_util::future::BoxFuture;
use serde_json::json;

const NAME: &str = "ttlcontroller";
const WORKERS: usize = 5;
const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// Sizes at which a step is entered from below and left from above, and the seconds that hold in it. The two
/// overlap, so that a cluster at the border doesn't rewrite all its nodes again and again.
const STEPS: [(usize, usize, u32); 5] = [
    (0, 100, 0),
    (90, 500, 15),
    (450, 1000, 30),
    (900, 2000, 60),
    (1800, usize::MAX, 300),
];

/// The step for a cluster of that size, coming from `current`.
fn step(current: usize, nodes: usize) -> usize {
    let mut step = current.min(STEPS.len() - 1);
    while nodes > STEPS[step].1 {
        step += 1;
    }
    while nodes < STEPS[step].0 {
        step -= 1;
    }
    step
}

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let nodes = context.informers.of::<Node>();
    let queue = context.queue(NAME);
    let current = Arc::new(AtomicUsize::new(0));
    let (store, own, shared) = (nodes.store(), queue.clone(), current.clone());
    nodes.add_handler(move |event| {
        let before = shared.load(Ordering::Relaxed);
        let after = step(before, store.len());
        if before != after {
            shared.store(after, Ordering::Relaxed);
            store.keys().into_iter().for_each(|key| own.add(key));
        } else if !matches!(event, Event::Deleted(_)) {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
    let controller = Controller {
        nodes: nodes.store(),
        current,
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    nodes: Store<Node>,
    current: Arc<AtomicUsize>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(node) = self.nodes.get(key) else {
                return Ok(Outcome::Done);
            };
            let seconds = STEPS[self.current.load(Ordering::Relaxed)].2.to_string();
            if node.metadata.annotations.get(ANNOTATION) == Some(&seconds) {
                return Ok(Outcome::Done);
            }
            let patch = Patch::Strategic(json!({"metadata": {"annotations": {ANNOTATION: seconds}}}));
            match self
                .context
                .client
                .api::<Node>()
                .patch(&key.name, &patch, &PatchParams::default())
                .await
            {
                Err(error) if error.is_not_found() => {}
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
    fn steps_have_hysteresis() {
        assert_eq!(step(0, 100), 0);
        assert_eq!(step(0, 101), 1);
        assert_eq!(step(1, 95), 1);
        assert_eq!(step(1, 89), 0);
        assert_eq!(step(0, 5000), 4);
        assert_eq!(step(4, 1), 0);
    }
}
