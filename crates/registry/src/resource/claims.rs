//! What a claim asks for.

use std::collections::{BTreeMap, BTreeSet};

use api::resource::v1::{
    DeviceClaim, DeviceConfiguration, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceSubRequest,
    DeviceToleration, ExactDeviceRequest,
};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::validation::{is_dns1123_subdomain, is_qualified_name, is_valid_label_value};
use cel::{Environment, Type};

use super::names::{
    validate_fully_qualified_name, validate_label, validate_list, validate_parameters, validate_set,
};
use crate::metadata::messages;
use crate::storage::validate_driver_name;

const MOST_REQUESTS: usize = 32;
const MOST_CONSTRAINTS: usize = 32;
pub(super) const MOST_CONFIGS: usize = 32;
const MOST_SELECTORS: usize = 32;
const MOST_ALTERNATIVES: usize = 8;
const MAX_EXPRESSION: usize = 10 * 1024;
const MAX_PARAMETERS: usize = 10 * 1024;
const ALL: &str = "All";
const EXACT_COUNT: &str = "ExactCount";
pub(super) const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

/// Whether expressions and parameters are judged as new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Yes,
    No,
}

pub(super) fn default(claim: &mut DeviceClaim) {
    let mode = |mode: &mut String, count: &mut i64| {
        if mode.is_empty() {
            *mode = EXACT_COUNT.to_owned();
        }
        if mode == EXACT_COUNT && *count == 0 {
            *count = 1;
        }
    };
    for request in &mut claim.requests {
        if let Some(exactly) = &mut request.exactly {
            default_tolerations(&mut exactly.tolerations);
            mode(&mut exactly.allocation_mode, &mut exactly.count);
        }
        for alternative in &mut request.first_available {
            default_tolerations(&mut alternative.tolerations);
            mode(&mut alternative.allocation_mode, &mut alternative.count);
        }
    }
}

pub(super) fn default_tolerations(tolerations: &mut [DeviceToleration]) {
    let unset = tolerations
        .iter_mut()
        .filter(|toleration| toleration.operator.is_empty());
    unset.for_each(|toleration| toleration.operator = "Equal".to_owned());
}

/// The names of a claim's requests, each with those of its alternatives.
pub(super) struct Names<'a>(BTreeMap<&'a str, BTreeSet<&'a str>>);

impl<'a> Names<'a> {
    pub(super) fn of(claim: &'a DeviceClaim) -> Names<'a> {
        let alternatives = |request: &'a DeviceRequest| {
            let alternatives = request.first_available.iter();
            alternatives
                .map(|alternative| alternative.name.as_str())
                .collect()
        };
        let requests = claim.requests.iter();
        Names(
            requests
                .map(|request| (request.name.as_str(), alternatives(request)))
                .collect(),
        )
    }

    fn contains(&self, name: &str) -> bool {
        match name.split_once('/') {
            None => self.0.contains_key(name),
            Some((request, alternative)) => self
                .0
                .get(request)
                .is_some_and(|alternatives| alternatives.contains(alternative)),
        }
    }

    /// Errors of a reference to a request.
    pub(super) fn validate(&self, name: &str, path: &Path) -> ErrorList {
        let unknown = || {
            let detail = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
            Error::invalid(path, name, detail)
        };
        let segments: Vec<&str> = name.split('/').collect();
        if segments.len() > 2 {
            return vec![unknown()];
        }
        let mut errors: ErrorList = segments
            .into_iter()
            .flat_map(|segment| validate_label(segment, path))
            .collect();
        if !self.contains(name) {
            errors.push(unknown());
        }
        errors
    }

    /// Errors of a set of such references.
    pub(super) fn validate_all(&self, names: &[String], path: &Path) -> ErrorList {
        validate_set(names, MOST_REQUESTS, path, String::clone, |name, path| {
            self.validate(name, path)
        })
    }
}

pub(super) fn validate(claim: &DeviceClaim, path: &Path) -> ErrorList {
    let names = Names::of(claim);
    let mut errors = validate_set(
        &claim.requests,
        MOST_REQUESTS,
        &path.child("requests"),
        |request| request.name.clone(),
        validate_request,
    );
    errors.extend(validate_list(
        &claim.constraints,
        MOST_CONSTRAINTS,
        &path.child("constraints"),
        |constraint, path| validate_constraint(constraint, &names, path),
    ));
    errors.extend(validate_list(
        &claim.config,
        MOST_CONFIGS,
        &path.child("config"),
        |config, path| {
            let mut errors = names.validate_all(&config.requests, &path.child("requests"));
            errors.extend(validate_configuration(
                &config.device_configuration,
                Stored::No,
                path,
            ));
            errors
        },
    ));
    errors
}

fn validate_request(request: &DeviceRequest, path: &Path) -> ErrorList {
    let mut errors = validate_label(&request.name, &path.child("name"));
    let one = "exactly one of `exactly` or `firstAvailable` is required";
    match (&request.exactly, request.first_available.as_slice()) {
        (None, []) => errors.push(Error::required(path, one)),
        (Some(exactly), []) => errors.extend(validate_exact(exactly, &path.child("exactly"))),
        (None, alternatives) => errors.extend(validate_set(
            alternatives,
            MOST_ALTERNATIVES,
            &path.child("firstAvailable"),
            |alternative| alternative.name.clone(),
            validate_alternative,
        )),
        (Some(_), _) => {
            let detail = format!("{one}, but multiple fields are set");
            errors.push(Error::invalid(path, None::<String>, detail));
        }
    }
    errors
}

fn validate_exact(request: &ExactDeviceRequest, path: &Path) -> ErrorList {
    let mut errors = validate_class(&request.device_class_name, &path.child("deviceClassName"));
    errors.extend(validate_selectors(
        &request.selectors,
        &path.child("selectors"),
        Stored::No,
    ));
    errors.extend(validate_mode(&request.allocation_mode, request.count, path));
    errors.extend(validate_tolerations(
        &request.tolerations,
        &path.child("tolerations"),
    ));
    errors
}

fn validate_alternative(request: &DeviceSubRequest, path: &Path) -> ErrorList {
    let mut errors = validate_label(&request.name, &path.child("name"));
    errors.extend(validate_class(
        &request.device_class_name,
        &path.child("deviceClassName"),
    ));
    errors.extend(validate_selectors(
        &request.selectors,
        &path.child("selectors"),
        Stored::No,
    ));
    errors.extend(validate_mode(&request.allocation_mode, request.count, path));
    errors.extend(validate_tolerations(
        &request.tolerations,
        &path.child("tolerations"),
    ));
    errors
}

fn validate_class(name: &str, path: &Path) -> ErrorList {
    match name {
        "" => vec![Error::required(path, "")],
        name => messages(path, name, is_dns1123_subdomain(name)).collect(),
    }
}

fn validate_mode(mode: &str, count: i64, path: &Path) -> Option<Error> {
    let at = path.child("count");
    match mode {
        ALL if count != 0 => {
            let detail = format!("must not be specified when allocationMode is '{ALL}'");
            Some(Error::invalid(&at, count, detail))
        }
        EXACT_COUNT if count <= 0 => Some(Error::invalid(&at, count, "must be greater than zero")),
        ALL | EXACT_COUNT => None,
        other => Some(Error::not_supported(
            &path.child("allocationMode"),
            other,
            &[ALL, EXACT_COUNT],
        )),
    }
}

/// Selectors are expressions about devices. What they might cost at most is not estimated.
pub(super) fn validate_selectors(selectors: &[DeviceSelector], path: &Path, stored: Stored) -> ErrorList {
    validate_list(selectors, MOST_SELECTORS, path, |selector, path| {
        let path = path.child("cel");
        let Some(cel) = &selector.cel else {
            return vec![Error::required(&path, "")];
        };
        let too_long = cel.expression.len() > MAX_EXPRESSION && stored == Stored::No;
        let path = path.child("expression");
        if too_long {
            return vec![Error::too_long(&path, MAX_EXPRESSION)];
        }
        let wrong = selects(&cel.expression).err();
        wrong
            .map(|error| Error::invalid(&path, cel.expression.as_str(), error))
            .into_iter()
            .collect()
    })
}

/// Compiles an expression that says whether a device will do.
fn selects(expression: &str) -> Result<(), String> {
    let of_domains = |of| Type::map(Type::String, Type::map(Type::String, of));
    let device = Type::object(
        "kubernetes.DRADevice",
        [
            ("driver".to_owned(), Type::String),
            ("attributes".to_owned(), of_domains(Type::Dyn)),
            (
                "capacity".to_owned(),
                of_domains(Type::opaque("kubernetes.Quantity")),
            ),
            ("allowMultipleAllocations".to_owned(), Type::Bool),
        ],
    );
    let environment = Environment::new().with_bindings().with("device", device);
    let program =
        cel::compile(&environment, expression).map_err(|issues| format!("compilation failed: {issues}"))?;
    match program.output() {
        Type::Bool | Type::Dyn => Ok(()),
        other => Err(format!("must evaluate to bool or the unknown type, not {other}")),
    }
}

fn validate_constraint(constraint: &DeviceConstraint, names: &Names<'_>, path: &Path) -> ErrorList {
    let mut errors = names.validate_all(&constraint.requests, &path.child("requests"));
    if let Some(name) = &constraint.match_attribute {
        errors.extend(validate_fully_qualified_name(name, &path.child("matchAttribute")));
    } else if let Some(name) = &constraint.distinct_attribute {
        errors.extend(validate_fully_qualified_name(
            name,
            &path.child("distinctAttribute"),
        ));
    } else {
        let detail = r#"exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set"#;
        errors.push(Error::required(path, detail));
    }
    errors
}

pub(super) fn validate_configuration(config: &DeviceConfiguration, stored: Stored, path: &Path) -> ErrorList {
    let path = path.child("opaque");
    let Some(opaque) = &config.opaque else {
        return vec![Error::required(&path, "")];
    };
    let mut errors = validate_driver_name(&opaque.driver, &path.child("driver"));
    let most = (stored == Stored::No).then_some(MAX_PARAMETERS);
    errors.extend(validate_parameters(
        &opaque.parameters.raw,
        most,
        &path.child("parameters"),
    ));
    errors
}

fn validate_tolerations(tolerations: &[DeviceToleration], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let key = toleration.key.as_str();
        if !key.is_empty() {
            errors.extend(messages(&path.child("key"), key, is_qualified_name(key)));
        }
        let (value, at) = (toleration.value.as_str(), path.child("value"));
        let operator = path.child("operator");
        match toleration.operator.as_str() {
            "Exists" if !value.is_empty() => {
                errors.push(Error::invalid(&at, value, "must be empty for operator `Exists`"));
            }
            "Exists" => {}
            "Equal" => errors.extend(messages(&at, value, is_valid_label_value(value))),
            "" => errors.push(Error::required(&operator, "")),
            other => errors.push(Error::not_supported(&operator, other, &["Equal", "Exists"])),
        }
        let effect = toleration.effect.as_str();
        if !effect.is_empty() && !EFFECTS.contains(&effect) {
            errors.push(Error::not_supported(&path.child("effect"), effect, &EFFECTS));
        }
    }
    errors
}
