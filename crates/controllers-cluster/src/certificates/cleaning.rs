//! Deletes requests that nobody needs any more.
//!
//! Upstream: pkg/controller/certificates/cleaner

use std::time::Duration;

use api::certificates::v1::CertificateSigningRequest;
use api::meta::v1::DeleteOptions;
use apimachinery::time::Time;
use controller_runtime::Context;
use jiff::Timestamp;
use pki::certificate::Certificate;
use tracing::{info, warn};

use super::has;

const PERIOD: Duration = Duration::from_secs(3600);
/// How long decided requests are kept, for people to look at.
const DECIDED_SECONDS: i64 = 3600;
/// How long those are kept that wait for a decision or a certificate.
const WAITING_SECONDS: i64 = 24 * 3600;

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let requests = context.informers.of::<CertificateSigningRequest>();
    if context.shutdown.guard(context.informers.synced()).await.is_none() {
        return;
    }
    loop {
        let now = context.clock.now();
        for request in requests.store().list() {
            if is_past(&request, now) {
                clean(&context, &request).await;
            }
        }
        if context
            .shutdown
            .guard(context.clock.sleep(PERIOD))
            .await
            .is_none()
        {
            return;
        }
    }
}

async fn clean(context: &Context, request: &CertificateSigningRequest) {
    let name = &request.metadata.name;
    let requests = context.client.api::<CertificateSigningRequest>();
    match requests.delete(name, &DeleteOptions::default()).await {
        Ok(()) => info!(request = %name, "cleaned up a certificate request"),
        Err(error) if error.is_not_found() => {}
        Err(error) => warn!(request = %name, %error, "cannot clean up a certificate request"),
    }
}

/// Whether a request has had its time.
pub fn is_past(request: &CertificateSigningRequest, now: Timestamp) -> bool {
    let older = |time: Option<Time>, seconds: i64| {
        time.is_some_and(|time| now.as_second() - time.timestamp().as_second() > seconds)
    };
    let conditions = &request.status.conditions;
    if conditions.is_empty() {
        return older(request.metadata.creation_timestamp, WAITING_SECONDS);
    }
    let issued = !request.status.certificate.is_empty();
    let by_condition = conditions.iter().any(|condition| match condition.type_.as_str() {
        "Denied" | "Failed" => older(condition.last_update_time, DECIDED_SECONDS),
        "Approved" if issued => older(condition.last_update_time, DECIDED_SECONDS),
        "Approved" => older(condition.last_update_time, WAITING_SECONDS),
        _ => false,
    });
    by_condition || (has(request, "Approved") && issued && is_expired(request, now))
}

/// A certificate that can't be read isn't known to have expired.
fn is_expired(request: &CertificateSigningRequest, now: Timestamp) -> bool {
    let certificates = Certificate::from_pem(&request.status.certificate).unwrap_or_default();
    certificates
        .first()
        .is_some_and(|certificate| certificate.not_after < now)
}

#[cfg(test)]
mod tests {
    use api::certificates::v1::CertificateSigningRequestCondition;

    use super::*;

    #[test]
    fn requests_are_kept_for_a_while() {
        let check = |type_: &str, issued: bool, age: i64, expected: bool| {
            let mut request = CertificateSigningRequest::default();
            let time = Time::from_unix(1_000_000 - age, 0);
            request.metadata.creation_timestamp = time;
            if !type_.is_empty() {
                request
                    .status
                    .conditions
                    .push(CertificateSigningRequestCondition {
                        type_: type_.into(),
                        last_update_time: time,
                        ..CertificateSigningRequestCondition::default()
                    });
            }
            if issued {
                request.status.certificate = b"not a certificate".to_vec();
            }
            let now = Timestamp::from_second(1_000_000).expect("valid");
            assert_eq!(is_past(&request, now), expected, "{type_} {issued} {age}");
        };
        check("", false, 86_000, false);
        check("", false, 86_401, true);
        check("Denied", false, 3_601, true);
        check("Failed", false, 3_600, false);
        check("Approved", false, 3_601, false);
        check("Approved", false, 86_401, true);
        check("Approved", true, 3_601, true);
    }
}
