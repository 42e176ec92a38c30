//! A priority level at work: its machine, who waits in it, and what is measured of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::borrowing::{self, Limits};
use crate::demand::{Demand, Integrator};
use crate::fair_queue::{FairQueue, Policy, Refusal, Ticket};
use crate::flow::Flow;
use crate::histogram::TimedRatio;
use crate::retry_after::RetryAfter;
use crate::rules::LevelRule;
use crate::work::WorkEstimate;

/// Fractions of seats.
const SEAT_BOUNDS: &[f64] = &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0];
/// Fractions of requests.
const REQUEST_BOUNDS: &[f64] = &[0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1.0];
/// Seats wanted, by seats there are.
const DEMAND_BOUNDS: &[f64] = &[0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0, 2.8, 4.0, 6.0];

/// A priority level as it is configured now. Its state outlives the configuration.
#[derive(Debug)]
pub struct Level {
    pub rule: LevelRule,
    pub uid: Bytes,
    pub limits: Limits,
    /// The most seats that one request gets; `None`: the level sets no bound.
    pub widest_request: Option<u32>,
    pub core: Arc<Core>,
}

impl Level {
    pub fn new(rule: LevelRule, limits: Limits, core: Arc<Core>) -> Level {
        let widest_request = match rule.policy {
            Policy::Queue { dealer, .. } => Some(limits.widest_request(dealer.hand_size())),
            Policy::Exempt | Policy::Reject => None,
        };
        Level {
            uid: Bytes::from(rule.uid.clone()),
            limits,
            widest_request,
            core,
            rule,
        }
    }

    pub fn is_exempt(&self) -> bool {
        self.rule.policy == Policy::Exempt
    }

    /// How many requests may wait.
    pub fn waiting_limit(&self) -> u64 {
        waiting_limit(self.rule.policy)
    }
}

fn waiting_limit(policy: Policy) -> u64 {
    match policy {
        Policy::Queue { dealer, length_limit } => u64::from(dealer.deck()) * u64::from(length_limit.max(1)),
        Policy::Exempt | Policy::Reject => 1,
    }
}

/// A request in a level.
#[derive(Debug)]
pub struct Guest {
    pub flow: Arc<Flow>,
    pub about: About,
    /// Told when its turn has come; `None` if it does not wait.
    waiter: Option<oneshot::Sender<()>>,
}

/// What the debug endpoints show of a request.
#[derive(Debug)]
pub struct About {
    pub distinguisher: Box<str>,
    /// The columns of its details, as they are shown.
    pub details: Box<str>,
}

/// What lasts from one configuration to the next.
#[derive(Debug)]
pub struct Core {
    state: Mutex<State>,
    retry_after: Mutex<RetryAfter>,
}

/// Under the level's lock.
#[derive(Debug)]
pub struct State {
    pub machine: FairQueue<Guest>,
    pub measured: Measured,
    pub demand: Demand,
    /// What the level was given the last time, and what was aimed at.
    pub allotment: Option<borrowing::Allotment>,
    wanted: Integrator,
    dispatched: Vec<Ticket>,
}

/// Shares of limits over time.
#[derive(Debug)]
pub struct Measured {
    pub seats: TimedRatio,
    pub waiting: TimedRatio,
    pub executing: TimedRatio,
    pub demand: TimedRatio,
}

/// What became of a request that came.
pub enum Arrival {
    Runs(Ticket),
    /// Told when its turn has come. The number is the length of its queue, with it.
    Waits(Ticket, oneshot::Receiver<()>, usize),
    Refused(Refusal),
}

impl Core {
    pub fn new(now: Duration, policy: Policy, seats: u32) -> Arc<Core> {
        let measured = Measured {
            seats: TimedRatio::new(SEAT_BOUNDS, now),
            waiting: TimedRatio::new(REQUEST_BOUNDS, now),
            executing: TimedRatio::new(REQUEST_BOUNDS, now),
            demand: TimedRatio::new(DEMAND_BOUNDS, now),
        };
        Arc::new(Core {
            state: Mutex::new(State {
                machine: FairQueue::new(now, policy, seats),
                measured,
                demand: Demand::default(),
                allotment: None,
                wanted: Integrator::new(now),
                dispatched: Vec::new(),
            }),
            retry_after: Mutex::default(),
        })
    }

    /// The state, brought up to `now`.
    pub fn at(&self, now: Duration) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.advance(now);
        state
    }

    pub fn retry_after(&self, now: Duration) -> u64 {
        self.retry_after.lock().refused(now.as_secs())
    }
}

impl State {
    /// Seats come free by themselves each in its own time, so that demand is measured right.
    fn advance(&mut self, now: Duration) {
        while let Some(due) = self.machine.next_release().filter(|due| *due <= now) {
            self.machine.tick(due);
            self.settle(due);
        }
    }

    /// After any input: measures, and tells those whose turn has come.
    fn settle(&mut self, now: Duration) {
        let totals = self.machine.totals();
        let wanted = totals.seats_in_use + totals.seats_waiting;
        self.wanted.set(now, f64::from(wanted));
        self.measured.demand.set(now, wanted);
        self.measured.seats.set(now, totals.seats_in_use);
        self.measured.waiting.set(now, totals.waiting);
        self.measured.executing.set(now, totals.executing);
        self.machine.take_dispatched(&mut self.dispatched);
        for ticket in self.dispatched.drain(..) {
            let guest = self.machine.payload_mut(ticket);
            if let Some(waiter) = guest.and_then(|guest| guest.waiter.take()) {
                // One that has just given up gives back its seats when it learns of them.
                waiter.send(()).ok();
            }
        }
    }

    pub fn arrive(
        &mut self,
        now: Duration,
        hash: u64,
        estimate: WorkEstimate,
        flow: Arc<Flow>,
        about: About,
    ) -> Arrival {
        let guest = Guest {
            flow,
            about,
            waiter: None,
        };
        let arrived = self.machine.arrive(now, hash, estimate, guest);
        self.settle(now);
        let ticket = match arrived {
            Ok(ticket) => ticket,
            Err(refusal) => return Arrival::Refused(refusal),
        };
        if self.machine.is_executing(ticket) {
            return Arrival::Runs(ticket);
        }
        let (waiter, turn) = oneshot::channel();
        if let Some(guest) = self.machine.payload_mut(ticket) {
            guest.waiter = Some(waiter);
        }
        Arrival::Waits(ticket, turn, self.machine.length_before(ticket))
    }

    pub fn finish(&mut self, now: Duration, ticket: Ticket) {
        self.machine.finish(now, ticket);
        self.settle(now);
    }

    /// Gives up waiting; `false` if the request runs already.
    pub fn cancel(&mut self, now: Duration, ticket: Ticket) -> bool {
        let waited = self.machine.cancel(now, ticket).is_some();
        self.settle(now);
        waited
    }

    /// Takes notice of the demand since the last time.
    pub fn close_period(&mut self, now: Duration) -> Demand {
        self.demand.note(self.wanted.reset(now));
        self.demand
    }

    /// Other limits from now on. `server_seats` stands in for a level that has none.
    pub fn configure(
        &mut self,
        now: Duration,
        policy: Policy,
        allotment: borrowing::Allotment,
        server_seats: u32,
    ) {
        self.allotment = Some(allotment);
        let limit = match allotment.current {
            0 => u64::from(server_seats.div_ceil(10)).max(1),
            seats => u64::from(seats),
        };
        self.measured.seats.set_limit(now, limit);
        self.measured.executing.set_limit(now, limit);
        self.measured.demand.set_limit(now, limit);
        self.measured.waiting.set_limit(now, waiting_limit(policy));
        self.machine.configure(now, policy, allotment.current);
        self.settle(now);
    }

    /// When it must be looked at again for the sake of those who wait.
    pub fn next_turn(&self) -> Option<Duration> {
        let someone_waits = self.machine.totals().waiting > 0;
        self.machine.next_release().filter(|_| someone_waits)
    }
}
