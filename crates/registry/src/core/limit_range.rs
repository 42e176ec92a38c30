//! LimitRanges.

use std::collections::{BTreeMap, BTreeSet};

use api::core::v1::{LimitRange, LimitRangeItem};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::quantity::Quantity;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use super::pod::defaults::round_up;
use crate::resources::{is_overcommit_allowed, validate_container_name, validate_name};
use crate::rules::Rules;
use crate::table;

const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];
/// From here on amounts are compared as whole numbers.
const MAX_MILLI: i64 = i64::MAX / 1000;

/// LimitRanges.
pub struct LimitRanges;

impl Rules for LimitRanges {
    type Object = LimitRange;
    const CREATE_ON_UPDATE: bool = true;

    fn default(range: &mut LimitRange) {
        range.spec.limits.iter_mut().for_each(default_item);
    }

    fn prepare_create(_cx: &Context<'_>, range: &mut LimitRange) {
        if range.metadata.name.is_empty() {
            range.metadata.name = uuid::Uuid::new_v4().to_string();
        }
    }

    fn validate(range: &LimitRange) -> ErrorList {
        let path = Path::new("spec").child("limits");
        let mut errors = ErrorList::new();
        let mut types = BTreeSet::new();
        for (index, item) in range.spec.limits.iter().enumerate() {
            let path = path.index(index);
            let wrong = apimachinery::validation::is_qualified_name(&item.type_);
            if wrong.is_empty() && !item.type_.contains('/') && !TYPES.contains(&item.type_.as_str()) {
                let detail = "must be a standard limit type or fully qualified";
                errors.push(Error::invalid(&path.child("type"), &item.type_, detail));
            }
            errors.extend(crate::metadata::messages(&path.child("type"), &item.type_, wrong));
            if !types.insert(&item.type_) {
                errors.push(Error::duplicate(&path.child("type"), &item.type_));
            }
            errors.extend(validate_item(item, &path));
        }
        errors
    }

    fn row(range: &LimitRange, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&range.metadata)
    }
}

/// For containers the bounds are also the defaults, where those are not stated.
fn default_item(item: &mut LimitRangeItem) {
    let lists = [
        &mut item.max,
        &mut item.min,
        &mut item.default,
        &mut item.default_request,
        &mut item.max_limit_request_ratio,
    ];
    lists.into_iter().for_each(round_up);
    if item.type_ != "Container" {
        return;
    }
    let fill = |list: &mut BTreeMap<String, Quantity>, from: &BTreeMap<String, Quantity>| {
        for (name, quantity) in from {
            list.entry(name.clone()).or_insert_with(|| quantity.clone());
        }
    };
    fill(&mut item.default, &item.max);
    fill(&mut item.default_request, &item.default);
    fill(&mut item.default_request, &item.min);
}

fn validate_item(item: &LimitRangeItem, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let lists = [
        ("max", &item.max),
        ("min", &item.min),
        ("default", &item.default),
        ("defaultRequest", &item.default_request),
        ("maxLimitRequestRatio", &item.max_limit_request_ratio),
    ];
    for (field, list) in lists {
        let unused = item.type_ == "Pod" && matches!(field, "default" | "defaultRequest");
        for name in list.keys().filter(|_| !unused) {
            let path = path.child(field).key(name);
            errors.extend(match item.type_.as_str() {
                "Pod" | "Container" => validate_container_name(name, &path),
                _ => validate_name(name, &path),
            });
        }
    }
    if item.type_ == "Pod" {
        for (field, list) in [
            ("default", &item.default),
            ("defaultRequest", &item.default_request),
        ] {
            if !list.is_empty() {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(Error::forbidden(&path.child(field), detail));
            }
        }
    }
    if item.type_ == "PersistentVolumeClaim"
        && !item.min.contains_key("storage")
        && !item.max.contains_key("storage")
    {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), detail));
    }
    let names: BTreeSet<&String> = lists.iter().flat_map(|(_, list)| list.keys()).collect();
    errors.extend(
        names
            .into_iter()
            .flat_map(|name| validate_order(item, name, path)),
    );
    errors
}

/// min <= default request <= default <= max.
fn validate_order(item: &LimitRangeItem, name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let (min, max) = (item.min.get(name), item.max.get(name));
    let (request, default) = (item.default_request.get(name), item.default.get(name));
    let pairs = [
        ("min", "min", min, "max", max),
        ("defaultRequest", "min", min, "default request", request),
        ("defaultRequest", "default request", request, "max", max),
        ("defaultRequest", "default request", request, "default", default),
        ("default", "min", min, "default", default),
        ("default", "default", default, "max", max),
    ];
    for (field, low_name, low, high_name, high) in pairs {
        let (Some(low), Some(high)) = (low, high) else {
            continue;
        };
        if low <= high {
            continue;
        }
        let path = path.child(field).key(name);
        let detail = match (low_name, high_name) {
            ("min", "max") => format!("min value {low} is greater than max value {high}"),
            ("min", "default request") => {
                format!("min value {low} is greater than default request value {high}")
            }
            ("min", "default") => format!("min value {low} is greater than default value {high}"),
            ("default", _) => format!("default value {low} is greater than max value {high}"),
            (_, "max") => format!("default request value {low} is greater than max value {high}"),
            _ => format!("default request value {low} is greater than default limit value {high}"),
        };
        let shown = match (field, high_name) {
            ("default", "max") | ("defaultRequest", "default request") => high,
            _ => low,
        };
        errors.push(Error::invalid(&path, shown.to_string(), detail));
    }
    if let Some(ratio) = item.max_limit_request_ratio.get(name)
        && ratio.milli_value() < 1000
    {
        let path = path.child("maxLimitRequestRatio").key(name);
        errors.push(Error::invalid(
            &path,
            ratio.to_string(),
            format!("ratio {ratio} is less than 1"),
        ));
    }
    errors.extend(validate_ratio(item, name, path));
    if let (Some(default), Some(request)) = (default, request)
        && !is_overcommit_allowed(name)
        && default != request
    {
        let detail =
            format!("default value {default} must equal to defaultRequest value {request} in {name}");
        errors.push(Error::invalid(
            &path.child("defaultRequest").key(name),
            request.to_string(),
            detail,
        ));
    }
    errors
}

/// A limit can't be more times the request than max is of min.
fn validate_ratio(item: &LimitRangeItem, name: &str, path: &Path) -> Option<Error> {
    let ratio = item.max_limit_request_ratio.get(name)?;
    let (min, max) = (item.min.get(name)?, item.max.get(name)?);
    let exact = [ratio, min, max].iter().all(|amount| amount.value() < MAX_MILLI);
    let number = |amount: &Quantity| {
        if exact {
            amount.milli_value() as f64
        } else {
            amount.value() as f64
        }
    };
    let most = number(max) / number(min);
    let own = if exact {
        number(ratio) / 1000.0
    } else {
        number(ratio)
    };
    (own > most).then(|| {
        let path = path.child("maxLimitRequestRatio").key(name);
        let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
        Error::invalid(&path, ratio.to_string(), detail)
    })
}
