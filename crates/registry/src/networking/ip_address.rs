//! The addresses of services, and the ranges that they come from.

use api::networking::v1::{IPAddress, ServiceCIDR};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// IPAddresses.
pub struct IpAddresses;

impl Rules for IpAddresses {
    type Object = IPAddress;

    fn row(object: &IPAddress, _now: Timestamp) -> Vec<Value> {
        table::network::ip_address(object)
    }
}

/// ServiceCIDRs.
pub struct ServiceCidrs;

impl Rules for ServiceCidrs {
    type Object = ServiceCIDR;

    crate::spec!();
    crate::status!();

    fn row(object: &ServiceCIDR, now: Timestamp) -> Vec<Value> {
        table::network::service_cidr(object, now)
    }
}
