//! Whether a history could have been: linearizability and the guarantees of watches. Pure.
//!
//! The order of writes need not be searched for: every write has a revision, and revisions are totally ordered. So
//! it is enough, and takes little more than linear time, that
//!
//! - [`timeline`]: the versions of each object make a chain in which every write follows the one that it was made
//!   for, and every ending has a delete;
//! - [`states`]: a list shows the state at its revision, all of it and nothing else;
//! - [`order`]: every answer fits a position in that history that respects real time;
//! - [`watches`]: a watch shows every change between its beginning and its end, once and in order.
//!
//! A write without an answer may have happened or not: if anyone saw its effect it did, and may have taken effect
//! at any time after its call; if nobody did, it explains what else could not be explained, and demands nothing.

mod log;
mod order;
mod states;
mod timeline;
mod violation;
mod watches;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub use violation::Violation;

use crate::record::History;

/// All that is wrong with a history; empty when nothing is.
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut timelines = timeline::build(history, &mut violations);
    states::check(history, &mut timelines, &mut violations);
    order::check(history, &timelines, &mut violations);
    let log = log::build(&timelines);
    watches::check(history, &timelines, &log, &mut violations);
    violations
}
