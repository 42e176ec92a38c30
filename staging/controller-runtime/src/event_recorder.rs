//! Tells users what happened to their objects, by Events that are counted and combined before they are sent.
//!
//! [`correlator`] decides what becomes of an event; [`Recorder`] takes events without blocking and a task sends
//! them.
//!
//! Upstream: client-go/tools/record

pub mod correlator;
mod sink;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::Resource;
use api::core::v1::{Event, EventSource, ObjectReference};
use apimachinery::time::Time;
use client::Client;
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use tokio::sync::mpsc;

use crate::ownership::api_version;

/// Events that wait to be sent; more are dropped, for events must never slow down what they tell of.
const QUEUE_LENGTH: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Records events of one component; clones share the queue.
#[derive(Clone)]
pub struct Recorder {
    source: EventSource,
    clock: Arc<dyn Clock>,
    queue: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Recorder {
    /// Starts the task that sends, which ends at shutdown. `host` is the node, for components of a node.
    pub fn start(
        client: Client,
        component: &str,
        host: &str,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Self {
        let (recorder, events) = Self::channel(component, host, clock.clone());
        tokio::spawn(sink::run(client, events, clock, shutdown));
        recorder
    }

    /// A recorder whose events are read from the channel: for tests.
    pub fn channel(component: &str, host: &str, clock: Arc<dyn Clock>) -> (Self, mpsc::Receiver<Event>) {
        let (queue, events) = mpsc::channel(QUEUE_LENGTH);
        let source = EventSource {
            component: component.into(),
            host: host.into(),
        };
        (
            Recorder {
                source,
                clock,
                queue,
                dropped: Arc::default(),
            },
            events,
        )
    }

    /// The same queue in another component's name.
    pub fn for_component(&self, component: &str) -> Self {
        let source = EventSource {
            component: component.into(),
            host: self.source.host.clone(),
        };
        Recorder {
            source,
            ..self.clone()
        }
    }

    pub fn event<K: Resource>(&self, object: &K, type_: EventType, reason: &str, message: impl Into<String>) {
        self.event_for(reference(object), type_, reason, "", message);
    }

    /// An event about an object known only by reference. `action` says what was being done, for the newer API.
    pub fn event_for(
        &self,
        object: ObjectReference,
        type_: EventType,
        reason: &str,
        action: &str,
        message: impl Into<String>,
    ) {
        let event = self.build(object, type_, reason, action, message.into());
        if self.queue.try_send(event).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::debug!(reason, dropped, "event dropped, the queue is full");
        }
    }

    fn build(
        &self,
        object: ObjectReference,
        type_: EventType,
        reason: &str,
        action: &str,
        message: String,
    ) -> Event {
        let now = self.clock.now();
        let mut event = Event::default();
        event.metadata.name = correlator::event_name(&object.name, now);
        event.metadata.namespace = if object.namespace.is_empty() {
            "default".into()
        } else {
            object.namespace.clone()
        };
        event.involved_object = object;
        event.reason = reason.into();
        event.message = message;
        event.first_timestamp = Some(Time(now).truncated());
        event.last_timestamp = event.first_timestamp;
        event.count = 1;
        event.type_ = type_.as_str().into();
        event.action = action.into();
        event.reporting_component = self.source.component.clone();
        event.reporting_instance = self.source.host.clone();
        event.source = self.source.clone();
        event
    }
}

/// The reference by which an event names its object.
pub fn reference<K: Resource>(object: &K) -> ObjectReference {
    let metadata = object.metadata();
    ObjectReference {
        kind: K::KIND.into(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        api_version: api_version::<K>(),
        resource_version: metadata.resource_version.clone(),
        field_path: String::new(),
    }
}
