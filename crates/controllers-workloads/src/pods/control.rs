//! Creating and deleting pods in batches, with the events that tell of it.

use std::future::Future;

use api::Resource;
use api::core::v1::Pod;
use api::meta::v1::DeleteOptions;
use client::{Client, Error};
use controller_runtime::Recorder;
use controller_runtime::event_recorder::EventType;
use futures_util::future::join_all;

/// The first batch; each later one is twice as large, so that a quota refuses few requests and not hundreds.
const FIRST_BATCH: usize = 1;

/// Runs `count` operations in growing batches until one fails. Gives the number that succeeded and the first error.
pub async fn slow_start<F, R>(count: usize, mut operation: F) -> (usize, Option<Error>)
where
    F: FnMut(usize) -> R,
    R: Future<Output = Result<(), Error>>,
{
    let (mut done, mut batch) = (0, FIRST_BATCH);
    while done < count {
        let size = batch.min(count - done);
        let outcomes = join_all((done..done + size).map(&mut operation)).await;
        let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        done += succeeded;
        if let Some(error) = outcomes.into_iter().find_map(Result::err) {
            return (done, Some(error));
        }
        batch *= 2;
    }
    (done, None)
}

/// Writes pods in a controller's name.
#[derive(Clone)]
pub struct PodControl {
    client: Client,
    recorder: Recorder,
}

impl PodControl {
    pub fn new(client: Client, recorder: Recorder) -> Self {
        PodControl { client, recorder }
    }

    /// Creates a pod for `owner` and records how it went. A namespace that is going takes no pods: no event then.
    pub async fn create<K: Resource>(&self, owner: &K, pod: &Pod) -> Result<Pod, Error> {
        match self
            .client
            .api::<Pod>()
            .namespace(&pod.metadata.namespace)
            .create(pod)
            .await
        {
            Ok(created) => {
                let message = format!("Created pod: {}", created.metadata.name);
                self.recorder
                    .event(owner, EventType::Normal, "SuccessfulCreate", message);
                Ok(created)
            }
            Err(error) => {
                if !error.is_namespace_terminating() {
                    let message = format!("Error creating: {error}");
                    self.recorder
                        .event(owner, EventType::Warning, "FailedCreate", message);
                }
                Err(error)
            }
        }
    }

    pub async fn delete<K: Resource>(&self, owner: &K, pod: &Pod) -> Result<(), Error> {
        let pods = self.client.api::<Pod>().namespace(&pod.metadata.namespace);
        match pods.delete(&pod.metadata.name, &DeleteOptions::default()).await {
            Ok(()) => {
                let message = format!("Deleted pod: {}", pod.metadata.name);
                self.recorder
                    .event(owner, EventType::Normal, "SuccessfulDelete", message);
                Ok(())
            }
            Err(error) => {
                if !error.is_not_found() {
                    let message = format!("Error deleting: {error}");
                    self.recorder
                        .event(owner, EventType::Warning, "FailedDelete", message);
                }
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn batches_double_and_stop_at_the_first_failure() {
        let calls = RefCell::new(0);
        let outcome = slow_start(20, |index| {
            *calls.borrow_mut() += 1;
            async move { if index == 5 { Err(Error::Timeout) } else { Ok(()) } }
        })
        .await;
        // Batches of 1, 2 and 4: the third has a failure and is the last.
        assert_eq!((outcome.0, *calls.borrow()), (6, 7));
        assert!(matches!(outcome.1, Some(Error::Timeout)));
        let (done, error) = slow_start(20, |_| async { Ok(()) }).await;
        assert_eq!((done, error.is_none()), (20, true));
    }
}
