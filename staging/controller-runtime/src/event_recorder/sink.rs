//! Sends correlated events to the server.

use std::sync::Arc;
use std::time::Duration;

use api::core::v1::Event;
use client::{Client, Error, Patch, PatchParams};
use component_base::clock::Clock;
use component_base::shutdown::Shutdown;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::debug;

use super::correlator::{Correlator, Fate};

/// Attempts to send an event while the server is away, and the pause between them.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_secs(10);

pub(super) async fn run(
    client: Client,
    mut events: mpsc::Receiver<Event>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
) {
    let mut sink = Sink {
        client,
        correlator: Correlator::default(),
        clock,
    };
    while let Some(Some(event)) = shutdown.guard(events.recv()).await {
        if shutdown.guard(sink.take(event)).await.is_none() {
            return;
        }
    }
}

struct Sink {
    client: Client,
    correlator: Correlator,
    clock: Arc<dyn Clock>,
}

impl Sink {
    async fn take(&mut self, event: Event) {
        let fate = self.correlator.correlate(event, self.clock.now());
        for _ in 0..ATTEMPTS {
            match self.send(&fate).await {
                Ok(()) => return,
                Err(error) if error.is_connection() => self.clock.sleep(PAUSE).await,
                // The server doesn't want it (its namespace is going, say): nothing to be gained by insisting.
                Err(error) => {
                    debug!(%error, "event rejected");
                    return;
                }
            }
        }
    }

    async fn send(&mut self, fate: &Fate) -> Result<(), Error> {
        match fate {
            Fate::Discard => Ok(()),
            Fate::Create(event) => self.create(event).await,
            Fate::Count(event) => match self.patch(event).await {
                // Events expire on the server.
                Err(error) if error.is_not_found() => {
                    self.correlator.forget(event);
                    self.create(event).await
                }
                outcome => outcome,
            },
        }
    }

    async fn create(&self, event: &Event) -> Result<(), Error> {
        self.client
            .api::<Event>()
            .namespace(&event.metadata.namespace)
            .create(event)
            .await
            .map(drop)
    }

    async fn patch(&self, event: &Event) -> Result<(), Error> {
        let patch = json!({
            "count": event.count,
            "lastTimestamp": event.last_timestamp.map(|time| time.to_string()),
            "message": event.message,
        });
        let events = self.client.api::<Event>().namespace(&event.metadata.namespace);
        events
            .patch(
                &event.metadata.name,
                &Patch::Strategic(patch),
                &PatchParams::default(),
            )
            .await
            .map(drop)
    }
}
