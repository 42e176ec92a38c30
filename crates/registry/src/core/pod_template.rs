//! PodTemplates.

use api::core::v1::PodTemplate;
use apimachinery::field::{ErrorList, Path};
use jiff::Timestamp;
use serde_json::Value;

use super::pod::{defaults, validation};
use crate::rules::Rules;
use crate::{table, warnings};

/// PodTemplates.
pub struct PodTemplates;

impl Rules for PodTemplates {
    type Object = PodTemplate;
    const RETURNS_DELETED: bool = true;

    crate::generation!(template);

    fn default(object: &mut PodTemplate) {
        defaults::template(&mut object.template);
    }

    fn validate(object: &PodTemplate) -> ErrorList {
        validation::template(&object.template, &Path::new("template"))
    }

    fn warnings(object: &PodTemplate, old: Option<&PodTemplate>) -> Vec<String> {
        if old.is_some_and(|old| old.metadata.generation == object.metadata.generation) {
            return Vec::new();
        }
        warnings::pod::template(&object.template, &Path::new("template"))
    }

    fn row(object: &PodTemplate, _now: Timestamp) -> Vec<Value> {
        table::pod::template_row(object)
    }
}
