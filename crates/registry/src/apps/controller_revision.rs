//! ControllerRevisions: states of a workload that its controller may go back to.

use api::apps::v1::ControllerRevision;
use apimachinery::field::{Error, ErrorList, Path, Value as Shown};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// ControllerRevisions.
pub struct ControllerRevisions;

impl Rules for ControllerRevisions {
    type Object = ControllerRevision;

    fn validate(revision: &ControllerRevision) -> ErrorList {
        crate::numbers::nonnegative(revision.revision, &Path::new("revision"))
            .into_iter()
            .collect()
    }

    fn validate_create(_cx: &Context<'_>, revision: &ControllerRevision) -> ErrorList {
        let mut errors = Self::validate(revision);
        let path = Path::new("data");
        let raw = &revision.data.raw;
        let required = |detail: &str| Error::required(&path, detail);
        match serde_json::from_slice::<Value>(raw) {
            _ if raw.is_empty() => errors.push(required("data is mandatory")),
            Ok(Value::Object(_)) => {}
            Ok(Value::Null) => errors.push(required("data is mandatory")),
            Ok(_) => errors.push(required("data must be a valid JSON object")),
            Err(error) => {
                errors.push(Error::invalid(
                    &path,
                    "<value omitted>",
                    format!("error parsing data: {error}"),
                ));
            }
        }
        errors
    }

    fn validate_update(
        _cx: &Context<'_>,
        revision: &ControllerRevision,
        old: &ControllerRevision,
    ) -> ErrorList {
        let mut errors = Self::validate(revision);
        if revision.data != old.data {
            let data = match String::from_utf8_lossy(&revision.data.raw).into_owned() {
                data if data.is_empty() => "null".to_owned(),
                data => data,
            };
            errors.push(Error::immutable(&Path::new("data"), Shown::Json(data)));
        }
        errors
    }

    fn row(revision: &ControllerRevision, now: Timestamp) -> Vec<Value> {
        table::workload::controller_revision(revision, now)
    }
}
