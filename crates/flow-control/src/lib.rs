//! API Priority and Fairness: which requests run, wait, or are refused when the server is busy.
//!
//! Reading order: [`work`] and [`seat_seconds`] (how much a request takes), [`dealer`] (shuffle sharding),
//! [`fair_queue`] (the machine of one level), [`demand`] and [`borrowing`] (seats between levels), [`schema`] (which
//! flow), [`mandatory`] and [`rules`] (from the objects to what is in force): all of these are pure. Then the rim:
//! [`level`], [`flow`] and [`table`] (machines at work), [`admission`] (a request's way through), [`flow_control`] (the
//! handle), [`task`] (what goes on beside the requests), [`watchers`], [`retry_after`], [`traffic`], [`histogram`],
//! [`metrics`] and [`dump`] (what is shown).
//!
//! It knows neither HTTP nor the store: requests come as digests, objects through [`auth::Follower`], and conditions
//! go out through [`task::Conditions`].
//!
//! Upstream: `k8s.io/apiserver/pkg/util/flowcontrol` (KEP-1040).

pub mod admission;
pub mod borrowing;
pub mod dealer;
pub mod demand;
pub mod dump;
pub mod fair_queue;
pub mod flow;
pub mod flow_control;
pub mod histogram;
pub mod level;
pub mod mandatory;
mod metrics;
pub mod retry_after;
pub mod rules;
pub mod schema;
pub mod seat_seconds;
pub mod table;
pub mod task;
pub mod traffic;
pub mod watchers;
pub mod work;

pub use admission::{Ask, Outcome, Permit, Waiting};
pub use flow::Flow;
pub use flow_control::FlowControl;
pub use level::About;
pub use schema::Digest;
pub use task::Conditions;
