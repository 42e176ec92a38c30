//! Leases.

use api::coordination::v1::Lease;
use apimachinery::field::{Error, ErrorList, Path};
use jiff::Timestamp;
use serde_json::Value;

use crate::numbers::{nonnegative, positive};
use crate::rules::Rules;
use crate::table;

/// Leases.
pub struct Leases;

impl Rules for Leases {
    type Object = Lease;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const CREATE_ON_UPDATE: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(lease: &Lease) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &lease.spec);
        let mut errors = ErrorList::new();
        errors.extend(
            spec.lease_duration_seconds
                .and_then(|n| positive(n, &path.child("leaseDurationSeconds"))),
        );
        errors.extend(
            spec.lease_transitions
                .and_then(|n| nonnegative(n, &path.child("leaseTransitions"))),
        );
        let strategy = spec.strategy.as_deref().unwrap_or_default();
        let preferred = spec.preferred_holder.as_deref().unwrap_or_default();
        if !preferred.is_empty() && strategy.is_empty() {
            let detail = "may only be specified if `strategy` is defined";
            errors.push(Error::forbidden(&path.child("preferredHolder"), detail));
        }
        errors
    }

    fn row(lease: &Lease, now: Timestamp) -> Vec<Value> {
        table::cluster::lease(lease, now)
    }
}
