//! The watcher's states. Pure: every input bears the time, randomness comes in as a number.

use std::time::{Duration, Instant};

use crate::backoff::{Exponential, jitter};

/// Delays between failed attempts, as upstream's reflector: 0.8 s doubling to 30 s, each up to doubled by jitter.
const BACKOFF: Exponential = Exponential {
    initial: Duration::from_millis(800),
    max: Duration::from_secs(30),
    factor: 2.0,
};
/// After so long without failures the next one starts from the shortest delay again.
const BACKOFF_RESET: Duration = Duration::from_secs(120);
/// A watch that ends sooner than this, having said nothing, counts as a failure.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// What the task has to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask for a page of the list.
    List(ListFrom),
    /// Open a watch after this version.
    Watch { resource_version: String },
    /// Go on reading the open watch.
    Read,
    /// Do nothing until then.
    Wait { until: Instant },
}

/// Which page, from which version.
#[derive(Clone, Debug, PartialEq)]
pub enum ListFrom {
    /// Any version the server has at hand (`resourceVersion=0`): cheap, and what the first list needs.
    Any,
    /// The most recent version: after the server said that our version is too old.
    Latest,
    Continue(String),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A page of the list came; an empty token means that it was the last.
    Page {
        resource_version: String,
        continue_: String,
    },
    ListFailed(Failure),
    WatchOpened,
    /// An event or bookmark came through the watch.
    Seen {
        resource_version: String,
    },
    /// The watch ended, by the server's timeout or a failure.
    WatchEnded(Option<Failure>),
}

/// Why an attempt failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 410: the version or the continue token is too old.
    Expired,
    Other,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Listing(ListFrom),
    Listed {
        resource_version: String,
    },
    Watching {
        resource_version: String,
        opened: Instant,
        seen: bool,
    },
}

/// Where the watcher is.
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    failures: u32,
    last_failure: Option<Instant>,
    not_before: Option<Instant>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            state: State::Listing(ListFrom::Any),
            failures: 0,
            last_failure: None,
            not_before: None,
        }
    }
}

impl Machine {
    pub fn next(&self, now: Instant) -> Action {
        if let Some(until) = self.not_before.filter(|until| *until > now) {
            return Action::Wait { until };
        }
        match &self.state {
            State::Listing(from) => Action::List(from.clone()),
            State::Listed { resource_version } => Action::Watch {
                resource_version: resource_version.clone(),
            },
            State::Watching { .. } => Action::Read,
        }
    }

    /// `random` is in [0, 1).
    pub fn input(&mut self, input: Input, now: Instant, random: f64) {
        match input {
            Input::Page {
                resource_version,
                continue_,
            } if continue_.is_empty() => {
                self.state = State::Listed { resource_version };
            }
            Input::Page { continue_, .. } => self.state = State::Listing(ListFrom::Continue(continue_)),
            Input::ListFailed(failure) => self.list_failed(failure, now, random),
            Input::WatchOpened => {
                if let State::Listed { resource_version } = &mut self.state {
                    let resource_version = std::mem::take(resource_version);
                    self.state = State::Watching {
                        resource_version,
                        opened: now,
                        seen: false,
                    };
                }
            }
            Input::Seen {
                resource_version: new,
            } => {
                if let State::Watching {
                    resource_version,
                    seen,
                    ..
                } = &mut self.state
                {
                    *resource_version = new;
                    *seen = true;
                }
            }
            Input::WatchEnded(failure) => self.watch_ended(failure, now, random),
        }
    }

    fn list_failed(&mut self, failure: Failure, now: Instant, random: f64) {
        self.state = State::Listing(match failure {
            Failure::Expired => ListFrom::Latest,
            // A broken page loses what came before it: start over.
            Failure::Other => match &self.state {
                State::Listing(ListFrom::Latest) => ListFrom::Latest,
                _ => ListFrom::Any,
            },
        });
        self.back_off(now, random);
    }

    fn watch_ended(&mut self, failure: Option<Failure>, now: Instant, random: f64) {
        let (resource_version, silent) = match &self.state {
            State::Watching {
                resource_version,
                opened,
                seen,
            } => {
                let lasted = now.saturating_duration_since(*opened);
                (resource_version.clone(), !seen && lasted < SHORTEST_WATCH)
            }
            State::Listed { resource_version } => (resource_version.clone(), false),
            State::Listing(_) => return,
        };
        if failure == Some(Failure::Expired) {
            // No delay when the watch had worked until now: the list that follows is the remedy.
            self.state = State::Listing(ListFrom::Latest);
            self.back_off(now, random);
            return;
        }
        self.state = State::Listed { resource_version };
        if failure.is_some() || silent {
            self.back_off(now, random);
        }
    }

    fn back_off(&mut self, now: Instant, random: f64) {
        let quiet = self
            .last_failure
            .is_none_or(|last| now.saturating_duration_since(last) > BACKOFF_RESET);
        self.failures = if quiet { 0 } else { self.failures.saturating_add(1) };
        self.last_failure = Some(now);
        self.not_before = Some(now + jitter(BACKOFF.delay(self.failures), 1.0, random));
    }
}

#[cfg(test)]
mod tests;
