//! The task that acts for the machine.

use std::sync::Arc;
use std::time::Duration;

use client::{Error, HasMetadata, ListParams, WatchEvent, WatchParams};
use component_base::shutdown::Shutdown;
use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::machine::{Action, Failure, Input, ListFrom, Machine};
use super::source::{Events, ListWatch, Scope};
use crate::backoff::{Random, jitter};
use crate::causes::Causes;

/// Objects a page of the list: the decoded page is what a list costs in memory above the cache.
const PAGE: u32 = 500;
/// The server closes a watch after this to twice this long, so that watches spread over its replicas.
const SHORTEST_WATCH_TIMEOUT: Duration = Duration::from_secs(300);

/// A change of the watched set, in the order it happened.
#[derive(Debug)]
pub enum Change<K> {
    /// The whole set: what isn't in it is gone.
    Replace(Vec<K>),
    Apply(K),
    Delete(K),
}

/// Which objects, and how often the server should be asked afresh.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub scope: Scope,
}

/// Watches until shutdown. `sink` is called in order and must not block.
pub async fn run<K: HasMetadata + Send + 'static>(
    source: Arc<dyn ListWatch<K>>,
    options: Options,
    sink: impl FnMut(Change<K>) + Send,
    shutdown: Shutdown,
) {
    let mut task = Task {
        source,
        scope: options.scope,
        machine: Machine::default(),
        random: Random::from_entropy(),
        pages: Vec::new(),
        events: None,
        sink,
    };
    shutdown.guard(task.run()).await;
}

struct Task<K, F> {
    source: Arc<dyn ListWatch<K>>,
    scope: Scope,
    machine: Machine,
    random: Random,
    pages: Vec<K>,
    events: Option<Events<K>>,
    sink: F,
}

impl<K: HasMetadata + Send + 'static, F: FnMut(Change<K>) + Send> Task<K, F> {
    async fn run(&mut self) {
        loop {
            let input = match self.machine.next(Instant::now().into_std()) {
                Action::Wait { until } => {
                    tokio::time::sleep_until(until.into()).await;
                    continue;
                }
                Action::List(from) => self.list(from).await,
                Action::Watch { resource_version } => self.watch(resource_version).await,
                Action::Read => self.read().await,
            };
            let random = self.random.next_unit();
            self.machine.input(input, Instant::now().into_std(), random);
        }
    }

    async fn list(&mut self, from: ListFrom) -> Input {
        let mut params = ListParams {
            label_selector: self.scope.label_selector.clone(),
            field_selector: self.scope.field_selector.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        match from {
            ListFrom::Any => params.resource_version = Some("0".into()),
            ListFrom::Latest => {}
            ListFrom::Continue(token) => params.continue_ = Some(token),
        }
        if params.continue_.is_none() {
            self.pages.clear();
        }
        match self.source.list(params).await {
            Ok(list) => {
                self.pages.extend(list.items);
                if list.metadata.continue_.is_empty() {
                    (self.sink)(Change::Replace(std::mem::take(&mut self.pages)));
                }
                let resource_version = list.metadata.resource_version;
                Input::Page {
                    resource_version,
                    continue_: list.metadata.continue_,
                }
            }
            Err(error) => {
                self.pages.clear();
                warn!(resource = %self.source.name(), error = %Causes(&error), "cannot list");
                Input::ListFailed(failure(&error))
            }
        }
    }

    async fn watch(&mut self, resource_version: String) -> Input {
        let timeout = jitter(SHORTEST_WATCH_TIMEOUT, 1.0, self.random.next_unit());
        let params = WatchParams {
            label_selector: self.scope.label_selector.clone(),
            field_selector: self.scope.field_selector.clone(),
            resource_version: Some(resource_version),
            timeout_seconds: u32::try_from(timeout.as_secs()).ok(),
            no_bookmarks: false,
        };
        match self.source.watch(params).await {
            Ok(events) => {
                self.events = Some(events);
                Input::WatchOpened
            }
            Err(error) => self.watch_failed(&error),
        }
    }

    async fn read(&mut self) -> Input {
        let next = match &mut self.events {
            Some(events) => events.next().await,
            None => None,
        };
        let Some(event) = next else {
            self.events = None;
            return Input::WatchEnded(None);
        };
        match event {
            Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => {
                let seen = version_of(&object);
                (self.sink)(Change::Apply(object));
                seen
            }
            Ok(WatchEvent::Deleted(object)) => {
                let seen = version_of(&object);
                (self.sink)(Change::Delete(object));
                seen
            }
            Ok(WatchEvent::Bookmark(bookmark)) => Input::Seen {
                resource_version: bookmark.resource_version,
            },
            Ok(WatchEvent::Error(status)) => self.watch_failed(&Error::Api(status)),
            Err(error) => self.watch_failed(&error),
        }
    }

    fn watch_failed(&mut self, error: &Error) -> Input {
        self.events = None;
        let failure = failure(error);
        match failure {
            Failure::Expired => info!(resource = %self.source.name(), "watch expired, listing again"),
            Failure::Other if error.is_connection() => {
                debug!(resource = %self.source.name(), error = %Causes(error), "watch broke off");
            }
            Failure::Other => warn!(resource = %self.source.name(), error = %Causes(error), "cannot watch"),
        }
        Input::WatchEnded(Some(failure))
    }
}

fn version_of(object: &impl HasMetadata) -> Input {
    Input::Seen {
        resource_version: object.object_meta().resource_version.clone(),
    }
}

fn failure(error: &Error) -> Failure {
    if error.is_expired() {
        Failure::Expired
    } else {
        Failure::Other
    }
}
