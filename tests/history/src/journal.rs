//! Writes down what happens in a run, by one clock.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, watch};

use crate::record::{Disturbance, History, Operation, Session, Time};

/// Shared by all tasks of a run.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    origin: Instant,
    history: Mutex<History>,
    /// Operations that have come to an end: faults wait for it.
    answered: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        Self(Arc::new(Inner {
            origin: Instant::now(),
            history: Mutex::default(),
            answered: watch::Sender::new(0),
        }))
    }
}

impl Journal {
    pub fn now(&self) -> Time {
        self.0.origin.elapsed().as_micros() as Time
    }

    pub async fn operation(&self, operation: Operation) {
        self.0.history.lock().await.operations.push(operation);
        self.0
            .answered
            .send_modify(|answered| *answered = answered.saturating_add(1));
    }

    pub async fn session(&self, session: Session) {
        self.0.history.lock().await.sessions.push(session);
    }

    pub async fn disturbance(&self, from: Time, to: Time) {
        let disturbance = Disturbance { from, to };
        self.0.history.lock().await.disturbances.push(disturbance);
    }

    /// Nothing more will be done: whoever waits for operations need not any more.
    pub fn finish(&self) {
        self.0.answered.send_replace(u64::MAX);
    }

    pub fn answered(&self) -> watch::Receiver<u64> {
        self.0.answered.subscribe()
    }

    pub async fn take(&self) -> History {
        std::mem::take(&mut *self.0.history.lock().await)
    }
}
