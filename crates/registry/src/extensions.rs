//! Kinds that extend the API: custom resource definitions and API services. What definitions add is served by the
//! crate `apiextensions`, what API services add is passed on by `apiserver::aggregation`.

pub mod approval;
mod columns;
mod defaults;
pub mod definitions;
mod expressions;
mod formats;
mod hoisted;
mod schema;
mod structural;

use api::apiregistration::v1::{APIService, APIServiceCondition};
use apimachinery::field::{Error, ErrorList, Path};
use apimachinery::time::Time;
use apimachinery::validation::{
    is_dns1035_label, is_dns1123_subdomain, is_valid_path_segment_name, is_valid_port_num,
};
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::metadata::messages;
use crate::rules::{MetadataChecks, Rules};
use crate::{table, webhook_client};

pub use definitions::CustomResourceDefinitions;
pub use structural::violations;

/// APIServices.
pub struct ApiServices;

impl Rules for ApiServices {
    type Object = APIService;
    const PLAIN_FINALIZERS_CHECKED: bool = false;
    const METADATA_CHECKS: MetadataChecks = MetadataChecks::Whole;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();

    fn check_name(name: &str, _prefix: bool) -> Vec<String> {
        is_valid_path_segment_name(name)
    }

    fn default(service: &mut APIService) {
        if let Some(service) = &mut service.spec.service {
            service.port.get_or_insert(webhook_client::PORT);
        }
    }

    /// What this server itself serves is there at once.
    fn prepare_create(cx: &Context<'_>, service: &mut APIService) {
        if service.spec.service.is_none() {
            service.status.conditions = vec![APIServiceCondition {
                type_: "Available".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(Time(cx.now).truncated()),
                reason: "Local".to_owned(),
                message: "Local APIServices are always available".to_owned(),
            }];
        }
    }

    fn validate(service: &APIService) -> ErrorList {
        let (spec, path) = (&service.spec, Path::new("spec"));
        let mut errors = ErrorList::new();
        let name = format!("{}.{}", spec.version, spec.group);
        let own = service.metadata.name.as_str();
        if own != name && !own.is_empty() && is_valid_path_segment_name(own).is_empty() {
            let detail = format!("must be `spec.version+\".\"+spec.group`: \"{name}\"");
            let at = Path::new("metadata").child("name");
            errors.push(Error::invalid(&at, service.metadata.name.as_str(), detail));
        }
        let at = path.child("group");
        if !spec.group.is_empty() {
            errors.extend(messages(&at, &spec.group, is_dns1123_subdomain(&spec.group)));
        } else if spec.version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.push(Error::required(&at, detail));
        }
        let wrong = is_dns1035_label(&spec.version);
        errors.extend(messages(&path.child("version"), &spec.version, wrong));
        for (priority, most, field) in [
            (spec.group_priority_minimum, 20000, "groupPriorityMinimum"),
            (spec.version_priority, 1000, "versionPriority"),
        ] {
            if !(1..=most).contains(&priority) {
                let detail = format!("must be positive and less than {most}");
                errors.push(Error::invalid(&path.child(field), priority, detail));
            }
        }
        errors.extend(validate_backend(service, &path));
        errors
    }

    fn validate_status_update(service: &APIService, _old: &APIService) -> ErrorList {
        let path = Path::new("status").child("conditions");
        let statuses = ["True", "False", "Unknown"];
        let conditions = service.status.conditions.iter().enumerate();
        conditions
            .filter(|(_, condition)| !statuses.contains(&condition.status.as_str()))
            .map(|(index, condition)| {
                let at = path.index(index).child("status");
                Error::not_supported(&at, condition.status.as_str(), &statuses)
            })
            .collect()
    }

    fn row(object: &APIService, now: Timestamp) -> Vec<Value> {
        table::cluster::api_service(object, now)
    }
}

fn validate_backend(service: &APIService, path: &Path) -> ErrorList {
    let spec = &service.spec;
    let mut errors = ErrorList::new();
    let (bundle, insecure) = (path.child("caBundle"), path.child("insecureSkipTLSVerify"));
    let Some(backend) = &spec.service else {
        if !spec.ca_bundle.is_empty() {
            let shown = format!("{} bytes", spec.ca_bundle.len());
            errors.push(Error::invalid(
                &bundle,
                shown,
                "local APIServices may not have a caBundle",
            ));
        }
        if spec.insecure_skip_tls_verify {
            let detail = "local APIServices may not have insecureSkipTLSVerify";
            errors.push(Error::invalid(&insecure, true, detail));
        }
        return errors;
    };
    let at = path.child("service");
    for (text, field) in [(&backend.namespace, "namespace"), (&backend.name, "name")] {
        errors.extend(text.is_empty().then(|| Error::required(&at.child(field), "")));
    }
    let port = backend.port.unwrap_or_default();
    let wrong = is_valid_port_num(port.into());
    if !wrong.is_empty() {
        let detail = format!("port is not valid: {}", wrong.join(", "));
        errors.push(Error::invalid(&at.child("port"), port, detail));
    }
    if spec.insecure_skip_tls_verify && !spec.ca_bundle.is_empty() {
        errors.push(Error::invalid(
            &insecure,
            true,
            "may not be true if caBundle is present",
        ));
    }
    errors
}
