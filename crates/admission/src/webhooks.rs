//! Webhooks that are asked about requests: MutatingAdmissionWebhook and ValidatingAdmissionWebhook.
//!
//! Reading order: [`hooks`] (the configurations, compiled as they change), [`review`] (the question and the answer,
//! pure), [`call`] (one webhook asked once), [`mutating`] and [`validating`] (who is asked, and what comes of it).
//!
//! How a webhook is reached is not known here: the server hands in a [`Caller`].
//!
//! Upstream: `k8s.io/apiserver/pkg/admission/plugin/webhook`.

mod call;
mod hooks;
mod metrics;
mod mutating;
mod review;
mod validating;

use std::sync::Arc;
use std::time::Duration;

use api::admissionregistration::v1::WebhookClientConfig;
use apimachinery::quote::quote;
use apimachinery::status::Status;
use auth::{Authorizer, Follower, Objects};
use component_base::clock::Clock;
use component_base::metrics::Registry;
use futures_util::future::BoxFuture;

use crate::Plugin;
use crate::matching::Kinds;

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    pub message: String,
    /// Of an answer that says that something is wrong; none if there was no answer.
    pub code: Option<u16>,
}

/// Reaches webhooks.
pub trait Caller: Send + Sync {
    /// Posts a JSON document and gives the one that is answered, with a status of 2xx.
    fn call<'a>(
        &'a self,
        client: &'a WebhookClientConfig,
        document: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, CallError>>;
}

/// What both plugins work with.
#[derive(Clone)]
pub struct Dependencies {
    pub objects: Arc<dyn Objects>,
    pub kinds: Arc<dyn Kinds>,
    pub caller: Arc<dyn Caller>,
    /// Asked by match conditions.
    pub authorizer: Arc<dyn Authorizer>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Registry,
}

/// The plugins, and what has to hear of changes of the configurations.
pub struct Webhooks {
    pub plugins: Vec<Arc<dyn Plugin>>,
    pub followers: Vec<Arc<dyn Follower>>,
}

/// Builds both plugins.
pub fn build(with: &Dependencies) -> Webhooks {
    let mutating = Arc::new(hooks::Hooks::mutating());
    let validating = Arc::new(hooks::Hooks::validating());
    let asking = Arc::new(call::Asking::new(with));
    Webhooks {
        plugins: vec![
            Arc::new(mutating::MutatingAdmissionWebhook::new(
                mutating.clone(),
                asking.clone(),
            )),
            Arc::new(validating::ValidatingAdmissionWebhook::new(
                validating.clone(),
                asking,
            )),
        ],
        followers: vec![mutating, validating],
    }
}

/// How asking a webhook failed.
#[derive(Debug)]
enum Failure {
    /// It gave no answer that makes sense: the failure policy decides.
    Calling { why: String, code: u16 },
    /// It refused.
    Rejected(Status),
    /// The request can't be put before it, or its answer can't be carried out.
    Unfit(Status),
}

impl Failure {
    /// What the client hears, if the failure policy does not let it pass.
    fn into_status(self, hook: &str) -> Status {
        match self {
            Self::Calling { why, .. } => {
                Status::internal(format!("failed calling webhook {}: {why}", quote(hook)))
            }
            Self::Rejected(status) | Self::Unfit(status) => status,
        }
    }
}
