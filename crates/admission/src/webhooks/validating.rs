//! ValidatingAdmissionWebhook: all webhooks that a request concerns are asked at once.

use std::collections::HashMap;
use std::sync::Arc;

use apimachinery::gvk::GroupVersionKind;
use apimachinery::status::Status;
use futures_util::future::join_all;

use super::Failure;
use super::call::{self, Asking};
use super::hooks::{Hook, Hooks};
use super::review::{Answer, Documents, Sort, refusal};
use crate::matching::{ServedAs, is_exempt};
use crate::plugin::Outcome;
use crate::{Attributes, Operation, Plugin, Review};

/// See the module.
pub struct ValidatingAdmissionWebhook {
    hooks: Arc<Hooks>,
    asking: Arc<Asking>,
}

impl ValidatingAdmissionWebhook {
    pub fn new(hooks: Arc<Hooks>, asking: Arc<Asking>) -> Self {
        Self { hooks, asking }
    }

    async fn dispatch(&self, attributes: &Attributes<'_>, review: &mut Review<'_>) -> Result<(), Status> {
        let hooks = self.hooks.all();
        if is_exempt(&attributes.kind) {
            return Ok(());
        }
        let (object, old) = (review.object(), review.old);
        let mut concerned: Vec<(&Hook, ServedAs)> = Vec::new();
        let mut documents: HashMap<GroupVersionKind, Documents> = HashMap::new();
        for hook in hooks.iter() {
            let Some(served_as) = self.asking.concerns(hook, attributes, object, old).await? else {
                continue;
            };
            if !documents.contains_key(&served_as.kind) {
                let shown = self.asking.documents(&served_as.kind, review)?;
                documents.insert(served_as.kind.clone(), shown);
            }
            concerned.push((hook, served_as));
        }
        let name = call::name(attributes, object);
        let none = Documents::default();
        let asked = concerned.iter().map(|(hook, served_as)| {
            let shown = documents.get(&served_as.kind).unwrap_or(&none);
            self.ask(hook, attributes, name, served_as, shown)
        });
        let answers = join_all(asked).await;
        let mut refused = Ok(());
        for (index, ((hook, _), (answer, failure))) in concerned.iter().zip(answers).enumerate() {
            if let Some(answer) = answer {
                note(review, hook, answer);
            }
            let outcome = failure.map_or(Ok(()), |failure| self.judge(review, hook, index, failure));
            // Upstream tells one refusal too: the first that comes in.
            refused = refused.and(outcome);
        }
        refused
    }

    /// The answer, if there is one, and what is wrong with it.
    async fn ask(
        &self,
        hook: &Hook,
        attributes: &Attributes<'_>,
        name: &str,
        served_as: &ServedAs,
        documents: &Documents,
    ) -> (Option<Answer>, Option<Failure>) {
        let started = self.asking.clock.monotonic();
        let asked = self
            .asking
            .ask(hook, Sort::Validating, attributes, name, served_as, documents);
        let (answer, failure) = match asked.await {
            Ok(answer) if answer.allowed => (Some(answer), None),
            Ok(mut answer) => {
                let status = refusal(&hook.name, answer.status.take());
                (Some(answer), Some(Failure::Rejected(status)))
            }
            Err(failure) => (None, Some(failure)),
        };
        let took = self.asking.clock.monotonic().saturating_sub(started);
        self.asking.metrics.asked(
            hook,
            Sort::Validating,
            attributes.operation,
            failure.as_ref(),
            took,
        );
        (answer, failure)
    }

    fn judge(
        &self,
        review: &mut Review<'_>,
        hook: &Hook,
        index: usize,
        failure: Failure,
    ) -> Result<(), Status> {
        match failure {
            Failure::Calling { why, .. } if hook.fails_open => {
                tracing::warn!(webhook = hook.name, why, "failed calling webhook, failing open");
                self.asking.metrics.failed_open(hook, Sort::Validating);
                let key = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
                review.annotations.push((key, hook.name.clone()));
                Ok(())
            }
            failure => Err(failure.into_status(&hook.name)),
        }
    }
}

/// Keeps what an answer has for the audit log and for the client.
pub fn note(review: &mut Review<'_>, hook: &Hook, answer: Answer) {
    let annotations = answer.annotations.into_iter();
    review
        .annotations
        .extend(annotations.map(|(key, value)| (format!("{}/{key}", hook.name), value)));
    review.warnings.extend(answer.warnings);
}

impl Plugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, _operation: Operation) -> bool {
        self.hooks.any()
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'_>, review: &'a mut Review<'_>) -> Outcome<'a> {
        Box::pin(self.dispatch(attributes, review))
    }
}
