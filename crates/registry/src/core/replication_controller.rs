//! ReplicationControllers.

use api::autoscaling::v1::Scale;
use api::core::v1::ReplicationController;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::labels::Selector;
use apimachinery::status::Status;
use apiserver::strategy::GarbageCollection;
use jiff::Timestamp;
use serde_json::Value;

use super::pod::{defaults, validation};
use crate::apps::replica_set::validate_endless;
use crate::numbers::{all_nonnegative, nonnegative, not_more_than};
use crate::rules::Rules;
use crate::{label_selector, scale, table, warnings};

/// ReplicationControllers.
pub struct ReplicationControllers;

impl Rules for ReplicationControllers {
    type Object = ReplicationController;
    const GARBAGE_COLLECTION: GarbageCollection = GarbageCollection::OrphanDependents;
    const FIELDS: &'static [&'static str] = &["status.replicas"];

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn default(controller: &mut ReplicationController) {
        let spec = &mut controller.spec;
        spec.replicas.get_or_insert(1);
        let Some(template) = &mut spec.template else {
            return;
        };
        let labels = &template.metadata.labels;
        if spec.selector.is_empty() {
            spec.selector.clone_from(labels);
        }
        if controller.metadata.labels.is_empty() {
            controller.metadata.labels.clone_from(labels);
        }
        defaults::template(template);
    }

    fn validate(controller: &ReplicationController) -> ErrorList {
        let (path, spec) = (Path::new("spec"), &controller.spec);
        let mut errors: ErrorList = nonnegative(spec.min_ready_seconds, &path.child("minReadySeconds"))
            .into_iter()
            .collect();
        let selector = path.child("selector");
        if spec.selector.is_empty() {
            errors.push(Error::required(&selector, ""));
        }
        errors.extend(nonnegative(spec.replicas.unwrap_or(0), &path.child("replicas")));
        let path = path.child("template");
        let Some(template) = spec.template.as_deref() else {
            errors.push(Error::required(&path, ""));
            return errors;
        };
        let selector = Selector::from_labels(&spec.selector);
        errors.extend(label_selector::validate_match(
            &selector,
            &template.metadata.labels,
            &path,
        ));
        errors.extend(validation::template(template, &path));
        errors.extend(validate_endless(template, "ReplicationController", &path));
        errors
    }

    fn validate_status_update(controller: &ReplicationController, _old: &ReplicationController) -> ErrorList {
        let (path, status) = (Path::new("status"), &controller.status);
        let counts = [
            ("fullyLabeledReplicas", status.fully_labeled_replicas),
            ("readyReplicas", status.ready_replicas),
            ("availableReplicas", status.available_replicas),
        ];
        let mut errors = all_nonnegative([("replicas", status.replicas.into())], &path);
        errors.extend(
            counts
                .iter()
                .filter_map(|(name, count)| nonnegative(*count, &path.child(*name))),
        );
        errors.extend(nonnegative(
            status.observed_generation,
            &path.child("observedGeneration"),
        ));
        for (name, count) in counts {
            let detail = "cannot be greater than status.replicas";
            errors.extend(not_more_than(count, status.replicas, &path.child(name), detail));
        }
        let (available, detail) = (status.available_replicas, "cannot be greater than readyReplicas");
        let path = path.child("availableReplicas");
        errors.extend(not_more_than(available, status.ready_replicas, &path, detail));
        errors
    }

    fn warnings(controller: &ReplicationController, old: Option<&ReplicationController>) -> Vec<String> {
        let path = Path::new("spec").child("template");
        let template = |of: &ReplicationController| {
            let own = of.spec.template.as_deref();
            own.map_or_else(Vec::new, |own| warnings::pod::template(own, &path))
        };
        match old {
            Some(old) if old.metadata.generation == controller.metadata.generation => Vec::new(),
            // Upstream warns of what the template was, and so do we.
            Some(old) => template(old),
            None => {
                let name = warnings::workload_name(&controller.metadata.name);
                name.into_iter().chain(template(controller)).collect()
            }
        }
    }

    fn scale(controller: &ReplicationController) -> Option<Scale> {
        let selector = Selector::from_labels(&controller.spec.selector).to_string();
        let wanted = controller.spec.replicas.unwrap_or(0);
        Some(scale::new(
            &controller.metadata,
            wanted,
            controller.status.replicas,
            selector,
        ))
    }

    fn set_scale(controller: &mut ReplicationController, scale: &Scale) -> Result<(), Status> {
        controller.spec.replicas = Some(scale::wanted(scale)?);
        Ok(())
    }

    fn field(controller: &ReplicationController, field: &str) -> Option<String> {
        (field == "status.replicas").then(|| controller.status.replicas.to_string())
    }

    fn row(controller: &ReplicationController, now: Timestamp) -> Vec<Value> {
        table::workload::replication_controller(controller, now)
    }
}
