//! A request's way through: it runs at once, waits for its turn, or is refused. What is dropped on the way, gives
//! back what it had.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select;
use tokio::sync::oneshot;

use crate::fair_queue::{Policy, Ticket};
use crate::flow::{Flow, Reason};
use crate::flow_control::Shared;
use crate::level::{About, Arrival};
use crate::traffic::{Kind, Stage};
use crate::work::WorkEstimate;

/// A request that asks for seats.
#[derive(Debug)]
pub struct Ask {
    pub flow: Arc<Flow>,
    pub estimate: WorkEstimate,
    pub kind: Kind,
    /// Seats are taken only until its first state was sent.
    pub watch: bool,
    /// Names the flow within its schema, by which it is put in a queue.
    pub about: About,
}

/// What it is told.
#[derive(Debug)]
pub enum Outcome {
    Run(Permit),
    Wait(Waiting),
    Refuse,
}

/// A request in its level, whatever it does there.
#[derive(Debug)]
struct Stay {
    shared: Arc<Shared>,
    flow: Arc<Flow>,
    ticket: Ticket,
    kind: Kind,
    watch: bool,
}

/// Seats. They are free again some time after this is dropped.
#[derive(Debug)]
pub struct Permit {
    stay: Stay,
    since: Duration,
}

/// A place in a queue.
#[derive(Debug)]
pub struct Waiting {
    /// `None`: its turn has come, and was taken.
    stay: Option<Stay>,
    turn: oneshot::Receiver<()>,
    since: Duration,
}

pub(crate) fn ask(shared: &Arc<Shared>, ask: Ask) -> Outcome {
    let Ask {
        flow,
        estimate,
        kind,
        watch,
        about,
    } = ask;
    let now = shared.clock.monotonic();
    let (core, policy) = (&flow.level.core, flow.level.rule.policy);
    let hash = match policy {
        Policy::Queue { .. } => flow.schema.hash(&about.distinguisher),
        Policy::Exempt | Policy::Reject => 0,
    };
    let (arrival, next_turn) = {
        let mut state = core.at(now);
        let arrival = state.arrive(now, hash, estimate, flow.clone(), about);
        (arrival, state.next_turn())
    };
    note_arrival(&flow, policy, estimate, &arrival);
    let stay = |ticket| Stay {
        shared: shared.clone(),
        flow,
        ticket,
        kind,
        watch,
    };
    match arrival {
        Arrival::Refused(_) => Outcome::Refuse,
        Arrival::Runs(ticket) => {
            shared.traffic.lock().enter(now, Stage::Executing, kind);
            Outcome::Run(Permit {
                stay: stay(ticket),
                since: now,
            })
        }
        Arrival::Waits(ticket, turn, _) => {
            shared.traffic.lock().enter(now, Stage::Waiting, kind);
            if next_turn.is_some() {
                shared.turn.notify_one();
            }
            Outcome::Wait(Waiting {
                stay: Some(stay(ticket)),
                turn,
                since: now,
            })
        }
    }
}

fn note_arrival(flow: &Flow, policy: Policy, estimate: WorkEstimate, arrival: &Arrival) {
    let mut record = flow.record.lock();
    record.seats.observe(f64::from(estimate.max_seats()));
    let queues = matches!(policy, Policy::Queue { .. });
    match arrival {
        Arrival::Refused(refusal) => record.refused((*refusal).into(), Duration::ZERO),
        Arrival::Runs(_) => {
            if queues {
                record.queue_length.observe(1.0);
            }
            record.runs((policy != Policy::Exempt).then_some(Duration::ZERO));
        }
        Arrival::Waits(_, _, length) => record.queue_length.observe(*length as f64),
    }
}

impl Waiting {
    /// Resolves when the turn has come; `None` if it has not within `limit`.
    pub async fn turn(mut self, limit: Duration) -> Option<Permit> {
        let timeout = self.stay.as_ref()?.shared.clock.sleep(limit);
        select(&mut self.turn, timeout).await;
        self.take()
    }

    /// The permit, if the turn has come.
    fn take(&mut self) -> Option<Permit> {
        let stay = self.stay.take()?;
        let now = stay.shared.clock.monotonic();
        stay.shared.traffic.lock().leave(now, Stage::Waiting, stay.kind);
        let waited = now.saturating_sub(self.since);
        let gave_up = stay.flow.level.core.at(now).cancel(now, stay.ticket);
        if gave_up {
            stay.flow.record.lock().refused(Reason::TimeOut, waited);
            stay.shared.left(&stay.flow, now);
            return None;
        }
        stay.flow.record.lock().runs(Some(waited));
        stay.shared.traffic.lock().enter(now, Stage::Executing, stay.kind);
        Some(Permit { stay, since: now })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // The client has gone away. If its turn had just come, the seats are given back.
        drop(self.take());
    }
}

impl Permit {
    pub fn flow(&self) -> &Arc<Flow> {
        &self.stay.flow
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let stay = &self.stay;
        let now = stay.shared.clock.monotonic();
        let next_turn = {
            let mut state = stay.flow.level.core.at(now);
            state.finish(now, stay.ticket);
            state.next_turn()
        };
        if next_turn.is_some() {
            stay.shared.turn.notify_one();
        }
        stay.shared.traffic.lock().leave(now, Stage::Executing, stay.kind);
        let took = now.saturating_sub(self.since).as_secs_f64();
        let mut record = stay.flow.record.lock();
        if stay.watch {
            record.watch_start.observe(took);
        } else {
            record.execution.observe(took);
        }
        drop(record);
        stay.shared.left(&stay.flow, now);
    }
}

#[cfg(test)]
mod tests;
