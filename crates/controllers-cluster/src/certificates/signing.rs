//! Signs approved requests with the authority of their signer.
//!
//! Upstream: pkg/controller/certificates/signer

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::certificates::v1::CertificateSigningRequest;
use apimachinery::time::Time;
use controller_runtime::driver::{self, Outcome, Reconcile};
use controller_runtime::{Context, ObjectKey, Store};
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use pki::authority::Template;
use pki::request::Request;
use pki::{Authority, Usage};
use tracing::info;

use super::rules::{Signer, lifetime};
use super::{has, is_approved, new_condition};

const NAME: &str = "certificate_signing";
const WORKERS: usize = 5;
/// Certificates are valid from a little before now, for those whose clock is behind.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// Certificate and key of an authority.
#[derive(Clone, Debug, PartialEq)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The authority of each signer; one that isn't here doesn't sign.
    pub authorities: BTreeMap<Signer, Files>,
    /// How long a certificate is good at most.
    pub longest: Duration,
}

/// Runs the controller until shutdown.
pub async fn run(context: Context, options: Options) {
    let requests = context.informers.of::<CertificateSigningRequest>();
    let queue = context.queue(NAME);
    let own = queue.clone();
    requests.add_handler(move |event| {
        if !event.is_deleted() && is_approved(event.object()) {
            own.add(ObjectKey::of(&event.object().metadata));
        }
    });
    let controller = Controller {
        requests: requests.store(),
        options,
        context: context.clone(),
    };
    context.drive(NAME, queue, WORKERS, Arc::new(controller)).await;
}

struct Controller {
    context: Context,
    requests: Store<CertificateSigningRequest>,
    options: Options,
}

impl Reconcile<ObjectKey> for Controller {
    fn reconcile<'a>(&'a self, key: &'a ObjectKey) -> BoxFuture<'a, Result<Outcome, driver::Error>> {
        Box::pin(async move {
            let Some(request) = self.requests.get(key) else {
                return Ok(Outcome::Done);
            };
            let open =
                is_approved(&request) && !has(&request, "Failed") && request.status.certificate.is_empty();
            let signer = Signer::parse(&request.spec.signer_name);
            let files = signer.and_then(|signer| Some((signer, self.options.authorities.get(&signer)?)));
            match files {
                Some((signer, files)) if open => self.handle(&request, signer, files).await,
                _ => Ok(Outcome::Done),
            }
        })
    }
}

impl Controller {
    async fn handle(
        &self,
        request: &CertificateSigningRequest,
        signer: Signer,
        files: &Files,
    ) -> Result<Outcome, driver::Error> {
        let parsed = Request::from_pem(&request.spec.request)?;
        let mut updated = request.clone();
        match signer.check(&parsed, &request.spec.usages) {
            Ok(()) => updated.status.certificate = self.sign(request, &parsed, files)?.into_bytes(),
            Err(message) => {
                let now = Time(self.context.clock.now());
                let failed = new_condition("Failed", "SignerValidationFailure", &message, now);
                updated.status.conditions.push(failed);
            }
        }
        self.context
            .client
            .api::<CertificateSigningRequest>()
            .update_status(&updated)
            .await?;
        info!(request = %request.metadata.name, ?signer, "handled a certificate request");
        Ok(Outcome::Done)
    }

    /// The authority is read each time: requests are rare, and so a rotated one needs no restart.
    fn sign(
        &self,
        request: &CertificateSigningRequest,
        parsed: &Request,
        files: &Files,
    ) -> Result<String, pki::Error> {
        let authority = Authority::load(&files.certificate, &files.key)?;
        let now = self.context.clock.now();
        let life = lifetime(request.spec.expiration_seconds, self.options.longest);
        let template = Template {
            subject: parsed.subject.clone(),
            alt_names: parsed.alt_names.clone(),
            usages: request
                .spec
                .usages
                .iter()
                .filter_map(|usage| Usage::parse(usage))
                .collect(),
            not_before: now.saturating_sub(BACKDATE).unwrap_or(now),
            not_after: now.saturating_add(life).unwrap_or(now),
        };
        Ok(authority.issue(&template, &parsed.public_key)?.to_pem())
    }
}
