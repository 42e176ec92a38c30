//! Client certificates: the common name is the user, organizations are groups.

use std::sync::Arc;

use component_base::clock::Clock;
use component_base::metrics::{Histogram, Registry};
use futures_util::future::BoxFuture;

use super::trust::{Client, Trust};
use crate::user::CREDENTIAL_ID_KEY;
use crate::{Authenticator, Credentials, Error, UserInfo};

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
const EXPIRATION_BUCKETS: &[f64] = &[
    0.0,
    0.5 * HOUR,
    HOUR,
    2.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    4.0 * DAY,
    7.0 * DAY,
    30.0 * DAY,
    90.0 * DAY,
    180.0 * DAY,
    365.0 * DAY,
];

pub struct X509 {
    trust: Arc<Trust>,
    clock: Arc<dyn Clock>,
    expiration: Histogram,
}

impl X509 {
    pub fn new(trust: Arc<Trust>, clock: Arc<dyn Clock>, metrics: &Registry) -> Self {
        let expiration = metrics.histogram(
            "apiserver_client_certificate_expiration_seconds",
            "[ALPHA] Distribution of the remaining lifetime on the certificate used to authenticate a request.",
            EXPIRATION_BUCKETS,
        );
        Self {
            trust,
            clock,
            expiration,
        }
    }

    fn user(&self, credentials: Credentials<'_>) -> Result<Option<UserInfo>, Error> {
        if credentials.certificates.is_empty() {
            return Ok(None);
        }
        let now = self.clock.now();
        let client = self
            .trust
            .verify(credentials.certificates, now)
            .map_err(|error| Error::Certificate(error.to_string()))?;
        self.expiration
            .observe(client.certificate.not_after.duration_since(now).as_secs_f64());
        Ok(user_of(&client))
    }
}

/// A certificate without a common name is nobody's.
fn user_of(client: &Client) -> Option<UserInfo> {
    let subject = &client.certificate.subject;
    if subject.common_name.is_empty() {
        return None;
    }
    let hex: String = client
        .fingerprint
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let extra = [(CREDENTIAL_ID_KEY.to_owned(), vec![format!("X509SHA256={hex}")])].into();
    Some(UserInfo {
        name: subject.common_name.clone(),
        uid: String::new(),
        groups: subject.organizations.clone(),
        extra,
    })
}

impl Authenticator for X509 {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> BoxFuture<'a, Result<Option<UserInfo>, Error>> {
        Box::pin(std::future::ready(self.user(credentials)))
    }
}

#[cfg(test)]
mod tests;
