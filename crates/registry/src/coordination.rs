//! Leases.

use api::coordination::v1::Lease;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_qualified_name;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::messages;
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

    fn prepare_create(_cx: &Context<'_>, lease: &mut Lease) {
        drop_coordination(lease, None);
    }

    fn prepare_update(_cx: &Context<'_>, lease: &mut Lease, old: &Lease) {
        drop_coordination(lease, Some(old));
    }

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
        if let Some(strategy) = &spec.strategy {
            errors.extend(validate_strategy(
                strategy,
                &path.child("strategy").child("strategy"),
            ));
        }
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

/// Coordinated leader election is off by default: its fields stay only where they already are.
fn drop_coordination(lease: &mut Lease, old: Option<&Lease>) {
    if old.is_none_or(|old| old.spec.strategy.is_none()) {
        lease.spec.strategy = None;
    }
    if old.is_none_or(|old| old.spec.preferred_holder.is_none()) {
        lease.spec.preferred_holder = None;
    }
}

/// A strategy of Kubernetes', or one that somebody's domain qualifies.
fn validate_strategy(strategy: &str, path: &Path) -> ErrorList {
    let known = ["OldestEmulationVersion"];
    if strategy.contains('/') {
        messages(path, strategy, is_qualified_name(strategy)).collect()
    } else if known.contains(&strategy) {
        ErrorList::new()
    } else {
        vec![Error::not_supported(path, strategy, &known)]
    }
}
