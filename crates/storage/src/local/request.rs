//! The way to the writer: a queue with a bound, and an answer for each request.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Expect, Key, Revision, Write};

/// A write that waits for the writer.
pub(super) struct Request {
    pub key: Key,
    pub expect: Expect,
    pub write: Write,
    pub reply: oneshot::Sender<Result<Revision, Error>>,
    /// The request's place in the queue, freed when it was answered.
    _place: OwnedSemaphorePermit,
}

/// The callers' end.
pub(super) struct Outbox {
    places: Arc<Semaphore>,
    sender: Mutex<Option<mpsc::Sender<Request>>>,
}

/// The writer's end.
pub(super) struct Inbox(mpsc::Receiver<Request>);

pub(super) fn channel(max_pending: usize) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel();
    let places = Arc::new(Semaphore::new(max_pending));
    (
        Outbox {
            places,
            sender: Mutex::new(Some(sender)),
        },
        Inbox(receiver),
    )
}

impl Outbox {
    /// Queues a write and waits until it is durable. A caller that gives up waiting doesn't undo the write.
    pub async fn commit(&self, key: Key, expect: Expect, write: Write) -> Result<Revision, Error> {
        let closed = || Error::Unavailable("the store is closed".into());
        let place = self.places.clone().acquire_owned().await.map_err(|_| closed())?;
        let (reply, answer) = oneshot::channel();
        let request = Request {
            key,
            expect,
            write,
            reply,
            _place: place,
        };
        {
            let sender = self.sender.lock();
            sender
                .as_ref()
                .ok_or_else(closed)?
                .send(request)
                .map_err(|_| closed())?;
        }
        answer.await.map_err(|_| closed())?
    }

    /// The writer ends after what is queued.
    pub fn close(&self) {
        self.sender.lock().take();
    }
}

/// What the writer found in its inbox.
pub(super) enum Received {
    Batch(Vec<Request>),
    /// Nothing came in time.
    Nothing,
    Closed,
}

impl Inbox {
    /// Waits for the first request and takes all that are queued with it, up to a bound.
    pub fn receive(&self, wait: Option<Duration>, max_requests: usize, max_bytes: usize) -> Received {
        let first = match wait {
            None => self.0.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            Some(wait) => self.0.recv_timeout(wait),
        };
        let first = match first {
            Ok(first) => first,
            Err(mpsc::RecvTimeoutError::Timeout) => return Received::Nothing,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Received::Closed,
        };
        let mut bytes = first.size();
        let mut batch = vec![first];
        while batch.len() < max_requests && bytes < max_bytes {
            let Ok(request) = self.0.try_recv() else { break };
            bytes += request.size();
            batch.push(request);
        }
        Received::Batch(batch)
    }
}

impl Request {
    fn size(&self) -> usize {
        self.key.len()
            + if let Write::Put { value, .. } = &self.write {
                value.len()
            } else {
                0
            }
    }
}
