//! The writer thread: the only one that plans, journals and publishes changes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tracing::error;

use super::journal::{Journal, JournalError};
use super::plan::{Plan, Planned};
use super::request::{Inbox, Received, Request};
use super::{Shared, WallClock, until};
use crate::{Error, Revision};

/// One batch, that is one sync: at most that much.
const MAX_BATCH_REQUESTS: usize = 1024;
const MAX_BATCH_BYTES: usize = 16 << 20;
/// Keys that expire with one batch.
const MAX_BATCH_EXPIRED: usize = 512;
/// The wall clock may be set while the writer sleeps: it looks at it that often when keys have a time to live.
const MAX_SLEEP: Duration = Duration::from_secs(5);
/// After a refused batch (disk full), before expired keys are tried again.
const REFUSED_SLEEP: Duration = Duration::from_secs(1);

type Reply = (oneshot::Sender<Result<Revision, Error>>, Result<Revision, Error>);

pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: Option<Box<dyn Journal>>,
    inbox: Inbox,
    clock: WallClock,
    /// Set when the journal broke: no write will be acknowledged any more.
    broken: Option<Error>,
    refused: bool,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        journal: Option<Box<dyn Journal>>,
        inbox: Inbox,
        clock: WallClock,
    ) -> Self {
        Self {
            shared,
            journal,
            inbox,
            clock,
            broken: None,
            refused: false,
        }
    }

    /// Runs until every sender is gone.
    pub fn run(mut self) {
        loop {
            match self
                .inbox
                .receive(self.idle_time(), MAX_BATCH_REQUESTS, MAX_BATCH_BYTES)
            {
                Received::Batch(batch) => self.commit(batch),
                Received::Nothing => self.commit(Vec::new()),
                Received::Closed => break,
            }
        }
        self.shared
            .close(Error::Unavailable("the store is closed".into()));
    }

    /// How long to sleep when nothing comes in.
    fn idle_time(&self) -> Option<Duration> {
        if self.broken.is_some() {
            return None;
        }
        let next = self.shared.expiries.lock().next()?;
        let least = if self.refused {
            REFUSED_SLEEP
        } else {
            Duration::ZERO
        };
        Some(until(next, (self.clock)()).clamp(least, MAX_SLEEP))
    }

    fn commit(&mut self, batch: Vec<Request>) {
        if let Some(error) = &self.broken {
            batch
                .into_iter()
                .for_each(|request| answer(request.reply, Err(error.clone())));
            return;
        }
        let now = (self.clock)();
        let (changes, replies) = self.plan(batch, now);
        let outcome = self.make_durable(&changes);
        match &outcome {
            Ok(()) => self.shared.publish(&changes),
            Err(error) => error!(%error, writes = changes.len(), "a batch of writes was not made durable"),
        }
        for (reply, planned) in replies {
            // Conflicts wait for the batch too: they may show what another write of it left.
            answer(reply, outcome.clone().and(planned));
        }
        self.maintain();
    }

    fn plan(&self, batch: Vec<Request>, now: SystemTime) -> (Vec<Planned>, Vec<Reply>) {
        let index = self.shared.index.read();
        let mut plan = Plan::new(&index, now);
        for key in self.shared.expiries.lock().due(now, MAX_BATCH_EXPIRED) {
            plan.expire(&key);
        }
        let replies = batch.into_iter().map(|request| {
            let planned = plan.add(&request.key, request.expect, request.write);
            (request.reply, planned)
        });
        let replies = replies.collect();
        (plan.finish(), replies)
    }

    fn make_durable(&mut self, changes: &[Planned]) -> Result<(), Error> {
        let Some(journal) = self.journal.as_mut().filter(|_| !changes.is_empty()) else {
            return Ok(());
        };
        let outcome = journal.append(changes);
        self.refused = matches!(outcome, Err(JournalError::Refused(_)));
        outcome.map_err(|failure| {
            let error = Error::Unavailable(failure.to_string());
            if let JournalError::Broken(_) = failure {
                self.broken = Some(error.clone());
                self.shared.close(error.clone());
            }
            error
        })
    }

    fn maintain(&mut self) {
        if let Some(journal) = self.journal.as_mut().filter(|_| self.broken.is_none()) {
            let shared = &self.shared;
            journal.maintain(&|| shared.state());
        }
    }
}

/// The caller may have stopped waiting: its write stands all the same.
fn answer(reply: oneshot::Sender<Result<Revision, Error>>, outcome: Result<Revision, Error>) {
    drop(reply.send(outcome));
}
