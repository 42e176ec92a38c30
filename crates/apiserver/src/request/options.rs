//! Options that come as query parameters, decoded and validated with upstream's errors.

use apimachinery::field::{Error, ErrorList, Path, Value};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use apimachinery::{fields, labels};

use super::query::Query;
use crate::write::OperationOptions;

/// Longest field manager name.
const FIELD_MANAGER_MAX_LENGTH: usize = 128;

/// How a list's or watch's resourceVersion is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    Exact,
    NotOlderThan,
}

/// Parameters of list and watch.
#[derive(Clone, Debug)]
pub struct ListOptions {
    pub label_selector: labels::Selector,
    pub field_selector: fields::Selector,
    pub watch: bool,
    pub allow_watch_bookmarks: bool,
    pub resource_version: String,
    pub resource_version_match: Option<VersionMatch>,
    pub timeout_seconds: Option<i64>,
    pub limit: i64,
    pub continue_: String,
    pub send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads and validates the parameters of a list, a watch or a deletecollection.
    pub fn parse(query: &Query) -> Result<ListOptions, Status> {
        let mut options = ListOptions {
            label_selector: labels::Selector::everything(),
            field_selector: fields::Selector::everything(),
            watch: flag(query, "watch").unwrap_or(false),
            allow_watch_bookmarks: flag(query, "allowWatchBookmarks").unwrap_or(false),
            resource_version: text(query, "resourceVersion"),
            resource_version_match: None,
            timeout_seconds: number(query, "timeoutSeconds")?,
            limit: number(query, "limit")?.unwrap_or(0),
            continue_: text(query, "continue"),
            send_initial_events: flag(query, "sendInitialEvents"),
        };
        if let Some(raw) = query.get("labelSelector") {
            options.label_selector =
                labels::Selector::parse(raw).map_err(|error| Status::bad_request(error.to_string()))?;
        }
        if let Some(raw) = query.get("fieldSelector") {
            options.field_selector =
                fields::Selector::parse(raw).map_err(|error| Status::bad_request(error.to_string()))?;
        }
        let mut version_match = text(query, "resourceVersionMatch");
        let legacy = matches!(options.resource_version.as_str(), "" | "0");
        if options.watch && legacy && options.send_initial_events.is_none() && version_match.is_empty() {
            // A watch from "now" starts with the objects that are there.
            options.send_initial_events = Some(true);
            version_match = "NotOlderThan".to_owned();
        }
        let errors = options.validate(&version_match);
        if !errors.is_empty() {
            return Err(invalid("ListOptions", errors));
        }
        options.resource_version_match = match version_match.as_str() {
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            _ => None,
        };
        Ok(options)
    }

    fn validate(&self, version_match: &str) -> ErrorList {
        if self.watch {
            self.validate_watch(version_match)
        } else {
            self.validate_list(version_match)
        }
    }

    fn validate_list(&self, version_match: &str) -> ErrorList {
        let mut errors = ErrorList::new();
        let path = Path::new("resourceVersionMatch");
        if !version_match.is_empty() {
            if self.resource_version.is_empty() {
                errors.push(Error::forbidden(
                    &path,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if !self.continue_.is_empty() {
                errors.push(Error::forbidden(
                    &path,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if version_match != "Exact" && version_match != "NotOlderThan" {
                errors.push(Error::not_supported(
                    &path,
                    version_match,
                    &["Exact", "NotOlderThan", ""],
                ));
            }
            if version_match == "Exact" && self.resource_version == "0" {
                errors.push(Error::forbidden(
                    &path,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if self.send_initial_events.is_some() {
            errors.push(Error::forbidden(
                &Path::new("sendInitialEvents"),
                "sendInitialEvents is forbidden for list",
            ));
        }
        errors
    }

    fn validate_watch(&self, version_match: &str) -> ErrorList {
        let mut errors = ErrorList::new();
        let path = Path::new("resourceVersionMatch");
        if self.send_initial_events.is_some() && version_match != "NotOlderThan" {
            errors.push(Error::forbidden(
                &path,
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        if !version_match.is_empty() {
            if self.send_initial_events.is_none() {
                errors.push(Error::forbidden(
                    &path,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if version_match != "NotOlderThan" {
                errors.push(Error::not_supported(&path, version_match, &["NotOlderThan"]));
            }
            if !self.continue_.is_empty() {
                errors.push(Error::forbidden(
                    &path,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
        }
        errors
    }
}

/// What becomes of unknown and duplicate fields in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Parameters that create, update and patch share.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub field_manager: String,
    pub field_validation: FieldValidation,
    /// The client said so; otherwise it is what holds by default.
    pub validation_stated: bool,
    /// Only of apply patches.
    pub force: Option<bool>,
}

/// Which write the options belong to: their kind's name and extra rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    Create,
    Update,
    Patch,
    Apply,
}

impl WriteOptions {
    /// Reads and validates the parameters of a write.
    pub fn parse(query: &Query, kind: WriteKind) -> Result<WriteOptions, Status> {
        let dry_run: Vec<&str> = query.all("dryRun").collect();
        let field_manager = text(query, "fieldManager");
        let field_validation = text(query, "fieldValidation");
        let force = flag(query, "force");
        let mut errors = ErrorList::new();
        match kind {
            WriteKind::Apply if field_manager.is_empty() => {
                errors.push(Error::required(
                    &Path::new("fieldManager"),
                    "is required for apply patch",
                ));
            }
            WriteKind::Patch if force.is_some() => {
                errors.push(Error::forbidden(
                    &Path::new("force"),
                    "may not be specified for non-apply patch",
                ));
            }
            _ => {}
        }
        errors.extend(validate_field_manager(&field_manager));
        errors.extend(validate_dry_run(&dry_run));
        let directive = match field_validation.as_str() {
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            other => {
                errors.push(Error::not_supported(
                    &Path::new("fieldValidation"),
                    other,
                    &["", "Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Warn
            }
        };
        if !errors.is_empty() {
            return Err(invalid(kind.options_kind(), errors));
        }
        Ok(WriteOptions {
            dry_run: !dry_run.is_empty(),
            field_manager,
            field_validation: directive,
            validation_stated: !field_validation.is_empty(),
            force,
        })
    }
}

impl WriteOptions {
    /// The options as admission gets them. A patch is judged as an update.
    pub fn to_json(&self, kind: WriteKind) -> OperationOptions {
        let kind = if kind == WriteKind::Create {
            "CreateOptions"
        } else {
            "UpdateOptions"
        };
        // Written for every request, and read by few.
        let mut options = r#"{"apiVersion":"meta.k8s.io/v1""#.to_owned();
        if self.dry_run {
            options.push_str(r#","dryRun":["All"]"#);
        }
        if !self.field_manager.is_empty() {
            let manager = serde_json::Value::from(self.field_manager.as_str());
            options.push_str(&format!(r#","fieldManager":{manager}"#));
        }
        if self.validation_stated {
            let validation = self.field_validation;
            options.push_str(&format!(r#","fieldValidation":"{validation:?}""#));
        }
        options.push_str(&format!(r#","kind":"{kind}"}}"#));
        OperationOptions(options.into_bytes())
    }
}

impl WriteKind {
    fn options_kind(self) -> &'static str {
        match self {
            WriteKind::Create => "CreateOptions",
            WriteKind::Update => "UpdateOptions",
            WriteKind::Patch | WriteKind::Apply => "PatchOptions",
        }
    }
}

fn validate_field_manager(manager: &str) -> ErrorList {
    let path = Path::new("fieldManager");
    let mut errors = ErrorList::new();
    if manager.len() > FIELD_MANAGER_MAX_LENGTH {
        errors.push(Error::too_long(&path, FIELD_MANAGER_MAX_LENGTH));
    }
    for (at, char) in manager.char_indices().filter(|(_, char)| char.is_control()) {
        errors.push(Error::invalid(
            &path,
            manager,
            format!("invalid character U+{:04X} (at position {at})", char as u32),
        ));
    }
    errors
}

/// Errors of a dryRun list: `All` is the one value there is.
pub fn validate_dry_run(values: &[&str]) -> ErrorList {
    if values.iter().all(|value| *value == "All") {
        return ErrorList::new();
    }
    let given = serde_json::json!(values).to_string();
    vec![Error::not_supported(
        &Path::new("dryRun"),
        Value::Json(given),
        &["All"],
    )]
}

/// An Invalid status about an options object.
pub fn invalid(kind: &str, errors: ErrorList) -> Status {
    Status::invalid(&GroupKind::new("meta.k8s.io", kind), "", &errors)
}

/// A string parameter; empty when absent.
pub fn text(query: &Query, name: &str) -> String {
    query.get(name).unwrap_or_default().to_owned()
}

/// A boolean parameter: anything but `false` and `0` is true, as in upstream's conversion.
pub fn flag(query: &Query, name: &str) -> Option<bool> {
    query
        .get(name)
        .map(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
}

/// An integer parameter.
pub fn number(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let Some(value) = query.get(name) else {
        return Ok(None);
    };
    match value.parse::<i64>() {
        Ok(number) => Ok(Some(number)),
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = if matches!(error.kind(), PosOverflow | NegOverflow) {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Err(Status::bad_request(format!(
                "strconv.ParseInt: parsing {value:?}: {why}"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_error(raw: &str) -> String {
        match ListOptions::parse(&Query::parse(raw)) {
            Ok(_) => "ok".to_owned(),
            Err(status) => status.message.clone(),
        }
    }

    #[test]
    fn list_options_are_validated_as_upstream() {
        assert_eq!(
            list_error("limit=5&resourceVersion=10&resourceVersionMatch=Exact"),
            "ok"
        );
        assert_eq!(
            list_error("limit=abc"),
            "strconv.ParseInt: parsing \"abc\": invalid syntax"
        );
        assert_eq!(
            list_error("resourceVersionMatch=Exact"),
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        );
        assert_eq!(
            list_error("sendInitialEvents=true"),
            "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"
        );
    }

    #[test]
    fn a_watch_from_now_sends_initial_events() {
        let options = ListOptions::parse(&Query::parse("watch=1&resourceVersion=0")).expect("valid");
        assert_eq!(options.send_initial_events, Some(true));
        let options = ListOptions::parse(&Query::parse("watch=1&resourceVersion=7")).expect("valid");
        assert_eq!(options.send_initial_events, None);
    }

    #[test]
    fn write_options_know_their_kind() {
        let error = |raw: &str, kind| {
            WriteOptions::parse(&Query::parse(raw), kind)
                .expect_err("invalid")
                .message
                .clone()
        };
        assert_eq!(
            error("force=true", WriteKind::Patch),
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch"
        );
        assert_eq!(
            error("", WriteKind::Apply),
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
        );
        assert!(error("dryRun=Some", WriteKind::Create).contains("dryRun: Unsupported value"));
    }
}
