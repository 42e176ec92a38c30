//! DaemonSets.

use api::apps::v1::{DaemonSet, DaemonSetStatus, DaemonSetUpdateStrategy};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::int_or_string::IntOrString;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::replica_set::validate_endless;
use crate::core::pod::{defaults, validation};
use crate::internal::shown;
use crate::metadata::shown_map;
use crate::numbers::{all_nonnegative, at_most_100_percent, int_or_percent, nonnegative, plain_value};
use crate::rules::Rules;
use crate::{label_selector, table, warnings};

const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// DaemonSets. An annotation counts the changes of the template, which the API once had a field for.
pub struct DaemonSets;

impl Rules for DaemonSets {
    type Object = DaemonSet;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(set: &mut DaemonSet) {
        let spec = &mut set.spec;
        default_strategy(&mut spec.update_strategy);
        spec.revision_history_limit.get_or_insert(10);
        defaults::template(&mut spec.template);
        // Where the count of templates was kept before it became `metadata.generation`.
        set.metadata
            .annotations
            .entry(TEMPLATE_GENERATION.to_owned())
            .or_insert_with(|| "0".to_owned());
    }

    fn prepare_create(_cx: &Context<'_>, set: &mut DaemonSet) {
        let generation = template_generation(set).max(1);
        set_template_generation(set, generation);
    }

    fn prepare_update(_cx: &Context<'_>, set: &mut DaemonSet, old: &DaemonSet) {
        let changed = set.spec.template != old.spec.template;
        set_template_generation(set, template_generation(old) + i64::from(changed));
    }

    fn prepare_status_update(_cx: &Context<'_>, set: &mut DaemonSet, old: &DaemonSet) {
        set_template_generation(set, template_generation(old));
    }

    fn validate(set: &DaemonSet) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &set.spec);
        let selector = spec.selector.as_deref();
        let mut errors = selector.map_or_else(ErrorList::new, |own| {
            label_selector::validate_required(Some(own), "daemonset", &path.child("selector"))
        });
        let template_path = path.child("template");
        let selects = match selector.map(api::selector::from_label_selector) {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(selector)) => selector.matches(&spec.template.metadata.labels),
        };
        if !selects {
            let path = template_path.child("metadata").child("labels");
            let labels = shown_map(&spec.template.metadata.labels);
            errors.push(Error::invalid(
                &path,
                labels,
                "`selector` does not match template `labels`",
            ));
        }
        errors.extend(validation::template(&spec.template, &template_path));
        errors.extend(validate_endless(&spec.template, "DaemonSet", &template_path));
        errors.extend(nonnegative(
            spec.min_ready_seconds,
            &path.child("minReadySeconds"),
        ));
        errors.extend(validate_strategy(
            &spec.update_strategy,
            &path.child("updateStrategy"),
        ));
        if let Some(limit) = spec.revision_history_limit {
            errors.extend(nonnegative(limit, &path.child("revisionHistoryLimit")));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, set: &DaemonSet, old: &DaemonSet) -> ErrorList {
        let path = Path::new("spec").child("selector");
        let (new, old) = (set.spec.selector.as_deref(), old.spec.selector.as_deref());
        let mut errors: ErrorList = label_selector::validate_immutable(new, old, &path)
            .into_iter()
            .collect();
        errors.extend(Self::validate(set));
        errors
    }

    fn validate_status_update(set: &DaemonSet, old: &DaemonSet) -> ErrorList {
        let path = Path::new("status");
        let mut errors = validate_status(&set.status, &path);
        let (new, old) = (set.status.collision_count, old.status.collision_count);
        if old.is_some_and(|old| new.unwrap_or(0) < old) {
            let path = path.child("collisionCount");
            errors.push(Error::invalid(&path, new.unwrap_or(0), "cannot be decremented"));
        }
        errors
    }

    fn warnings(set: &DaemonSet, old: Option<&DaemonSet>) -> Vec<String> {
        if old.is_some_and(|old| template_generation(old) == template_generation(set)) {
            return Vec::new();
        }
        warnings::pod::template(&set.spec.template, &Path::new("spec").child("template"))
    }

    fn row(set: &DaemonSet, now: Timestamp) -> Vec<Value> {
        table::workload::daemon_set(set, now)
    }
}

fn template_generation(set: &DaemonSet) -> i64 {
    set.metadata
        .annotations
        .get(TEMPLATE_GENERATION)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn set_template_generation(set: &mut DaemonSet, generation: i64) {
    set.metadata
        .annotations
        .insert(TEMPLATE_GENERATION.to_owned(), generation.to_string());
}

fn default_strategy(strategy: &mut DaemonSetUpdateStrategy) {
    if strategy.type_.is_empty() {
        strategy.type_ = "RollingUpdate".to_owned();
    }
    if strategy.type_ == "RollingUpdate" {
        let rolling = strategy.rolling_update.get_or_insert_default();
        rolling.max_unavailable.get_or_insert(IntOrString::Int(1));
        rolling.max_surge.get_or_insert(IntOrString::Int(0));
    }
}

fn validate_strategy(strategy: &DaemonSetUpdateStrategy, path: &Path) -> ErrorList {
    let rolling_path = path.child("rollingUpdate");
    let update = match (strategy.type_.as_str(), strategy.rolling_update.as_deref()) {
        ("OnDelete", _) => return ErrorList::new(),
        ("RollingUpdate", None) => return vec![Error::required(&rolling_path, "")],
        ("RollingUpdate", Some(update)) => update,
        _ => {
            return vec![Error::not_supported(
                path,
                shown(strategy),
                &["RollingUpdate", "OnDelete"],
            )];
        }
    };
    let zero = IntOrString::Int(0);
    let unavailable = update.max_unavailable.as_ref().unwrap_or(&zero);
    let surge = update.max_surge.as_ref().unwrap_or(&zero);
    let (unavailable_path, surge_path) = (
        rolling_path.child("maxUnavailable"),
        rolling_path.child("maxSurge"),
    );
    let mut errors = int_or_percent(unavailable, &unavailable_path);
    errors.extend(int_or_percent(surge, &surge_path));
    match (plain_value(unavailable), plain_value(surge)) {
        (1.., ..=-1 | 1..) | (..=-1, ..=-1 | 1..) => {
            let detail = "may not be set when maxUnavailable is non-zero";
            errors.push(Error::invalid(&surge_path, crate::numbers::shown(surge), detail));
        }
        (0, 0) => {
            let detail = "cannot be 0 when maxSurge is 0";
            errors.push(Error::required(&unavailable_path, detail));
        }
        _ => {}
    }
    errors.extend(at_most_100_percent(unavailable, &unavailable_path));
    errors.extend(at_most_100_percent(surge, &surge_path));
    errors
}

fn validate_status(status: &DaemonSetStatus, path: &Path) -> ErrorList {
    all_nonnegative(
        [
            ("currentNumberScheduled", status.current_number_scheduled.into()),
            ("numberMisscheduled", status.number_misscheduled.into()),
            ("desiredNumberScheduled", status.desired_number_scheduled.into()),
            ("numberReady", status.number_ready.into()),
            ("observedGeneration", status.observed_generation),
            ("updatedNumberScheduled", status.updated_number_scheduled.into()),
            ("numberAvailable", status.number_available.into()),
            ("numberUnavailable", status.number_unavailable.into()),
            ("collisionCount", status.collision_count.unwrap_or(0).into()),
        ],
        path,
    )
}
