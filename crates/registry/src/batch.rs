//! Work that ends.

pub mod cron_job;
pub mod job;
mod schedule;
