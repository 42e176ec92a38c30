//! Runtime classes.

use api::node::v1::RuntimeClass;
use apimachinery::field::{ErrorList, Path};
use apimachinery::validation::is_dns1123_label;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::validation::scheduling::validate_tolerations;
use crate::metadata::{immutable_text, messages, validate_labels};
use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// RuntimeClasses.
pub struct RuntimeClasses;

impl Rules for RuntimeClasses {
    type Object = RuntimeClass;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(class: &RuntimeClass) -> ErrorList {
        let mut errors: ErrorList = messages(
            &Path::new("handler"),
            &class.handler,
            is_dns1123_label(&class.handler),
        )
        .collect();
        if let Some(scheduling) = &class.scheduling {
            let path = Path::new("scheduling");
            errors.extend(validate_labels(
                &scheduling.node_selector,
                &path.child("nodeSelector"),
            ));
            errors.extend(validate_tolerations(
                &scheduling.tolerations,
                &path.child("tolerations"),
            ));
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, class: &RuntimeClass, old: &RuntimeClass) -> ErrorList {
        immutable_text(&class.handler, &old.handler, &Path::new("handler"))
            .into_iter()
            .collect()
    }

    fn row(class: &RuntimeClass, now: Timestamp) -> Vec<Value> {
        table::cluster::runtime_class(class, now)
    }
}
