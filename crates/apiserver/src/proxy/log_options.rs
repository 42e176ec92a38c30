//! What of a log is asked for.
//!
//! Upstream: `ValidatePodLogOptions`.

use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::gvk::GroupKind;
use apimachinery::status::Status;
use apimachinery::time::Time;

use crate::request::Request;
use crate::request::options::number;

/// 400 for what cannot be read, 422 for what makes no sense. An empty parameter is none.
pub fn check(request: &Request) -> Result<(), Status> {
    let query = &request.query;
    let stated = |name: &str| match query.get(name) {
        None | Some("") => Ok(None),
        Some(_) => number(query, name),
    };
    let (since_seconds, tail_lines) = (stated("sinceSeconds")?, stated("tailLines")?);
    let limit_bytes = stated("limitBytes")?;
    let since_time = query.get("sinceTime").filter(|time| !time.is_empty());
    if let Some(time) = since_time {
        Time::parse(time).map_err(|error| Status::bad_request(error.to_string()))?;
    }
    let mut errors = ErrorList::new();
    let mut at_least = |name: &'static str, value: Option<i64>, least: i64, why: &str| {
        if let Some(value) = value.filter(|value| *value < least) {
            errors.push(Error::invalid(&Path::new(name), value, why));
        }
    };
    at_least("tailLines", tail_lines, 0, "must be greater than or equal to 0");
    at_least("limitBytes", limit_bytes, 1, "must be greater than 0");
    if since_time.is_none() {
        at_least("sinceSeconds", since_seconds, 1, "must be greater than 0");
    } else if since_seconds.is_some() {
        let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
        errors.push(Error::forbidden(&Path::new("[]"), why));
    }
    if query.get("stream").is_some_and(|stream| !stream.is_empty()) {
        errors.push(Error::forbidden(&Path::new("stream"), "may not be specified"));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind::new("", "PodLogOptions");
    Err(Status::invalid(&kind, &request.info.name, &errors))
}
