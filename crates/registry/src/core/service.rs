//! Services: what they default, which addresses and ports they get, and what they may not say.
//!
//! Reading order: [`defaults`], [`fields`] (which fields a type uses), [`families`] and [`node_ports`] (what an
//! object needs allotted), [`allotment`] (the hooks that allot it), [`addresses`] and [`ports`] (where that is
//! recorded), [`validation`].
//!
//! Upstream: `pkg/registry/core/service`, `pkg/apis/core/validation`.

pub mod addresses;
pub mod allotment;
mod cluster_ips;
pub mod defaults;
pub mod families;
mod fields;
pub mod node_ports;
pub mod ports;
pub mod validation;
mod warnings;

use api::core::v1::Service;
use apimachinery::field::ErrorList;
use apimachinery::validation::name_is_dns_label;
use apiserver::strategy::Context;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Services.
pub struct Services;

impl Rules for Services {
    type Object = Service;
    const CREATE_ON_UPDATE: bool = true;
    const RETURNS_DELETED: bool = true;
    const FIELDS: &'static [&'static str] = &["spec.clusterIP", "spec.type"];

    crate::spec!();
    crate::status!();

    fn check_name(name: &str, prefix: bool) -> Vec<String> {
        name_is_dns_label(name, prefix)
    }

    fn default(service: &mut Service) {
        defaults::service(service);
    }

    fn prepare_update(_cx: &Context<'_>, service: &mut Service, old: &Service) {
        fields::drop_unused(service, old);
    }

    fn validate(service: &Service) -> ErrorList {
        validation::validate(service, None)
    }

    fn validate_update(_cx: &Context<'_>, service: &Service, old: &Service) -> ErrorList {
        validation::validate_update(service, old)
    }

    fn validate_status_update(service: &Service, old: &Service) -> ErrorList {
        validation::validate_status(service, old)
    }

    fn warnings(service: &Service, _old: Option<&Service>) -> Vec<String> {
        warnings::warnings(service)
    }

    fn status_warnings(service: &Service) -> Vec<String> {
        warnings::status_warnings(service)
    }

    fn field(service: &Service, field: &str) -> Option<String> {
        match field {
            "spec.clusterIP" => Some(service.spec.cluster_ip.clone()),
            "spec.type" => Some(service.spec.type_.clone()),
            _ => None,
        }
    }

    fn row(service: &Service, now: Timestamp) -> Vec<Value> {
        table::network::service(service, now)
    }
}

#[cfg(test)]
mod tests;
