//! CronJobs.

use api::batch::v1::CronJob;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// CronJobs.
pub struct CronJobs;

impl Rules for CronJobs {
    type Object = CronJob;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &CronJob, now: Timestamp) -> Vec<Value> {
        table::workload::cron_job(object, now)
    }
}
