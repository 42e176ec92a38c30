//! kube-controller-manager: which controllers run, as whom, and when.
//!
//! In reading order: [`options`] is the command line; [`identity`] gives each controller its own service account;
//! [`selection`] understands `--controllers`; [`catalogue`] is the table of controllers, a row each; [`app`] builds
//! the daemon and runs it under leader election.
//!
//! The controllers themselves live in the crates `controllers-*`, which know nothing of each other or of this one.
//!
//! Upstream: cmd/kube-controller-manager/app

pub mod app;
pub mod catalogue;
pub mod identity;
pub mod options;
pub mod selection;

pub use app::{Error, run, run_until};
pub use options::{Options, flags};
