//! Who may approve, sign and attest for a signer, and what a client certificate must not say.

use std::sync::Arc;

use api::certificates::v1::CertificateSigningRequest;
use apimachinery::status::Status;
use auth::{Authorizer, UserInfo};

use crate::plugin::{Outcome, done, pass};
use crate::{Attributes, Operation, Plugin, Review};

const GROUP: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

/// May the user do this for the signer, or for all signers of its domain?
async fn may(authorizer: &dyn Authorizer, user: &UserInfo, verb: &str, signer: &str) -> bool {
    let domain = signer.split('/').next().unwrap_or_default();
    for name in [signer.to_owned(), format!("{domain}/*")] {
        let attributes = auth::Attributes {
            user: user.clone(),
            verb: verb.to_owned(),
            api_group: GROUP.to_owned(),
            api_version: "*".to_owned(),
            resource: "signers".to_owned(),
            name,
            resource_request: true,
            ..auth::Attributes::default()
        };
        if authorizer.authorize(&attributes).await.is_allowed() {
            return true;
        }
    }
    false
}

/// Approving or denying needs the verb `approve` on the signer.
pub struct CertificateApproval {
    authorizer: Arc<dyn Authorizer>,
}

impl CertificateApproval {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer }
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        let Some(request) = review.old_as::<CertificateSigningRequest>() else {
            return Ok(());
        };
        let signer = &request.spec.signer_name;
        if may(&*self.authorizer, attributes.user, "approve", signer).await {
            return Ok(());
        }
        let message = format!("user not permitted to approve requests with signerName {signer:?}");
        Err(attributes.forbidden(review.object(), message))
    }
}

impl Plugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Update
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is(GROUP, REQUESTS, "approval") {
            Box::pin(self.check(attributes, review))
        } else {
            pass()
        }
    }
}

/// Issuing a certificate, or failing to, needs the verb `sign` on the signer.
pub struct CertificateSigning {
    authorizer: Arc<dyn Authorizer>,
}

impl CertificateSigning {
    pub fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self { authorizer }
    }

    async fn check(&self, attributes: &Attributes<'_>, review: &Review<'_>) -> Result<(), Status> {
        let (Some(new), Some(old)) = (
            review.object_as::<CertificateSigningRequest>(),
            review.old_as::<CertificateSigningRequest>(),
        ) else {
            return Ok(());
        };
        if new.status == old.status {
            return Ok(());
        }
        let signer = &old.spec.signer_name;
        if may(&*self.authorizer, attributes.user, "sign", signer).await {
            return Ok(());
        }
        Err(attributes.forbidden(
            Some(new),
            format!("user not permitted to sign requests with signerName {signer:?}"),
        ))
    }
}

impl Plugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Update
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        if attributes.is(GROUP, REQUESTS, "status") {
            Box::pin(self.check(attributes, review))
        } else {
            pass()
        }
    }
}

/// Nobody gets a certificate that makes them `system:masters`.
pub struct CertificateSubjectRestriction;

impl CertificateSubjectRestriction {
    fn check(attributes: &Attributes<'_>, request: &CertificateSigningRequest) -> Result<(), Status> {
        if request.spec.signer_name != CLIENT_SIGNER {
            return Ok(());
        }
        let parsed = pki::request::Request::from_pem(&request.spec.request)
            .map_err(|error| attributes.forbidden(Some(request), format!("unable to parse csr: {error}")))?;
        if !parsed
            .subject
            .organizations
            .iter()
            .any(|group| group == auth::user::PRIVILEGED)
        {
            return Ok(());
        }
        let message = format!("use of {CLIENT_SIGNER} signer with system:masters group is not allowed");
        Err(attributes.forbidden(Some(request), message))
    }
}

impl Plugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        match review.object_as::<CertificateSigningRequest>() {
            Some(request) if attributes.is(GROUP, REQUESTS, "") => done(Self::check(attributes, request)),
            _ => pass(),
        }
    }
}

#[cfg(test)]
mod tests;
