//! Namespaces, configuration, identities and the kinds about the API itself.

use api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ParamKind,
    ParamRef, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use api::apiregistration::v1::APIService;
use api::certificates::v1::CertificateSigningRequest;
use api::coordination::v1::Lease;
use api::core::v1::{ComponentStatus, ConfigMap, Namespace, ResourceQuota, Secret};
use api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use api::meta::v1::{LabelSelector, ObjectMeta};
use api::node::v1::RuntimeClass;
use api::rbac::v1::{RoleRef, Subject};
use api::scheduling::v1::PriorityClass;
use jiff::Timestamp;
use serde_json::Value;

use super::{NONE, UNSET, age, human_duration};

pub fn namespace(object: &Namespace, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.status.phase.as_str(),
        age(&object.metadata, now)
    ]
}

pub fn config_map(object: &ConfigMap, now: Timestamp) -> Vec<Value> {
    let entries = object.data.len() + object.binary_data.len();
    crate::cells![object.metadata.name.as_str(), entries, age(&object.metadata, now)]
}

pub fn secret(object: &Secret, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.type_.as_str(),
        object.data.len(),
        age(&object.metadata, now)
    ]
}

pub fn component_status(object: &ComponentStatus) -> Vec<Value> {
    let healthy = object
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Healthy");
    let (status, message, error) = match healthy {
        None => ("Unknown", "", ""),
        Some(condition) => {
            let status = if condition.status == "True" {
                "Healthy"
            } else {
                "Unhealthy"
            };
            (status, condition.message.as_str(), condition.error.as_str())
        }
    };
    crate::cells![object.metadata.name.as_str(), status, message, error]
}

pub fn resource_quota(object: &ResourceQuota, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in &object.status.hard {
        let used = object
            .status
            .used
            .get(resource)
            .map_or("0".to_owned(), ToString::to_string);
        let column = if resource.starts_with("limits.") {
            &mut limits
        } else {
            &mut requests
        };
        column.push(format!("{resource}: {used}/{hard}"));
    }
    crate::cells![
        object.metadata.name.as_str(),
        requests.join(", "),
        limits.join(", "),
        age(&object.metadata, now)
    ]
}

pub fn binding(metadata: &ObjectMeta, role: &RoleRef, subjects: &[Subject], now: Timestamp) -> Vec<Value> {
    let name = |subject: &Subject| match subject.kind.as_str() {
        "ServiceAccount" if !subject.namespace.is_empty() => {
            format!("{}/{}", subject.namespace, subject.name)
        }
        _ => subject.name.clone(),
    };
    let joined = |kind: &str| {
        let of_kind = subjects.iter().filter(|subject| subject.kind == kind);
        of_kind.map(name).collect::<Vec<_>>().join(", ")
    };
    crate::cells![
        metadata.name.as_str(),
        format!("{}/{}", role.kind, role.name),
        age(metadata, now),
        joined("User"),
        joined("Group"),
        joined("ServiceAccount"),
    ]
}

pub fn certificate_signing_request(object: &CertificateSigningRequest, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    let signer = if spec.signer_name.is_empty() {
        NONE
    } else {
        &spec.signer_name
    };
    let duration = spec
        .expiration_seconds
        .map_or(NONE.to_owned(), |seconds| human_duration(i64::from(seconds)));
    crate::cells![
        object.metadata.name.as_str(),
        age(&object.metadata, now),
        signer,
        spec.username.as_str(),
        duration,
        csr_condition(object),
    ]
}

fn csr_condition(object: &CertificateSigningRequest) -> String {
    let has = |type_: &str| {
        object
            .status
            .conditions
            .iter()
            .any(|condition| condition.type_ == type_)
    };
    let mut status = if has("Denied") {
        "Denied"
    } else if has("Approved") {
        "Approved"
    } else {
        "Pending"
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !object.status.certificate.is_empty() {
        status.push_str(",Issued");
    }
    status
}

pub fn lease(object: &Lease, now: Timestamp) -> Vec<Value> {
    let holder = object.spec.holder_identity.as_deref().unwrap_or_default();
    crate::cells![object.metadata.name.as_str(), holder, age(&object.metadata, now)]
}

pub fn priority_class(object: &PriorityClass, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.value,
        object.global_default,
        age(&object.metadata, now),
        object.preemption_policy.as_deref().unwrap_or_default(),
    ]
}

pub fn runtime_class(object: &RuntimeClass, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.handler.as_str(),
        age(&object.metadata, now)
    ]
}

pub fn api_service(object: &APIService, now: Timestamp) -> Vec<Value> {
    let service = object.spec.service.as_deref();
    let service = service.map_or("Local".to_owned(), |service| {
        format!("{}/{}", service.namespace, service.name)
    });
    let available = object
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Available");
    let available = match available {
        None => "Unknown".to_owned(),
        Some(condition) if condition.status == "True" => condition.status.clone(),
        Some(condition) => format!("{} ({})", condition.status, condition.reason),
    };
    crate::cells![
        object.metadata.name.as_str(),
        service,
        available,
        age(&object.metadata, now)
    ]
}

pub fn mutating_webhook(object: &MutatingWebhookConfiguration, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.webhooks.len(),
        age(&object.metadata, now)
    ]
}

pub fn validating_webhook(object: &ValidatingWebhookConfiguration, now: Timestamp) -> Vec<Value> {
    crate::cells![
        object.metadata.name.as_str(),
        object.webhooks.len(),
        age(&object.metadata, now)
    ]
}

pub fn validating_policy(object: &ValidatingAdmissionPolicy, now: Timestamp) -> Vec<Value> {
    let parameters = param_kind(object.spec.param_kind.as_deref());
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.validations.len(),
        parameters,
        age(&object.metadata, now)
    ]
}

pub fn mutating_policy(object: &MutatingAdmissionPolicy, now: Timestamp) -> Vec<Value> {
    let parameters = param_kind(object.spec.param_kind.as_deref());
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.mutations.len(),
        parameters,
        age(&object.metadata, now)
    ]
}

pub fn validating_policy_binding(object: &ValidatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Value> {
    let parameters = param_ref(object.spec.param_ref.as_deref());
    let policy = object.spec.policy_name.as_str();
    crate::cells![
        object.metadata.name.as_str(),
        policy,
        parameters,
        age(&object.metadata, now)
    ]
}

pub fn mutating_policy_binding(object: &MutatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Value> {
    let parameters = param_ref(object.spec.param_ref.as_deref());
    let policy = object.spec.policy_name.as_str();
    crate::cells![
        object.metadata.name.as_str(),
        policy,
        parameters,
        age(&object.metadata, now)
    ]
}

fn param_kind(kind: Option<&ParamKind>) -> String {
    kind.map_or(UNSET.to_owned(), |kind| {
        format!("{}/{}", kind.api_version, kind.kind)
    })
}

/// A selector as Go prints the struct.
fn in_go(selector: &LabelSelector) -> String {
    let labels: String = selector
        .match_labels
        .iter()
        .map(|(key, value)| format!("{key}: {value},"))
        .collect();
    let requirements: String = selector
        .match_expressions
        .iter()
        .map(|requirement| {
            format!(
                "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{}],}},",
                requirement.key,
                requirement.operator,
                requirement.values.join(" ")
            )
        })
        .collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{requirements}}},}}"
    )
}

fn param_ref(reference: Option<&ParamRef>) -> String {
    match reference {
        Some(found) if !found.name.is_empty() && !found.namespace.is_empty() => {
            format!("{}/{}", found.namespace, found.name)
        }
        Some(found) if !found.name.is_empty() => format!("*/{}", found.name),
        Some(found) if found.selector.is_some() => found.selector.as_deref().map_or_else(String::new, in_go),
        _ => UNSET.to_owned(),
    }
}

pub fn flow_schema(object: &FlowSchema, now: Timestamp) -> Vec<Value> {
    let spec = &object.spec;
    let dangling = object
        .status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Dangling");
    crate::cells![
        object.metadata.name.as_str(),
        spec.priority_level_configuration.name.as_str(),
        spec.matching_precedence,
        spec.distinguisher_method
            .as_deref()
            .map_or(NONE, |method| &method.type_),
        age(&object.metadata, now),
        dangling.map_or("?", |condition| &condition.status),
    ]
}

pub fn priority_level(object: &PriorityLevelConfiguration, now: Timestamp) -> Vec<Value> {
    let limited = object.spec.limited.as_deref();
    let shares = limited.and_then(|limited| limited.nominal_concurrency_shares);
    let queuing = limited.and_then(|limited| limited.limit_response.queuing.as_deref());
    let number = |number: Option<i32>| number.map_or(Value::from(NONE), Value::from);
    crate::cells![
        object.metadata.name.as_str(),
        object.spec.type_.as_str(),
        number(shares),
        number(queuing.map(|queuing| queuing.queues)),
        number(queuing.map(|queuing| queuing.hand_size)),
        number(queuing.map(|queuing| queuing.queue_length_limit)),
        age(&object.metadata, now),
    ]
}
