//! Webhooks and policies of admission.

use api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// MutatingWebhookConfigurations.
pub struct MutatingWebhooks;

impl Rules for MutatingWebhooks {
    type Object = MutatingWebhookConfiguration;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(webhooks);

    fn row(object: &MutatingWebhookConfiguration, now: Timestamp) -> Vec<Value> {
        table::cluster::mutating_webhook(object, now)
    }
}

/// ValidatingWebhookConfigurations.
pub struct ValidatingWebhooks;

impl Rules for ValidatingWebhooks {
    type Object = ValidatingWebhookConfiguration;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(webhooks);

    fn row(object: &ValidatingWebhookConfiguration, now: Timestamp) -> Vec<Value> {
        table::cluster::validating_webhook(object, now)
    }
}

/// ValidatingAdmissionPolicies.
pub struct ValidatingPolicies;

impl Rules for ValidatingPolicies {
    type Object = ValidatingAdmissionPolicy;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &ValidatingAdmissionPolicy, now: Timestamp) -> Vec<Value> {
        table::cluster::validating_policy(object, now)
    }
}

/// MutatingAdmissionPolicies.
pub struct MutatingPolicies;

impl Rules for MutatingPolicies {
    type Object = MutatingAdmissionPolicy;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn row(object: &MutatingAdmissionPolicy, now: Timestamp) -> Vec<Value> {
        table::cluster::mutating_policy(object, now)
    }
}

/// ValidatingAdmissionPolicyBindings.
pub struct ValidatingPolicyBindings;

impl Rules for ValidatingPolicyBindings {
    type Object = ValidatingAdmissionPolicyBinding;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn row(object: &ValidatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::validating_policy_binding(object, now)
    }
}

/// MutatingAdmissionPolicyBindings.
pub struct MutatingPolicyBindings;

impl Rules for MutatingPolicyBindings {
    type Object = MutatingAdmissionPolicyBinding;
    const UNCONDITIONAL_UPDATE: bool = false;

    crate::generation!(spec);

    fn row(object: &MutatingAdmissionPolicyBinding, now: Timestamp) -> Vec<Value> {
        table::cluster::mutating_policy_binding(object, now)
    }
}
