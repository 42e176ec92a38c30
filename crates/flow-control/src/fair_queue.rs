//! The machine of one priority level: which requests run, which wait in which queue, which are refused.
//!
//! Fair queuing as for packets, with two differences: several requests run at once, and how long one takes is known
//! only when it ends. In the virtual world that it keeps, every queue that has requests is served at the same rate.
//! A queue's next dispatch is when, on the meter of that rate, its oldest request would start; the queue whose oldest
//! request would end first is next in the real world. What a request took more or less than was expected is put
//! right on its queue when it ends.
//!
//! A queue exists only while it has requests: state is bounded by the requests within, whatever the number of queues.
//!
//! Every input takes the time and must not go back in it. Pure: no clock, no waiting.

mod queue;
mod slots;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Bound;
use std::time::Duration;

use crate::dealer::Dealer;
use crate::seat_seconds::SeatSeconds;
use crate::work::WorkEstimate;
use queue::Queue;
pub use queue::QueueView;
use slots::Slots;
pub use slots::Ticket;

/// How long a request is expected to take, until it is known.
const EXPECTED_SERVICE: Duration = Duration::from_millis(3);

/// What becomes of requests that there is no seat for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// There always is one.
    Exempt,
    Reject,
    Queue {
        dealer: Dealer,
        length_limit: u32,
    },
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    ConcurrencyLimit,
    QueueFull,
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Waiting {
        /// The meter when it came.
        arrived: SeatSeconds,
    },
    Executing {
        since: Duration,
    },
    /// Answered; its seats are still taken.
    Lingering,
}

/// A request within.
#[derive(Debug)]
pub struct Resident<T> {
    pub payload: T,
    pub estimate: WorkEstimate,
    pub arrived: Duration,
    pub phase: Phase,
    /// `None`: it came by no queue.
    pub queue: Option<u32>,
    work: SeatSeconds,
}

/// Requests and seats of a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub waiting: u32,
    pub executing: u32,
    pub seats_in_use: u32,
    pub seats_waiting: u32,
}

/// What became of requests since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub dispatched: u64,
    pub rejected: u64,
    /// Of the rejected, those that gave up waiting.
    pub cancelled: u64,
}

/// The virtual world at the last dispatch from a queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastDispatch {
    /// The meter.
    pub meter: SeatSeconds,
    /// When the request started on it.
    pub start: SeatSeconds,
    /// Least and greatest such start of all queues that had requests waiting.
    pub starts: (SeatSeconds, SeatSeconds),
    /// The same, less the work that was going on.
    pub discounted: (SeatSeconds, SeatSeconds),
}

/// See the module.
#[derive(Debug)]
pub struct FairQueue<T> {
    policy: Policy,
    seats: u32,
    queues: BTreeMap<u32, Queue>,
    /// Queues with requests that wait or run.
    active: u64,
    residents: Slots<Resident<T>>,
    lingering: BinaryHeap<Reverse<(Duration, Ticket)>>,
    /// Work that each active queue was given since the start.
    meter: SeatSeconds,
    metered_at: Duration,
    last_served: u32,
    enqueued: u64,
    totals: Totals,
    tally: Tally,
    last_dispatch: LastDispatch,
    /// Started from a queue since they were last taken.
    dispatched: Vec<Ticket>,
}

impl<T> FairQueue<T> {
    pub fn new(now: Duration, policy: Policy, seats: u32) -> FairQueue<T> {
        FairQueue {
            policy,
            seats,
            queues: BTreeMap::new(),
            active: 0,
            residents: Slots::default(),
            lingering: BinaryHeap::new(),
            meter: SeatSeconds::ZERO,
            metered_at: now,
            last_served: 0,
            enqueued: 0,
            totals: Totals::default(),
            tally: Tally::default(),
            last_dispatch: LastDispatch::default(),
            dispatched: Vec::new(),
        }
    }

    /// Other limits from now on. What waits goes on waiting, in the queue that it is in.
    pub fn configure(&mut self, now: Duration, policy: Policy, seats: u32) {
        self.advance(now);
        self.policy = policy;
        self.seats = seats;
        self.dispatch(now);
    }

    /// A request comes: it runs at once, waits, or is refused. `flow` is the hash of whose it is.
    pub fn arrive(
        &mut self,
        now: Duration,
        flow: u64,
        estimate: WorkEstimate,
        payload: T,
    ) -> Result<Ticket, Refusal> {
        self.advance(now);
        let resident = Resident {
            payload,
            estimate,
            arrived: now,
            phase: Phase::Waiting { arrived: self.meter },
            queue: None,
            work: SeatSeconds::of(estimate.initial_seats, EXPECTED_SERVICE) + estimate.final_work(),
        };
        match self.policy {
            Policy::Queue { dealer, length_limit } => {
                self.arrive_at_queue(now, flow, dealer, length_limit, resident)
            }
            Policy::Reject if !self.fits(estimate.max_seats()) => Err(self.refuse(Refusal::ConcurrencyLimit)),
            Policy::Reject | Policy::Exempt => {
                let ticket = self.residents.insert(resident);
                self.execute(now, ticket);
                Ok(ticket)
            }
        }
    }

    fn arrive_at_queue(
        &mut self,
        now: Duration,
        flow: u64,
        dealer: Dealer,
        length_limit: u32,
        mut resident: Resident<T>,
    ) -> Result<Ticket, Refusal> {
        let index = self.pick(flow, &dealer);
        let length = self.queues.get(&index).map_or(0, Queue::len);
        if self.totals.seats_in_use >= self.seats && length >= length_limit as usize {
            return Err(self.refuse(Refusal::QueueFull));
        }
        let queue = self.queues.entry(index).or_default();
        if !queue.is_active() {
            queue.next_dispatch = self.meter;
            self.active += 1;
        }
        let (seats, work) = (resident.estimate.max_seats(), resident.work);
        resident.queue = Some(index);
        let ticket = self.residents.insert(resident);
        queue.push(ticket, work);
        self.totals.waiting += 1;
        self.totals.seats_waiting += seats;
        self.bound(index);
        self.dispatch(now);
        Ok(ticket)
    }

    /// The queue of the flow's hand with the least work waiting.
    fn pick(&mut self, flow: u64, dealer: &Dealer) -> u32 {
        let hand = dealer.deal(flow);
        let position = self.enqueued;
        self.enqueued += 1;
        let waiting = |index: &u32| {
            self.queues
                .get(index)
                .map_or(SeatSeconds::ZERO, |queue| queue.waiting_work)
        };
        hand.starting_at(position).min_by_key(waiting).unwrap_or_default()
    }

    fn refuse(&mut self, refusal: Refusal) -> Refusal {
        self.tally.rejected += 1;
        refusal
    }

    /// A request that runs is answered. Its seats are free now, or after its additional latency.
    pub fn finish(&mut self, now: Duration, ticket: Ticket) {
        self.advance(now);
        let Some(resident) = self.residents.get_mut(ticket) else {
            return;
        };
        let Phase::Executing { since } = resident.phase else {
            return;
        };
        resident.phase = Phase::Lingering;
        let (estimate, index) = (resident.estimate, resident.queue);
        self.totals.executing -= 1;
        if let Some(index) = index {
            let taken = now.saturating_sub(since);
            self.settle(index, estimate.initial_seats, taken);
        }
        if estimate.additional_latency.is_zero() {
            self.release(ticket);
        } else {
            let until = now.saturating_add(estimate.additional_latency);
            self.lingering.push(Reverse((until, ticket)));
        }
        self.dispatch(now);
    }

    /// Corrects a queue by what its request took instead of what was expected.
    fn settle(&mut self, index: u32, seats: u32, taken: Duration) {
        if let Some(queue) = self.queues.get_mut(&index) {
            queue.executing -= 1;
            queue.next_dispatch -= SeatSeconds::of(seats, EXPECTED_SERVICE);
            queue.next_dispatch += SeatSeconds::of(seats, taken);
            self.active -= u64::from(!queue.is_active());
        }
        self.bound(index);
    }

    /// A request stops waiting, for this reason. Nothing happens to one that runs already.
    pub fn cancel(&mut self, now: Duration, ticket: Ticket) -> Option<T> {
        self.advance(now);
        let resident = self.residents.get(ticket)?;
        let (Phase::Waiting { .. }, Some(index)) = (resident.phase, resident.queue) else {
            return None;
        };
        let resident = self.residents.remove(ticket)?;
        if let Some(queue) = self.queues.get_mut(&index) {
            queue.remove(ticket, resident.work);
            self.active -= u64::from(!queue.is_active());
        }
        self.totals.waiting -= 1;
        self.totals.seats_waiting -= resident.estimate.max_seats();
        self.tally.rejected += 1;
        self.tally.cancelled += 1;
        self.bound(index);
        self.drop_if_idle(index);
        // It may have been one that needed more seats than were free, and those behind it don't.
        self.dispatch(now);
        Some(resident.payload)
    }

    /// When seats come free by themselves the next time.
    pub fn next_release(&self) -> Option<Duration> {
        self.lingering.peek().map(|Reverse((until, _))| *until)
    }

    /// Time goes by: seats whose time has come are free.
    pub fn tick(&mut self, now: Duration) {
        self.advance(now);
        self.dispatch(now);
    }

    /// Brings the meter and the seats up to `now`.
    fn advance(&mut self, now: Duration) {
        while let Some(until) = self.next_release().filter(|until| *until <= now) {
            self.run_meter(until);
            if let Some(Reverse((_, ticket))) = self.lingering.pop() {
                self.release(ticket);
            }
        }
        self.run_meter(now);
    }

    fn run_meter(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.metered_at);
        self.metered_at = self.metered_at.max(now);
        if self.active > 0 {
            let wanted = u64::from(self.totals.seats_in_use) + u64::from(self.totals.seats_waiting);
            let served = wanted.min(u64::from(self.seats));
            self.meter += SeatSeconds::share(served, elapsed, self.active);
        }
    }

    fn release(&mut self, ticket: Ticket) {
        let Some(resident) = self.residents.remove(ticket) else {
            return;
        };
        let seats = resident.estimate.max_seats();
        self.totals.seats_in_use -= seats;
        if let Some(index) = resident.queue {
            if let Some(queue) = self.queues.get_mut(&index) {
                queue.seats_in_use -= seats;
            }
            self.drop_if_idle(index);
        }
    }

    fn drop_if_idle(&mut self, index: u32) {
        if self.queues.get(&index).is_some_and(Queue::is_idle) {
            self.queues.remove(&index);
        }
    }

    /// No dispatch in the virtual world before the arrival: a queue that can't use all that it is given would save
    /// up for a burst else.
    fn bound(&mut self, index: u32) {
        let Some(queue) = self.queues.get_mut(&index) else {
            return;
        };
        let oldest = queue.head().and_then(|ticket| self.residents.get(ticket));
        if let Some(Phase::Waiting { arrived }) = oldest.map(|resident| resident.phase) {
            queue.next_dispatch = queue.next_dispatch.max(arrived);
        }
    }

    fn fits(&self, seats: u32) -> bool {
        if seats > self.seats {
            // It will never fit: it runs alone.
            return self.totals.executing == 0;
        }
        self.totals.seats_in_use + seats <= self.seats
    }

    fn dispatch(&mut self, now: Duration) {
        while self.totals.waiting > 0 && self.totals.seats_in_use < self.seats && self.dispatch_one(now) {}
    }

    /// Starts the request that would end first in the virtual world, if there are seats for it. If there are not,
    /// all others wait as well: they would keep a wide one out for ever.
    fn dispatch_one(&mut self, now: Duration) -> bool {
        let Some((index, ticket)) = self.next_in_turn() else {
            return false;
        };
        let Some(resident) = self.residents.get_mut(ticket) else {
            return false;
        };
        let (seats_waited_for, work) = (resident.estimate.max_seats(), resident.work);
        if !self.fits(seats_waited_for) {
            return false;
        }
        if let Some(resident) = self.residents.get_mut(ticket) {
            resident.estimate = resident.estimate.narrowed_to(self.seats);
        }
        if let Some(queue) = self.queues.get_mut(&index) {
            queue.remove(ticket, work);
            self.last_dispatch.start = queue.next_dispatch;
            queue.next_dispatch += work;
            queue.executing += 1;
        }
        self.last_served = index;
        self.totals.waiting -= 1;
        self.totals.seats_waiting -= seats_waited_for;
        self.execute(now, ticket);
        self.bound(index);
        self.dispatched.push(ticket);
        true
    }

    /// Of queues that are as good, the first after the one served last.
    fn next_in_turn(&mut self) -> Option<(u32, Ticket)> {
        let after = (Bound::Excluded(self.last_served), Bound::Unbounded);
        let in_turn = self
            .queues
            .range(after)
            .chain(self.queues.range(..=self.last_served));
        let mut best: Option<(SeatSeconds, u32, Ticket)> = None;
        let mut starts: Option<(SeatSeconds, SeatSeconds)> = None;
        let mut discounted: Option<(SeatSeconds, SeatSeconds)> = None;
        for (index, queue) in in_turn {
            let Some((ticket, resident)) = queue
                .head()
                .and_then(|ticket| Some((ticket, self.residents.get(ticket)?)))
            else {
                continue;
            };
            let start = queue.next_dispatch;
            widen(&mut starts, start);
            widen(
                &mut discounted,
                start - SeatSeconds::of(queue.seats_in_use, EXPECTED_SERVICE),
            );
            let end = start + resident.work;
            if best.is_none_or(|(least, ..)| end < least) {
                best = Some((end, *index, ticket));
            }
        }
        let (_, index, ticket) = best?;
        self.last_dispatch.meter = self.meter;
        self.last_dispatch.starts = starts.unwrap_or_default();
        self.last_dispatch.discounted = discounted.unwrap_or_default();
        Some((index, ticket))
    }

    fn execute(&mut self, now: Duration, ticket: Ticket) {
        let Some(resident) = self.residents.get_mut(ticket) else {
            return;
        };
        resident.phase = Phase::Executing { since: now };
        let seats = resident.estimate.max_seats();
        let index = resident.queue;
        self.totals.executing += 1;
        self.totals.seats_in_use += seats;
        self.tally.dispatched += 1;
        if let Some(queue) = index.and_then(|index| self.queues.get_mut(&index)) {
            queue.seats_in_use += seats;
        }
    }
}

/// Looking in.
impl<T> FairQueue<T> {
    /// Moves out the requests that left their queue to run, each once.
    pub fn take_dispatched(&mut self, into: &mut Vec<Ticket>) {
        into.append(&mut self.dispatched);
    }

    pub fn is_executing(&self, ticket: Ticket) -> bool {
        let resident = self.residents.get(ticket);
        resident.is_some_and(|resident| matches!(resident.phase, Phase::Executing { .. }))
    }

    pub fn payload_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        self.residents
            .get_mut(ticket)
            .map(|resident| &mut resident.payload)
    }

    pub fn residents(&self) -> impl Iterator<Item = (Ticket, &Resident<T>)> {
        self.residents.iter()
    }

    pub fn get(&self, ticket: Ticket) -> Option<&Resident<T>> {
        self.residents.get(ticket)
    }

    /// The queues that have requests, by index.
    pub fn queues(&self) -> impl Iterator<Item = (u32, QueueView<'_>)> {
        self.queues.iter().map(|(index, queue)| (*index, queue.view()))
    }

    /// How many requests wait in the queue of a request.
    pub fn length_before(&self, ticket: Ticket) -> usize {
        let index = self.residents.get(ticket).and_then(|resident| resident.queue);
        index
            .and_then(|index| self.queues.get(&index))
            .map_or(0, Queue::len)
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    pub fn tally(&self) -> Tally {
        self.tally
    }

    pub fn meter(&self) -> SeatSeconds {
        self.meter
    }

    pub fn last_dispatch(&self) -> LastDispatch {
        self.last_dispatch
    }

    pub fn policy(&self) -> Policy {
        self.policy
    }

    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// Nothing waits, nothing runs.
    pub fn is_idle(&self) -> bool {
        self.totals.waiting == 0 && self.totals.executing == 0
    }
}

fn widen(bounds: &mut Option<(SeatSeconds, SeatSeconds)>, value: SeatSeconds) {
    let (least, greatest) = bounds.unwrap_or((value, value));
    *bounds = Some((least.min(value), greatest.max(value)));
}
