//! Nobody claims traffic to addresses outside the cluster (CVE-2020-8554). Off by default.

use std::collections::BTreeSet;

use api::core::v1::Service;
use apimachinery::status::Status;

use crate::plugin::{Outcome, done};
use crate::{Attributes, Operation, Plugin, Review};

pub struct DenyServiceExternalIps;

/// Those that are there already may stay.
fn check(attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
    let Some(service) = review
        .object_as::<Service>()
        .filter(|_| attributes.is("", "services", ""))
    else {
        return Ok(());
    };
    let old: BTreeSet<&String> = review
        .old_as::<Service>()
        .into_iter()
        .flat_map(|old| &old.spec.external_ips)
        .collect();
    if service.spec.external_ips.iter().all(|ip| old.contains(ip)) {
        return Ok(());
    }
    Err(attributes.forbidden(
        Some(service),
        "Use of external IPs is denied by admission control",
    ))
}

impl Plugin for DenyServiceExternalIps {
    fn name(&self) -> &'static str {
        "DenyServiceExternalIPs"
    }

    fn handles(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Create | Operation::Update)
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        done(check(attributes, review))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Request, from_json, told};

    #[tokio::test]
    async fn external_addresses_cannot_be_added() {
        let service = |ips: &str| {
            from_json::<Service>(&format!(
                r#"{{"metadata":{{"name":"s"}},"spec":{{"externalIPs":[{ips}]}}}}"#
            ))
        };
        let (mut one, two) = (service(r#""1.2.3.4""#), service(r#""1.2.3.4","1.2.3.5""#));
        let refused = r#"services "s" is forbidden: Use of external IPs is denied by admission control"#;
        assert_eq!(
            told(
                &Request::create()
                    .run(&DenyServiceExternalIps, Some(&mut one), None)
                    .await
            ),
            refused
        );
        assert_eq!(
            told(
                &Request::update()
                    .run(&DenyServiceExternalIps, Some(&mut one), Some(&two))
                    .await
            ),
            "ok"
        );
        assert_eq!(
            told(
                &Request::create()
                    .run(&DenyServiceExternalIps, Some(&mut service("")), None)
                    .await
            ),
            "ok"
        );
    }
}
