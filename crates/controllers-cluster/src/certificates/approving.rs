//! Approves client certificates of kubelets, if the requester may have them.
//!
//! Upstream: pkg/controller/certificates/approver

use std::sync::Arc;

use api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use api::certificates::v1::CertificateSigningRequest;
use apimachinery::time::Time;
use client::Error;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;
use pki::request::Request;
use tracing::info;

use super::rules::Signer;
use super::{has, new_condition};

const NAME: &str = "certificate_approving";
const WORKERS: usize = 5;

/// Who asks for what: the permission that it takes, and what an approval says.
const SELF: (&str, &str) = (
    "selfnodeclient",
    "Auto approving self kubelet client certificate after SubjectAccessReview.",
);
const OTHER: (&str, &str) = (
    "nodeclient",
    "Auto approving kubelet client certificate after SubjectAccessReview.",
);

/// Runs the controller until shutdown.
pub async fn run(context: Context) {
    let requests = context.informers.of::<CertificateSigningRequest>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    requests.add_handler(move |event| {
        if !event.is_deleted() {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
    let controller = Controller {
        requests: requests.store(),
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    requests: Store<CertificateSigningRequest>,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(request) = self.requests.get(key) else {
                return Ok(Outcome::Done);
            };
            let decided = has(&request, "Approved") || has(&request, "Denied");
            if decided || !request.status.certificate.is_empty() {
                return Ok(Outcome::Done);
            }
            for (permission, message) in permissions(&request) {
                if self.may(&request, permission).await? {
                    self.approve(&request, message).await?;
                    return Ok(Outcome::Done);
                }
            }
            Ok(Outcome::Done)
        })
    }
}

/// The permissions by which a request could be approved; none when a person has to.
fn permissions(request: &CertificateSigningRequest) -> Vec<(&'static str, &'static str)> {
    let spec = &request.spec;
    let Ok(parsed) = Request::from_pem(&spec.request) else {
        return Vec::new();
    };
    let signer = Signer::parse(&spec.signer_name);
    if signer != Some(Signer::KubeletClient) || Signer::KubeletClient.check(&parsed, &spec.usages).is_err() {
        return Vec::new();
    }
    if spec.username == parsed.subject.common_name {
        vec![SELF, OTHER]
    } else {
        vec![OTHER]
    }
}

impl Controller {
    async fn may(&self, request: &CertificateSigningRequest, permission: &str) -> Result<bool, Error> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: request.spec.username.clone(),
                uid: request.spec.uid.clone(),
                groups: request.spec.groups.clone(),
                extra: request.spec.extra.clone(),
                resource_attributes: Some(Box::new(ResourceAttributes {
                    group: "certificates.k8s.io".into(),
                    version: "*".into(),
                    resource: "certificatesigningrequests".into(),
                    subresource: permission.into(),
                    verb: "create".into(),
                    ..ResourceAttributes::default()
                })),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        Ok(self
            .context
            .client
            .api::<SubjectAccessReview>()
            .create(&review)
            .await?
            .status
            .allowed)
    }

    async fn approve(&self, request: &CertificateSigningRequest, message: &str) -> Result<(), Error> {
        let mut approved = request.clone();
        let now = Time(self.context.clock.now());
        approved
            .status
            .conditions
            .push(new_condition("Approved", "AutoApproved", message, now));
        let requests = self.context.client.api::<CertificateSigningRequest>();
        requests
            .update_subresource(&request.metadata.name, "approval", &approved)
            .await?;
        info!(request = %request.metadata.name, user = %request.spec.username, "approved a certificate request");
        Ok(())
    }
}
