//! A store whose requests are measured, as those of one resource.

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::metrics::ResourceMetrics;
use crate::{
    Error, Event, Expect, Follower, Following, Found, Key, KeyValue, RangeRequest, RangeResponse, Revision,
    Store, WatchStream, Write,
};

/// See the module.
pub struct Measured {
    inner: Arc<dyn Store>,
    metrics: ResourceMetrics,
}

impl Measured {
    pub fn new(inner: Arc<dyn Store>, metrics: ResourceMetrics) -> Self {
        Self { inner, metrics }
    }

    fn request<'a, T: 'a>(
        &'a self,
        operation: &'static str,
        call: BoxFuture<'a, Result<T, Error>>,
    ) -> BoxFuture<'a, Result<T, Error>> {
        async move {
            let began = Instant::now();
            let outcome = call.await;
            // A conflict is an answer, not a failure of the store.
            let failed = matches!(&outcome, Err(error) if !matches!(error, Error::Conflict { .. }));
            self.metrics.request(operation, began.elapsed(), failed);
            outcome
        }
        .boxed()
    }
}

impl Store for Measured {
    fn get<'a>(
        &'a self,
        key: &'a [u8],
        revision: Option<Revision>,
    ) -> BoxFuture<'a, Result<Found<KeyValue>, Error>> {
        self.request("get", self.inner.get(key, revision))
    }

    fn range(&self, request: RangeRequest) -> BoxFuture<'_, Result<RangeResponse, Error>> {
        self.request("list", self.inner.range(request))
    }

    fn count<'a>(&'a self, prefix: &'a [u8]) -> BoxFuture<'a, Result<u64, Error>> {
        self.request("listWithCount", self.inner.count(prefix))
    }

    fn commit<'a>(
        &'a self,
        key: &'a [u8],
        expect: Expect,
        write: Write,
    ) -> BoxFuture<'a, Result<Revision, Error>> {
        let operation = match (&write, expect) {
            (Write::Delete, _) => "delete",
            (Write::Put { .. }, Expect::Absent) => "create",
            (Write::Put { .. }, Expect::Unchanged(_)) => "update",
        };
        self.request(operation, self.inner.commit(key, expect, write))
    }

    fn watch(&self, prefix: Key, after: Option<Revision>) -> BoxFuture<'_, Result<WatchStream, Error>> {
        self.inner.watch(prefix, after)
    }

    fn follow(
        &self,
        prefix: Key,
        follower: Arc<dyn Follower>,
    ) -> BoxFuture<'_, Result<Box<dyn Following>, Error>> {
        let counting = Counting {
            metrics: self.metrics.clone(),
            follower,
        };
        self.inner.follow(prefix, Arc::new(counting))
    }

    fn current_revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.request("get", self.inner.current_revision())
    }

    fn compact(&self, revision: Revision) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.compact(revision)
    }

    fn compacted(&self) -> Revision {
        self.inner.compacted()
    }

    fn size_on_disk(&self) -> BoxFuture<'_, Result<u64, Error>> {
        self.inner.size_on_disk()
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.probe()
    }
}

/// Counts what the store feeds.
struct Counting {
    metrics: ResourceMetrics,
    follower: Arc<dyn Follower>,
}

impl Follower for Counting {
    fn reset(&self, revision: Revision, items: Vec<Arc<KeyValue>>) {
        self.follower.reset(revision, items);
    }

    fn apply(&self, events: &[Arc<Event>]) {
        self.metrics.store_events(events.len());
        self.follower.apply(events);
    }

    fn progressed(&self, revision: Revision) {
        self.metrics.store_progress();
        self.follower.progressed(revision);
    }

    fn interrupted(&self, error: &Error) {
        self.follower.interrupted(error);
    }
}

#[cfg(test)]
mod tests {
    use component_base::metrics::Registry;

    use super::*;
    use crate::memory;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn requests_are_counted_by_what_they_do() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).of("apps", "deployments");
        let store = Measured::new(Arc::new(memory::open(Default::default()).unwrap()), metrics);
        let put = || Write::Put {
            value: "x".into(),
            ttl: None,
        };
        let created = store.commit(b"/a", Expect::Absent, put()).await.unwrap();
        store.commit(b"/a", Expect::Absent, put()).await.unwrap_err();
        let updated = store
            .commit(b"/a", Expect::Unchanged(created), put())
            .await
            .unwrap();
        store
            .commit(b"/a", Expect::Unchanged(updated), Write::Delete)
            .await
            .unwrap();
        store.get(b"/a", Some(Revision(99))).await.unwrap_err();
        let text = String::from_utf8(registry.render().unwrap()).unwrap();
        for (line, present) in [
            (
                "etcd_requests_total{group=\"apps\",operation=\"create\",resource=\"deployments\"} 2\n",
                true,
            ),
            (
                "etcd_requests_total{group=\"apps\",operation=\"update\",resource=\"deployments\"} 1\n",
                true,
            ),
            (
                "etcd_requests_total{group=\"apps\",operation=\"delete\",resource=\"deployments\"} 1\n",
                true,
            ),
            (
                "etcd_request_errors_total{group=\"apps\",operation=\"get\",resource=\"deployments\"} 1\n",
                true,
            ),
            (
                "etcd_request_errors_total{group=\"apps\",operation=\"create\"",
                false,
            ),
            (
                "etcd_request_duration_seconds_count{group=\"apps\",operation=\"create\",resource=\"deployments\"} 2\n",
                true,
            ),
        ] {
            assert_eq!(text.contains(line), present, "{line} in {text}");
        }
    }
}
