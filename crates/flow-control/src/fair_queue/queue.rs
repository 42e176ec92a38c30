//! One queue: requests of one flow, or of a few that share it.

use std::collections::VecDeque;

use super::Ticket;
use crate::seat_seconds::SeatSeconds;

#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Ticket>,
    pub waiting_work: SeatSeconds,
    pub executing: u32,
    /// Of requests that run or linger.
    pub seats_in_use: u32,
    /// The meter at which its oldest request starts in the virtual world.
    pub next_dispatch: SeatSeconds,
}

/// A queue as it is shown.
#[derive(Clone, Debug)]
pub struct QueueView<'a> {
    pub waiting: &'a VecDeque<Ticket>,
    pub waiting_work: SeatSeconds,
    pub executing: u32,
    pub seats_in_use: u32,
    pub next_dispatch: SeatSeconds,
}

impl Queue {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// It has requests that wait or run.
    pub fn is_active(&self) -> bool {
        self.executing > 0 || !self.waiting.is_empty()
    }

    /// Nothing of it is left.
    pub fn is_idle(&self) -> bool {
        !self.is_active() && self.seats_in_use == 0
    }

    pub fn head(&self) -> Option<Ticket> {
        self.waiting.front().copied()
    }

    pub fn push(&mut self, ticket: Ticket, work: SeatSeconds) {
        self.waiting.push_back(ticket);
        self.waiting_work += work;
    }

    pub fn remove(&mut self, ticket: Ticket, work: SeatSeconds) {
        if let Some(position) = self.waiting.iter().position(|waiting| *waiting == ticket) {
            self.waiting.remove(position);
            self.waiting_work -= work;
        }
    }

    pub fn view(&self) -> QueueView<'_> {
        QueueView {
            waiting: &self.waiting,
            waiting_work: self.waiting_work,
            executing: self.executing,
            seats_in_use: self.seats_in_use,
            next_dispatch: self.next_dispatch,
        }
    }
}
