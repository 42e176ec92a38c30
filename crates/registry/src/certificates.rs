//! Certificate signing requests.

use api::certificates::v1::CertificateSigningRequest;
use jiff::Timestamp;
use serde_json::Value;

use crate::rules::Rules;
use crate::table;

/// CertificateSigningRequests.
pub struct SigningRequests;

impl Rules for SigningRequests {
    type Object = CertificateSigningRequest;

    crate::spec!();
    crate::status!();

    fn row(object: &CertificateSigningRequest, now: Timestamp) -> Vec<Value> {
        table::cluster::certificate_signing_request(object, now)
    }
}
