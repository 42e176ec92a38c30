//! MutatingAdmissionWebhook: one webhook after the other, each sees what the ones before have made.
//!
//! If one changes the object, the chain runs a second time, and those that were asked before and want to hear of such
//! changes are asked once more.

use std::sync::Arc;

use api::codec;
use apimachinery::patch;
use apimachinery::quote::quote;
use apimachinery::status::Status;
use serde_json::Value;
use serde_json::json;

use super::Failure;
use super::call::{self, Asking};
use super::hooks::{Hook, Hooks};
use super::review::{Sort, refusal};
use super::validating::note;
use crate::matching::{ServedAs, Unknown, is_exempt};
use crate::plugin::Outcome;
use crate::{Attributes, Operation, Plugin, Review};

/// What an answer counts as whose patch can't be read.
const UNAVAILABLE: u16 = 503;

/// See the module.
pub struct MutatingAdmissionWebhook {
    hooks: Arc<Hooks>,
    asking: Arc<Asking>,
}

impl MutatingAdmissionWebhook {
    pub fn new(hooks: Arc<Hooks>, asking: Arc<Asking>) -> Self {
        Self { hooks, asking }
    }

    async fn dispatch(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let hooks = self.hooks.all();
        if is_exempt(&attributes.kind) {
            return Ok(());
        }
        if review.reinvocation.again {
            let object = review.object.as_deref().map(|object| &**object);
            review.reinvocation.webhooks.resume(object);
        }
        for (index, hook) in hooks.iter().enumerate() {
            self.put_before(hook, index, attributes, review).await?;
        }
        let object = review.object.as_deref().map(|object| &**object);
        review.reinvocation.webhooks.pause(object);
        Ok(())
    }

    async fn put_before(
        &self,
        hook: &Hook,
        index: usize,
        attributes: &Attributes<'_>,
        review: &mut Review<'_>,
    ) -> Result<(), Status> {
        let (object, old) = (review.object(), review.old);
        let Some(served_as) = self.asking.concerns(hook, attributes, object, old).await? else {
            return Ok(());
        };
        let again = review.reinvocation.again;
        if again && !review.reinvocation.webhooks.is_due_again(&hook.id) {
            return Ok(());
        }
        let started = self.asking.clock.monotonic();
        let outcome = self.ask(hook, attributes, &served_as, review).await;
        let took = self.asking.clock.monotonic().saturating_sub(started);
        let failure = outcome.as_ref().err();
        self.asking
            .metrics
            .asked(hook, Sort::Mutating, attributes.operation, failure, took);
        let round = u8::from(again);
        let key = format!("mutation.webhook.admission.k8s.io/round_{round}_index_{index}");
        let changed = matches!(outcome, Ok(true));
        let value = json!({ "configuration": hook.configuration, "webhook": hook.name, "mutated": changed });
        if changed {
            review.reinvocation.webhooks.changed();
            review.reinvocation.requested = true;
        }
        if hook.reinvoked {
            review.reinvocation.webhooks.asked(&hook.id);
        }
        let failed_open = format!("failed-open.{key}");
        review.annotations.push((key, value.to_string()));
        match outcome {
            Ok(_) => Ok(()),
            Err(Failure::Calling { why, .. }) if hook.fails_open => {
                tracing::warn!(webhook = hook.name, why, "failed calling webhook, failing open");
                self.asking.metrics.failed_open(hook, Sort::Mutating);
                review.annotations.push((failed_open, hook.name.clone()));
                Ok(())
            }
            Err(failure) => Err(failure.into_status(&hook.name)),
        }
    }

    /// Whether the webhook has changed the object.
    async fn ask(
        &self,
        hook: &Hook,
        attributes: &Attributes<'_>,
        served_as: &ServedAs,
        review: &mut Review<'_>,
    ) -> Result<bool, Failure> {
        let documents = self.asking.documents(&served_as.kind, review);
        let documents = documents.map_err(Failure::Unfit)?;
        let name = call::name(attributes, review.object());
        let asked = self
            .asking
            .ask(hook, Sort::Mutating, attributes, name, served_as, &documents);
        let mut answer = asked.await?;
        let (status, patch) = (answer.status.take(), std::mem::take(&mut answer.patch));
        let (allowed, patch_type) = (answer.allowed, std::mem::take(&mut answer.patch_type));
        note(review, hook, answer);
        if !allowed {
            return Err(Failure::Rejected(refusal(&hook.name, status)));
        }
        let Some(operations) = operations(&patch)? else {
            return Ok(false);
        };
        let Some(document) = documents.object else {
            return Err(Failure::Unfit(Status::internal(format!(
                "admission webhook {} attempted to modify the object, which is not supported for this operation",
                quote(&hook.name)
            ))));
        };
        if patch_type != "JSONPatch" {
            return Err(Failure::Calling {
                why: format!("unsupported patch type {}", quote(&patch_type)),
                code: refusal(&hook.name, status).code,
            });
        }
        self.apply(&document, &operations, served_as, review)
            .map_err(Failure::Unfit)
    }

    fn apply(
        &self,
        document: &[u8],
        operations: &Value,
        served_as: &ServedAs,
        review: &mut Review<'_>,
    ) -> Result<bool, Status> {
        let Some(object) = review.object.as_deref_mut() else {
            return Ok(false);
        };
        let mut document: Value = serde_json::from_slice(document).map_err(Status::internal)?;
        patch::json_patch(&mut document, operations).map_err(Status::internal)?;
        let document = serde_json::to_vec(&document).map_err(Status::internal)?;
        let patched = self
            .asking
            .kinds
            .object(&document, &served_as.kind, &**object, Unknown::Dropped)?;
        let changed = patched.encode_to_vec() != object.encode_to_vec();
        *object = patched;
        Ok(changed)
    }
}

/// The operations of a patch; `None`: there are none.
fn operations(patch: &[u8]) -> Result<Option<Value>, Failure> {
    if patch.is_empty() {
        return Ok(None);
    }
    let undecodable = |why: &dyn std::fmt::Display| Failure::Calling {
        why: format!("received undecodable patch in webhook response: {why}"),
        code: UNAVAILABLE,
    };
    let (operations, _) = codec::document::parse(patch).map_err(|error| undecodable(&error))?;
    let known = patch::parse(&operations).map_err(|error| undecodable(&error))?;
    Ok((!known.is_empty()).then_some(operations))
}

impl Plugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn handles(&self, _operation: Operation) -> bool {
        self.hooks.any()
    }

    fn mutate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        Box::pin(self.dispatch(attributes, review))
    }
}
