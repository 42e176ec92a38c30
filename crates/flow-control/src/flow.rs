//! A FlowSchema in force, and what was counted of its requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::fair_queue::Refusal;
use crate::histogram::Histogram;
use crate::level::Level;
use crate::schema::Schema;

const QUEUE_LENGTH_BOUNDS: &[f64] = &[0.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];
const DURATION_BOUNDS: &[f64] = &[
    0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0,
];
const WATCHER_BOUNDS: &[f64] = &[0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0];
const SEATS_BOUNDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0];

/// Requests that match one schema, in its level.
#[derive(Debug)]
pub struct Flow {
    pub schema: Schema,
    pub schema_uid: Bytes,
    pub level: Arc<Level>,
    pub record: Arc<Mutex<Record>>,
}

impl Flow {
    pub fn new(schema: Schema, level: Arc<Level>, record: Arc<Mutex<Record>>) -> Arc<Flow> {
        Arc::new(Flow {
            schema_uid: Bytes::from(schema.uid.clone()),
            schema,
            level,
            record,
        })
    }

    /// The most seats that one request gets here; `None`: no bound of the level's.
    pub fn widest_request(&self) -> Option<u32> {
        self.level.widest_request
    }
}

/// Why a request did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    ConcurrencyLimit,
    QueueFull,
    TimeOut,
}

impl Reason {
    pub const ALL: [Reason; 3] = [Reason::ConcurrencyLimit, Reason::QueueFull, Reason::TimeOut];

    pub fn label(self) -> &'static str {
        match self {
            Reason::ConcurrencyLimit => "concurrency-limit",
            Reason::QueueFull => "queue-full",
            Reason::TimeOut => "time-out",
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Reason {
        match refusal {
            Refusal::ConcurrencyLimit => Reason::ConcurrencyLimit,
            Refusal::QueueFull => Reason::QueueFull,
        }
    }
}

/// Counts since the schema came to be.
#[derive(Debug)]
pub struct Record {
    pub dispatched: u64,
    pub rejected: [u64; Reason::ALL.len()],
    pub queue_length: Histogram,
    pub waited_and_ran: Histogram,
    pub waited_in_vain: Histogram,
    pub execution: Histogram,
    /// Of watches: until their first state was sent.
    pub watch_start: Histogram,
    pub watchers: Histogram,
    pub seats: Histogram,
}

impl Default for Record {
    fn default() -> Self {
        Record {
            dispatched: 0,
            rejected: [0; Reason::ALL.len()],
            queue_length: Histogram::new(QUEUE_LENGTH_BOUNDS),
            waited_and_ran: Histogram::new(DURATION_BOUNDS),
            waited_in_vain: Histogram::new(DURATION_BOUNDS),
            execution: Histogram::new(DURATION_BOUNDS),
            watch_start: Histogram::new(DURATION_BOUNDS),
            watchers: Histogram::new(WATCHER_BOUNDS),
            seats: Histogram::new(SEATS_BOUNDS),
        }
    }
}

impl Record {
    /// `waited`: `None` in levels where nothing ever waits.
    pub fn runs(&mut self, waited: Option<Duration>) {
        self.dispatched += 1;
        if let Some(waited) = waited {
            self.waited_and_ran.observe(waited.as_secs_f64());
        }
    }

    pub fn refused(&mut self, reason: Reason, waited: Duration) {
        self.rejected[reason as usize] += 1;
        self.waited_in_vain.observe(waited.as_secs_f64());
    }
}
