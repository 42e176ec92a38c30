//! Kinds that extend the API: custom resource definitions and API services.

use api::apiextensions::v1::CustomResourceDefinition;
use api::apiregistration::v1::APIService;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// CustomResourceDefinitions.
pub struct CustomResourceDefinitions;

impl Rules for CustomResourceDefinitions {
    type Object = CustomResourceDefinition;

    crate::spec!();
    crate::status!();
    crate::generation!(spec);

    fn row(object: &CustomResourceDefinition, _now: Timestamp) -> Vec<Value> {
        table::name_and_creation(&object.metadata)
    }
}

/// APIServices.
pub struct ApiServices;

impl Rules for ApiServices {
    type Object = APIService;

    crate::spec!();
    crate::status!();

    fn row(object: &APIService, now: Timestamp) -> Vec<Value> {
        table::cluster::api_service(object, now)
    }
}
