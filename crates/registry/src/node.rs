//! Runtime classes.

use api::core::v1::Toleration;
use api::node::v1::RuntimeClass;
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::is_dns1123_label;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::core::pod::validation::requirements::validate_overhead;
use crate::core::pod::validation::scheduling::validate_tolerations;
use crate::internal::shown;
use crate::metadata::{immutable_text, messages, validate_labels};
use crate::rules::{MetadataChecks, Rules};
use crate::table;

/// What tells tolerations of a list apart.
fn key(toleration: &Toleration) -> [&str; 4] {
    [
        &toleration.key,
        &toleration.operator,
        &toleration.value,
        &toleration.effect,
    ]
}

/// RuntimeClasses.
pub struct RuntimeClasses;

impl Rules for RuntimeClasses {
    type Object = RuntimeClass;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const CREATE_ON_UPDATE: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(class: &RuntimeClass) -> ErrorList {
        let mut errors = ErrorList::new();
        let path = Path::new("handler");
        if class.handler.is_empty() {
            errors.push(Error::required(&path, ""));
        } else {
            errors.extend(messages(&path, &class.handler, is_dns1123_label(&class.handler)));
        }
        if let Some(overhead) = &class.overhead {
            let limits = Path::new("overhead").child("limits");
            errors.extend(validate_overhead(&overhead.pod_fixed, &limits));
        }
        if let Some(scheduling) = &class.scheduling {
            let path = Path::new("scheduling");
            errors.extend(validate_labels(
                &scheduling.node_selector,
                &path.child("nodeSelector"),
            ));
            let (tolerations, path) = (&scheduling.tolerations, path.child("tolerations"));
            errors.extend(validate_tolerations(tolerations, &path));
            for (index, toleration) in tolerations.iter().enumerate() {
                let same = |other: &Toleration| key(other) == key(toleration);
                if tolerations[..index].iter().any(same) {
                    errors.push(Error::duplicate(&path.index(index), shown(toleration)));
                }
            }
        }
        errors
    }

    fn validate_update(_cx: &Context<'_>, class: &RuntimeClass, old: &RuntimeClass) -> ErrorList {
        let mut errors = Self::validate(class);
        errors.extend(immutable_text(
            &class.handler,
            &old.handler,
            &Path::new("handler"),
        ));
        errors
    }

    fn row(class: &RuntimeClass, now: Timestamp) -> Vec<Value> {
        table::cluster::runtime_class(class, now)
    }
}
