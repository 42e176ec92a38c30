//! Ingresses and their classes.

use api::networking::v1::{Ingress, IngressClass};
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// Ingresses.
pub struct Ingresses;

impl Rules for Ingresses {
    type Object = Ingress;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &Ingress, now: Timestamp) -> Vec<Value> {
        table::network::ingress(object, now)
    }
}

/// IngressClasses.
pub struct IngressClasses;

impl Rules for IngressClasses {
    type Object = IngressClass;

    crate::generation!(spec);

    fn row(object: &IngressClass, now: Timestamp) -> Vec<Value> {
        table::network::ingress_class(object, now)
    }
}
